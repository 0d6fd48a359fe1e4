"""A whole step: forward and backward of a slice's ghost batches, the sum over boards, the update.

Gradients are summed over boards in buckets while the backward pass of the last ghost batch goes on;
the update follows when the last bucket is summed. Slices of several boards are counted as if every
board summed the whole gradient, which no plan exceeds, and further ghost batches as if each brought
the weights to the chips anew.

The sum over boards takes cables, which a slice of one board leaves free; what it adds to the links
inside a board is left out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from orchestrator.collectives.plan.overlap import bucket_tensors
from orchestrator.collectives.plan.traffic import CHIPS_ACROSS
from orchestrator.compiler.program import Pass, Program
from orchestrator.errors import ArgumentError
from orchestrator.machine.constants import Level
from orchestrator.perf.energy import StepEnergy, power, step_energy
from orchestrator.perf.rates import PACKET_BYTES, handling_seconds
from orchestrator.perf.timing import Walk, packet_cycles

SUM_BYTES = 4
"""Bytes of an element of a gradient's sum on its way, at most."""

GROUPS = 48
"""Gradients that are complete one after another are dealt with together until they are this part
of all: buckets are cut between them."""

COMPUTED = (Pass.FORWARD, Pass.INPUT_GRADIENT, Pass.WEIGHT_GRADIENT)
EXCHANGE, UPDATE = "exchange over boards", "update"


class Summation(Protocol):
    """What sums gradients over boards: `orchestrator.collectives.plan.Planner`, or alike."""

    def fastest(self, n_elements: int) -> tuple[Any, float]:
        """Return how a buffer is summed, and the seconds it takes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """Predicted time and energy of a step of one slice among others.

    Attributes
    ----------
    images, macs : of the slice's ghost batches.
    forward_s, backward_s, update_s : of all ghost batches; once a step.
    exchange_s : of all sums over boards, hidden or not.
    exposed_exchange_s : between the end of the backward pass and the last sum.
    total_s : forward_s + backward_s + exposed_exchange_s + update_s.
    components : seconds that add up to total_s, always by the same names: those of `Component`
        before the exchange, then ``exchange over boards`` (what is exposed) and ``update``.
    roofline_s : of the products alone on all application cores.
    energy : of the slice.
    """

    images: int
    macs: int
    forward_s: float
    backward_s: float
    update_s: float
    exchange_s: float
    exposed_exchange_s: float
    total_s: float
    components: dict[str, float]
    roofline_s: float
    energy: StepEnergy

    @property
    def utilisation(self) -> float:
        """Return the part of the multiply-accumulate roofline that the step reaches."""
        return self.roofline_s / self.total_s

    def as_json(self) -> dict[str, Any]:
        """Return all figures by name."""
        return {
            "images": self.images,
            "macs": self.macs,
            "predicted_s": self.total_s,
            "images_per_s": self.images / self.total_s,
            "forward_s": self.forward_s,
            "backward_s": self.backward_s,
            "exchange_s": self.exchange_s,
            "exposed_exchange_s": self.exposed_exchange_s,
            "update_s": self.update_s,
            "components": dict(self.components),
            "roofline_s": self.roofline_s,
            "utilisation": self.utilisation,
            **self.energy.as_json(),
        }


def step_time(
    walk: Walk,
    summation: Summation | None = None,
    *,
    ghost_batches: int = 1,
    level: Level = Level.TYPICAL,
    overrides: Mapping[str, float] = {},  # noqa: B006 (never changed)
) -> StepTime:
    """Return the time and energy of a step.

    Parameters
    ----------
    walk : of the slice's program.
    summation : over the boards of the whole machine; None for a slice alone.
    ghost_batches : that the slice works on before the update, at least 1.
    level, overrides : of the power constants; those of times are in the walk.

    Raises
    ------
    ArgumentError
        No ghost batch.
    """
    if ghost_batches < 1:
        raise ArgumentError(f"{ghost_batches} ghost batches: a slice works on at least one")
    program = walk.program
    n_boards = int(program.board.max()) + 1
    forward = ghost_batches * walk.seconds(Pass.FORWARD)
    once = walk.seconds(*COMPUTED)
    backward = ghost_batches * once - forward
    elements = sum(gradient.elements for gradient in program.gradients)
    exchange = exposed = 0.0
    if summation is not None and elements:
        sizes, ready = _gradients(program, walk.ends_s)
        buckets = bucket_tensors(sizes, ready, _sum_seconds(walk, summation, n_boards))
        exchange = sum(
            end - start for start, end in zip(buckets.starts_s, buckets.ends_s, strict=True)
        )
        exposed = max(0.0, buckets.ends_s[-1] - once)
    update = walk.seconds(Pass.UPDATE)
    total = forward + backward + exposed + update
    inside = {str(c): ghost_batches * s for c, s in walk.components(*COMPUTED).items()}
    moved = 2.0 * n_boards * SUM_BYTES * elements / PACKET_BYTES if summation is not None else 0.0
    return StepTime(
        images=ghost_batches * program.images,
        macs=ghost_batches * program.macs,
        forward_s=forward,
        backward_s=backward,
        update_s=update,
        exchange_s=exchange,
        exposed_exchange_s=exposed,
        total_s=total,
        components=inside | {EXCHANGE: exposed, UPDATE: update},
        roofline_s=ghost_batches * walk.roofline_s,
        energy=step_energy(
            power(level, overrides),
            seconds=total,
            n_boards=n_boards,
            n_chips=program.n_chips,
            core_cycles=_core_cycles(walk, ghost_batches, moved),
            router_packets=ghost_batches * walk.loads.link_packets + CHIPS_ACROSS * moved,
        ),
    )


def _gradients(program: Program, ends_s: tuple[float, ...]) -> tuple[list[int], list[float]]:
    """Return sizes of groups of gradients, and when each group is complete."""
    least = sum(gradient.elements for gradient in program.gradients) / GROUPS
    sizes: list[int] = []
    ready: list[float] = []
    for gradient in program.gradients:
        if not sizes or sizes[-1] >= least:
            sizes.append(0)
            ready.append(0.0)
        sizes[-1] += gradient.elements
        ready[-1] = max(ready[-1], ends_s[gradient.phase])
    return sizes, ready


def _sum_seconds(walk: Walk, summation: Summation, n_boards: int) -> Callable[[int], float]:
    """Return the time to sum a number of elements: over cables, or until packets are handled."""
    cores = float(walk.program.packet_cores.min())
    chips = walk.program.n_chips / n_boards

    def seconds(n_elements: int) -> float:
        # Every board sends and receives each element about twice: a partial sum, and the sum.
        of_a_chip = 2.0 * SUM_BYTES * n_elements / chips
        handled = handling_seconds(of_a_chip, of_a_chip, cores, walk.rates)
        return max(summation.fastest(n_elements)[1], float(handled))

    return seconds


def _core_cycles(walk: Walk, ghost_batches: int, moved: float) -> float:
    """Return the cycles of all cores at work in a step."""
    program, r = walk.program, walk.rates
    cycles = moved * (r.packet_send + r.packet_receive)
    for phase, load in zip(program.phases, walk.loads.phases, strict=True):
        times = 1 if phase.step_pass is Pass.UPDATE else ghost_batches
        packets = packet_cycles(load, r)
        cycles += times * (float(load.work.busy_cycles.sum()) * r.kernel_cycles + packets)
    return cycles
