"""Walks a program phase by phase: when each begins, what it takes, and what holds it up.

The time of a phase is `orchestrator.compiler.phase_time`, the formula that the compiler minimised.
Here every second of it is given to one component, so that components add up to the step: first to
computing, then to what takes longer than that.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache

import numpy as np

from orchestrator.compiler.phase_time import (
    ExchangeTime,
    PhaseLoad,
    PhaseTime,
    Slice,
    phase_load,
    phase_time,
    program_slice,
)
from orchestrator.compiler.program import Pass, Program
from orchestrator.perf.cycles import load_table
from orchestrator.perf.rates import PACKET_BYTES, Rates


class Component(StrEnum):
    """What a second of a step is spent on."""

    COMPUTE = "compute"
    """The core with most cycles computes, or waits for its first tile and behind its last."""
    SDRAM = "SDRAM"
    """The chip with most bytes still moves them between memories."""
    PACKET_CORES = "packet cores"
    """The cores that handle packets are still at it."""
    INJECTION = "injection"
    """A chip's packets are still on their way into its router."""
    LINKS = "links"
    """The link with most bytes still carries them."""
    LATENCY = "latency"
    """Rounds of an exchange that wait for each other."""
    BARRIERS = "barriers"
    """All chips wait for the last one."""


PRODUCTS = "MAC"
"""Unit of works that multiply and accumulate."""

Components = dict[Component, float]
"""Seconds by component; all components are in it."""


@dataclass(frozen=True, eq=False)
class Loads:
    """A program and what it asks for before any rate is known.

    Attributes
    ----------
    phases : load of every phase.
    product_cycles, other_cycles : of all cores and phases, in products and in other kernels.
    roofline_cycles : that the products would take if all went as the measured layers they are
        taken for: whole shares, with no more rounding or reading at their ends.
    link_packets : packets times the links they take.
    """

    program: Program
    slice_: Slice
    phases: tuple[PhaseLoad, ...]
    product_cycles: float
    other_cycles: float
    roofline_cycles: float
    link_packets: float


@lru_cache(maxsize=4)
def loads_of(program: Program) -> Loads:
    """Return a program's loads; kept, since reducing a large program takes a second."""
    cores = int(program.cores.max())
    phases = tuple(phase_load(phase, program.n_chips, cores) for phase in program.phases)
    products = other = roofline = 0.0
    table = load_table()
    for work in (work for phase in program.phases for work in phase.work):
        cycles = float(work.cycles.sum())
        if work.unit == PRODUCTS:
            products += cycles
            roofline += float(work.amount.sum()) * table.product(work.kernel).cycles
        else:
            other += cycles
    links = sum(float((load.before.links + load.beside.links).sum()) for load in phases)
    return Loads(
        program=program,
        slice_=program_slice(program),
        phases=phases,
        product_cycles=products,
        other_cycles=other,
        roofline_cycles=roofline,
        link_packets=links / PACKET_BYTES,
    )


@dataclass(frozen=True, eq=False)
class Walk:
    """A program timed on a machine.

    Attributes
    ----------
    loads : of the program.
    rates : of the machine.
    phases : time of each phase, in the program's order.
    """

    loads: Loads
    rates: Rates
    phases: tuple[PhaseTime, ...]

    @property
    def program(self) -> Program:
        """Return the program."""
        return self.loads.program

    @cached_property
    def ends_s(self) -> tuple[float, ...]:
        """Return when each phase has ended, from the start of the step."""
        return tuple(np.cumsum([phase.total for phase in self.phases]).tolist())

    @property
    def total_s(self) -> float:
        """Return the time of the step: one ghost batch, and the update."""
        return self.ends_s[-1] if self.phases else 0.0

    def seconds(self, *passes: Pass) -> float:
        """Return the time of the phases of some passes."""
        return sum(time.total for time, _ in self._of(passes))

    def components(self, *passes: Pass) -> Components:
        """Return the time of the phases of some passes by component; of all where none is named."""
        sums = dict.fromkeys(Component, 0.0)
        for time, _ in self._of(passes or tuple(Pass)):
            for component, seconds in components_of(time).items():
                sums[component] += seconds
        return sums

    def _of(self, passes: tuple[Pass, ...]) -> Iterator[tuple[PhaseTime, str]]:
        for time, phase in zip(self.phases, self.program.phases, strict=True):
            if phase.step_pass in passes:
                yield time, phase.node

    @cached_property
    def by_node(self) -> dict[str, dict[Pass, Components]]:
        """Return the time of every operation and pass by component, in the program's order."""
        found: dict[str, dict[Pass, Components]] = {}
        for time, phase in zip(self.phases, self.program.phases, strict=True):
            passes = found.setdefault(phase.node, {})
            sums = passes.setdefault(phase.step_pass, dict.fromkeys(Component, 0.0))
            for component, seconds in components_of(time).items():
                sums[component] += seconds
        return found

    @cached_property
    def roofline_s(self) -> float:
        """Return how long the products alone take all application cores at their measured rate."""
        per_second = self.rates.clock * float(self.program.cores.sum())
        return self.loads.roofline_cycles * self.rates.kernel_cycles / per_second

    @property
    def utilisation(self) -> float:
        """Return the part of the multiply-accumulate roofline that the step reaches."""
        return self.roofline_s / self.total_s if self.total_s else 0.0

    @cached_property
    def core_seconds(self) -> dict[str, float]:
        """Return what all application cores together spend the step on.

        ``idle`` is what is left: cores that wait for others, for memory, or for packets.
        """
        clock, factor = self.rates.clock, self.rates.kernel_cycles
        handled = sum(packet_cycles(load, self.rates) for load in self.loads.phases)
        spent = {
            "products": self.loads.product_cycles * factor / clock,
            "other kernels": self.loads.other_cycles * factor / clock,
            "packets": handled / clock,
        }
        whole = self.total_s * float(self.program.cores.sum())
        return spent | {"idle": whole - sum(spent.values())}

    @cached_property
    def from_roofline(self) -> dict[str, float]:
        """Return seconds that add up to the step, from the products' roofline on.

        What follows the roofline is what holds the step back: cores that move packets instead of
        computing; products that take more cycles than in whole shares; the other kernels; cores
        that wait for the slowest one, or for tiles; and the components beside computing.
        """
        program, loads = self.program, self.loads
        computing = float(np.maximum(program.cores - program.packet_cores, 1).sum())
        second = self.rates.kernel_cycles / (self.rates.clock * computing)
        parts = self.components()
        busy = (loads.product_cycles + loads.other_cycles) * second
        return {
            "products on all cores": self.roofline_s,
            "cores kept for packets": loads.roofline_cycles * second - self.roofline_s,
            "products in small shares": (loads.product_cycles - loads.roofline_cycles) * second,
            "other kernels": loads.other_cycles * second,
            "uneven shares, waits for tiles": parts.pop(Component.COMPUTE) - busy,
            **{str(component): seconds for component, seconds in parts.items()},
        }


def walk_program(program: Program, rates: Rates) -> Walk:
    """Return the time of every phase of a program on a machine with these rates."""
    loads = loads_of(program)
    return Walk(loads, rates, tuple(phase_time(load, loads.slice_, rates) for load in loads.phases))


def packet_cycles(load: PhaseLoad, rates: Rates) -> float:
    """Return the cycles of all packet cores in a phase."""
    sent = float((load.before.sent + load.beside.sent).sum())
    received = float((load.before.received + load.beside.received).sum())
    return (sent * rates.packet_send + received * rates.packet_receive) / PACKET_BYTES


def components_of(time: PhaseTime) -> Components:
    """Return what the seconds of a phase are spent on; they add up to its time."""
    parts = dict.fromkeys(Component, 0.0)
    _add_exchange(parts, time.before)
    slowest, _ = _slowest(time.beside)
    parts[slowest] += time.first_piece
    parts[Component.COMPUTE] += time.compute
    parts[Component.SDRAM] += max(0.0, time.sdram - time.compute)
    work = max(time.compute, time.sdram)
    exposed = max(0.0, time.beside.total - work)
    latency = min(exposed, time.beside.latency)
    parts[Component.LATENCY] += latency
    parts[slowest] += exposed - latency
    parts[Component.BARRIERS] += time.barrier
    return parts


def bound_of(time: PhaseTime) -> Component:
    """Return the component that a phase spends most on."""
    parts = components_of(time)
    largest: Callable[[Component], float] = parts.__getitem__
    return max(Component, key=largest)


def _slowest(time: ExchangeTime) -> tuple[Component, float]:
    """Return the resource that an exchange takes longest on."""
    return max(
        (
            (Component.PACKET_CORES, time.handling),
            (Component.INJECTION, time.injection),
            (Component.LINKS, time.links),
        ),
        key=lambda pair: pair[1],
    )


def _add_exchange(parts: Components, time: ExchangeTime) -> None:
    component, seconds = _slowest(time)
    parts[component] += seconds
    parts[Component.LATENCY] += time.latency
