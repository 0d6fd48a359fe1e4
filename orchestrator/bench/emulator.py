"""``regatta bench emulator``: an emulated core beside itself with host functions as inner products.

Both run the same tasks of the board's binary; results have to be the same bits, and cycles nearly
the same (`docs/emulator.md`).
"""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Table

from orchestrator.bench.kernels import ALL, PASSES, Layer, choose_layers
from orchestrator.boards.kernels import Kernels
from orchestrator.dfp import LIMIT13
from orchestrator.errors import ArgumentError, RunError
from orchestrator.model.shapes import ConvShape
from orchestrator.virtual.arm_kernels import ArmKernels
from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.core import Core, Stop
from orchestrator.virtual.image import Image, build_image

Pass = Callable[[], NDArray[Any]]
SHIFT: Final = 18
"""Rounds sums of random mantissas to 16 bits; the few that saturate do so on both sides."""


class Cost(NamedTuple):
    """What one pass took on one side: the core's cycles and instructions, host CPU seconds."""

    cycles: int
    instructions: int
    cpu_s: float


class TimedCore(Core):
    """A core that counts the processor time of the emulation, without the host's copying."""

    cpu_s = 0.0

    def run(self, max_cycles: int | None = None) -> Stop:
        """Run as any core does."""
        start = time.process_time()
        try:
            return super().run(max_cycles)
        finally:
            self.cpu_s += time.process_time() - start


class Side:
    """A core and the kernels on it."""

    def __init__(self, image: Image, substitute: bool) -> None:
        self.core = TimedCore(ChipMemory(), 1, image, substitute=substitute)
        self.kernels = ArmKernels(self.core)

    def measure(self, work: Pass) -> tuple[NDArray[Any], Cost]:
        """Return a pass's result and what it took."""
        core = self.core
        cycles, instructions, cpu_s = core.cycles, core.instructions, core.cpu_s
        result = work()
        return result, Cost(
            core.cycles - cycles, core.instructions - instructions, core.cpu_s - cpu_s
        )


def run(
    *,
    network: str = "resnet20",
    image_size: int = 32,
    layers: str = ALL,
    batch: int = 16,
    rounds: int = 3,
) -> dict[str, Any]:
    """Run every convolution of a network in every pass on one core; both sides take turns.

    Parameters
    ----------
    network, image_size
        Whose layers.
    layers
        Kernel size such as "3x3", or "all".
    batch, rounds
        At least 1; times are medians.

    Returns
    -------
    dict
        ``passes``: of every layer both sides' figures; ``totals``: the same over all layers, for
        each pass and for all; ``cpu_ratio``: the substituted side's speed over the plain one's;
        ``cycle_error``: the largest difference of a pass's cycles, as a share.

    Raises
    ------
    ArgumentError
        A number below 1, or the network has no such layer.
    MissingToolError
        No ARM compiler, or Unicorn or the emulator's library is missing.
    RunError
        The sides' results differ.
    """
    for name, value in (("batch", batch), ("rounds", rounds)):
        if value < 1:
            raise ArgumentError(f"bench emulator: {name} is {value}, at least 1 is needed")
    chosen = choose_layers(network, image_size, batch, layers)
    image = build_image()
    sides = Side(image, substitute=False), Side(image, substitute=True)
    entries = [entry for layer in chosen for entry in _measure_layer(sides, layer, rounds)]
    measured = {entry["pass"] for entry in entries}
    totals = [_total(entries, name) for name in (*PASSES, ALL) if name in {*measured, ALL}]
    return {
        "network": network,
        "image_size": image_size,
        "batch": batch,
        "rounds": rounds,
        "passes": entries,
        "totals": totals,
        "cpu_ratio": totals[-1]["cpu_ratio"],
        "cycle_error": max((entry["cycle_error"] for entry in entries), key=abs),
    }


def passes_of(kernels: Kernels, shape: ConvShape) -> dict[str, Pass]:
    """Return the passes of a convolution on random 13-bit mantissas; each returns its result."""
    rng = np.random.default_rng(0)
    x, w, e = (
        rng.integers(-LIMIT13, LIMIT13 + 1, size, np.int16)
        for size in (shape.x_shape, shape.w_shape, shape.y_shape)
    )

    def forward() -> NDArray[Any]:
        y = np.empty(shape.y_shape, np.int16)
        kernels.conv_forward(shape, x, w, None, SHIFT, y)
        return y

    def input_gradient() -> NDArray[Any]:
        d = np.empty(shape.x_shape, np.int16)
        kernels.conv_input_gradient(shape, e, w, None, 0, 0, None, SHIFT, d)
        return d

    def weight_gradient() -> NDArray[Any]:
        total = np.zeros(shape.w_shape, np.int32)
        kernels.conv_weight_gradient(shape, e, x, SHIFT, total)
        return total

    return dict(zip(PASSES, (forward, input_gradient, weight_gradient), strict=True))


def _measure_layer(sides: Sequence[Side], layer: Layer, rounds: int) -> list[dict[str, Any]]:
    works = [passes_of(side.kernels, layer.shape) for side in sides]
    names = [name for name in PASSES if not (layer.first and name == "input gradient")]
    return [
        {"layer": layer.name, "count": layer.count, "pass": name, "macs": layer.macs}
        | _measure_pass(sides, [work[name] for work in works], layer, rounds)
        for name in names
    ]


def _measure_pass(
    sides: Sequence[Side], works: Sequence[Pass], layer: Layer, rounds: int
) -> dict[str, Any]:
    costs: list[list[Cost]] = [[], []]
    for _ in range(rounds):
        results = []
        for side, work, taken in zip(sides, works, costs, strict=True):
            result, cost = side.measure(work)
            results.append(result)
            taken.append(cost)
        if not np.array_equal(results[0], results[1]):
            raise RunError(f"{layer.name}: the substituted inner product gives other bits")
    plain, substituted = (
        taken[0]._replace(cpu_s=median(cost.cpu_s for cost in taken)) for taken in costs
    )
    return _compared(plain, substituted, layer.macs)


def _compared(plain: Cost, substituted: Cost, macs: int) -> dict[str, Any]:
    return {
        "plain": _figures(plain, macs),
        "substituted": _figures(substituted, macs),
        "cpu_ratio": round(plain.cpu_s / substituted.cpu_s, 2),
        "cycle_error": round(substituted.cycles / plain.cycles - 1, 5),
    }


def _figures(cost: Cost, macs: int) -> dict[str, float]:
    return {
        "cycles": cost.cycles,
        "instructions": cost.instructions,
        "cpu_s": cost.cpu_s,
        "instructions_per_s": round(cost.instructions / cost.cpu_s),
        "macs_per_s": round(macs / cost.cpu_s),
        "mac_per_cycle": round(macs / cost.cycles, 4),
    }


def _total(entries: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the figures of a pass, or of all, each entry as often as the network has it."""
    chosen = [entry for entry in entries if name in (ALL, entry["pass"])]

    def cost(side: str) -> Cost:
        return Cost(*(sum(e[side][key] * e["count"] for e in chosen) for key in Cost._fields))

    macs = sum(entry["macs"] * entry["count"] for entry in chosen)
    return {"layer": ALL, "pass": name} | _compared(cost("plain"), cost("substituted"), macs)


def table(result: dict[str, Any]) -> Table:
    """Return the figures as a table."""
    images = f"{result['batch']} image{'s' if result['batch'] > 1 else ''}"
    shown = Table(
        box=SIMPLE_HEAD,
        title=f"Convolutions on an emulated core, {result['network']} at {result['image_size']}, "
        f"{images}, median of {result['rounds']} rounds",
        caption="M MAC/s and ratio: host CPU time, the same bits on both sides",
    )
    shown.add_column("layer")
    columns = ("pass", "M instr/s", "M MAC/s", "substituted", "ratio", "MAC/cycle", "cycles off")
    for column in columns:
        shown.add_column(column, justify="right")
    for entry in (*result["passes"], *result["totals"]):
        plain, substituted = entry["plain"], entry["substituted"]
        shown.add_row(
            entry["layer"],
            entry["pass"],
            f"{plain['instructions_per_s'] / 1e6:.0f}",
            f"{plain['macs_per_s'] / 1e6:.0f}",
            f"{substituted['macs_per_s'] / 1e6:.0f}",
            f"{entry['cpu_ratio']:.1f}",
            f"{plain['mac_per_cycle']:.3f}",
            f"{100 * entry['cycle_error']:+.2f} %",
        )
    return shown
