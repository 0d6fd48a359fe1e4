"""Deals a chip's part of a kernel to its cores, with what every share takes.

Rows and chunks of 32 channels (for a weight gradient blocks of 32 x 32 weights) are laid out in a
line, chunk after chunk, and each core takes a stretch: a few rectangles, none computed twice.
Stretches are equal, or longer for cores that have less to do beside. Costs are measured ones per
product and element (`orchestrator.perf.cycles`).
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.compiler.layers import CHUNK, Conv, Map
from orchestrator.compiler.program import Work
from orchestrator.compiler.splits import Rectangles
from orchestrator.machine.geometry import Ints
from orchestrator.perf.cycles import IMAGE_CHANNELS, Cost, CycleTable, Element, Pass

Numbers = NDArray[Any]

MEASURED_IMAGES = 16
"""Images of the table's weight gradients (`regatta bench kernels`)."""


class Shares:
    """Deals work to the computing cores of every chip.

    Parameters
    ----------
    table : of measured cycles.
    images : of the ghost batch.
    computing : int64 [n_chips], cores of each chip that compute.
    """

    def __init__(self, table: CycleTable, images: int, computing: Ints) -> None:
        self._table = table
        self._images = images
        self._computing = computing

    def forward(self, op: Conv, result: Rectangles) -> Work:
        """Return the shares of a forward convolution."""
        cost = self._table.convolution(
            Pass.FORWARD, op.kernel, op.x.channels, op.stride, _positions(op), op.x.channels
        )
        width = op.y.width if op.pointwise else 1
        chip, core, rows, channels = self._grid(result, width)
        inputs = np.broadcast_to([0, op.x.channels], rows.shape)
        each = op.y.width // width * op.taps * padded_inputs(op.x.channels)
        amount = np.ptp(rows, axis=1) * _padded(channels) * each
        name = f"{Pass.FORWARD} {_title(op)}"
        flat = op.pointwise
        return _work(op.name, name, "MAC", flat, chip, core, rows, channels, inputs, amount, cost)

    def input_gradient(self, op: Conv, result: Rectangles) -> Work:
        """Return the shares of the gradient at a convolution's input."""
        cost = self._table.convolution(
            Pass.INPUT_GRADIENT, op.kernel, op.x.channels, op.stride, _positions(op), op.y.channels
        )
        width = op.x.width if op.pointwise else 1
        chip, core, rows, channels = self._grid(result, width)
        inputs = np.broadcast_to([0, op.y.channels], rows.shape)
        # Taps beyond the result's edge are not multiplied: on average an input position has so many
        # products for each pair of channels.
        each = op.y.height * op.y.width * op.taps / (op.x.height * width) * _up(op.y.channels)
        amount = np.rint(np.ptp(rows, axis=1) * _padded(channels) * each).astype(np.int64)
        name = f"{Pass.INPUT_GRADIENT} {_title(op)}"
        flat = op.pointwise
        return _work(op.name, name, "MAC", flat, chip, core, rows, channels, inputs, amount, cost)

    def weight_gradient(
        self, op: Conv, rows_summed: Rectangles, weights: Rectangles, beside: Sequence[Work] = ()
    ) -> Work:
        """Return the shares of a chip's partial weight gradient.

        Parameters
        ----------
        rows_summed : the rows of the error that each chip sums over; their channels are ignored.
        weights : whose gradient each chip makes.
        beside : what cores have to do in the same phase: those with less get more of this.
        """
        block_weights = CHUNK * padded_inputs(op.x.channels, most=CHUNK) * op.taps
        cost = self._table.convolution(
            Pass.WEIGHT_GRADIENT, op.kernel, op.x.channels, op.stride, _positions(op), 0
        )
        row_cycles = op.y.width * block_weights * cost.cycles
        busy = self._busy(beside)
        found = []
        for chip in np.flatnonzero((weights.sizes > 0) & (rows_summed.sizes > 0)).tolist():
            start, stop = rows_summed.rows[chip]
            (top_k, end_k), (left, right) = weights.rows[chip], weights.channels[chip]
            high, wide = (
                -(-int(end - first) // CHUNK) for first, end in ((top_k, end_k), (left, right))
            )
            cuts = self._cuts(chip, int(stop - start) * high * wide, row_cycles, busy)
            core, top, bottom, block = _blocks(int(stop - start), cuts)
            k, c = top_k + block // wide * CHUNK, left + block % wide * CHUNK
            found.append(
                np.stack(
                    [
                        np.full_like(core, chip), core, start + top, start + bottom,
                        k, np.minimum(k + CHUNK, end_k), c, np.minimum(c + CHUNK, right),
                    ]
                )
            )  # fmt: skip
        chip, core, *sides = np.concatenate(found, axis=1)
        rows, outputs, inputs = (np.stack(sides[i : i + 2], axis=1) for i in (0, 2, 4))
        amount = np.ptp(rows, axis=1) * op.y.width * block_weights
        name = f"{Pass.WEIGHT_GRADIENT} {_title(op)}"
        extra = self._ends(op, amount, block_weights)
        return _work(
            op.name, name, "MAC", False, chip, core, rows, outputs, inputs, amount, cost, extra
        )

    def elements(
        self, node: str, kernel: Element, of: Map, result: Rectangles, times: float = 1.0,
        beside: Sequence[Work] = (),
    ) -> Work:  # fmt: skip
        """Return the shares of a kernel over a tensor.

        Parameters
        ----------
        result : what each chip has of it, or makes of it.
        times : operations for each element, relative to those that were measured.
        beside : as for a weight gradient.
        """
        cost = self._table.element(kernel) * times
        busy = self._busy(beside)
        chip, core, rows, channels = self._grid(result, of.width, CHUNK * cost.cycles, busy)
        amount = np.ptp(rows, axis=1) * _padded(channels)
        return _work(
            node, kernel, "element", True, chip, core, rows, channels, channels, amount, cost
        )

    def flat(
        self, node: str, kernel: str, cost: Cost, amounts: Ints, beside: Sequence[Work] = ()
    ) -> Work:
        """Return the shares of a kernel over so many elements on every chip, dealt one by one."""
        busy = self._busy(beside)
        found = []
        for chip in np.flatnonzero(amounts).tolist():
            cuts = np.array(self._cuts(chip, int(amounts[chip]), cost.cycles, busy))
            kept = np.flatnonzero(np.diff(cuts))
            found.append(np.stack([np.full_like(kept, chip), kept, cuts[kept], cuts[kept + 1]]))
        chip, core, first, end = np.concatenate(found, axis=1)
        channels = np.stack([first, end], axis=1)
        rows = np.broadcast_to([0, 1], channels.shape)
        return _work(
            node, kernel, "element", True, chip, core, rows, channels, channels, end - first, cost
        )

    def packing(
        self, pass_: Pass, op: Conv, weights: Rectangles, beside: Sequence[Work] = ()
    ) -> Work:
        """Return the shares of laying out a chip's weights for a pass."""
        reduction = op.x.channels if pass_ is Pass.FORWARD else op.y.channels
        cost = self._table.packing(
            pass_, op.kernel, op.x.channels, op.stride, _positions(op), reduction
        )
        name = f"pack {pass_} {_title(op)}"
        return self.flat(op.name, name, cost, weights.sizes * op.taps, beside)

    def element_cost(self, kernel: Element) -> Cost:
        """Return what an element takes of a kernel."""
        return self._table.element(kernel)

    def _ends(self, op: Conv, amount: Numbers, block_weights: int) -> Numbers:
        """Return the cycles that shares take more than in proportion to the measured ones.

        Writing the sums of a block takes as long for few positions as for many. What it takes is
        where the line through pointwise layers of two sizes, with rows of the same speed, ends.
        """
        near = self._table.nearest(
            Pass.WEIGHT_GRADIENT, op.kernel, op.x.channels, op.stride, _positions(op), 0
        )
        few, many = (
            self._table.nearest(Pass.WEIGHT_GRADIENT, (1, 1), CHUNK, 1, positions, 0)
            for positions in (14 * 14, 28 * 28)
        )
        # Cycles of a weight: of its sums over all positions of the measured images.
        less, more = (each.per_product.cycles * each.positions for each in (few, many))
        slope = (more - less) / (many.positions - few.positions)
        end = (less - slope * few.positions) * MEASURED_IMAGES
        share = amount / block_weights / (near.positions * MEASURED_IMAGES)
        return np.where(amount > 0, end * block_weights * (1 - share), 0.0)

    def _grid(
        self, of: Rectangles, width: int, unit_cycles: float = 1.0,
        busy: Numbers | None = None,
    ) -> tuple[Numbers, Numbers, Numbers, Numbers]:  # fmt: skip
        """Return (chip, core, rows, channels) of a deal; width 1: of whole image rows."""
        found = []
        for chip in np.flatnonzero(of.sizes).tolist():
            (first, stop), (left, right) = (of.rows[chip] * width).tolist(), of.channels[chip]
            chunks = -(-int(right - left) // CHUNK)
            cuts = self._cuts(chip, (stop - first) * chunks, unit_cycles, busy)
            core, top, bottom, low, high = _rectangles(stop - first, cuts)
            found.append(
                np.stack(
                    [
                        np.full_like(core, chip), core, first + top, first + bottom,
                        left + low * CHUNK, np.minimum(left + high * CHUNK, right),
                    ]
                )
            )  # fmt: skip
        chip, core, *sides = np.concatenate(found, axis=1)
        return chip, core, np.stack(sides[:2], axis=1), np.stack(sides[2:], axis=1)

    def _busy(self, beside: Sequence[Work]) -> Numbers | None:
        """Return the cycles that cores have already, float64 [n_chips, cores], None if none."""
        if not beside:
            return None
        busy = np.zeros((len(self._computing), int(self._computing.max())))
        for work in beside:
            np.add.at(busy, (work.chip, work.core), work.cycles)
        return busy

    def _cuts(
        self, chip: int, units: int, unit_cycles: float, busy: Numbers | None
    ) -> tuple[int, ...]:
        """Return where each core's stretch of a line of units starts, and the line's end."""
        cores = int(self._computing[chip])
        if busy is None or not unit_cycles:
            return tuple(units * core // cores for core in range(cores + 1))
        has = busy[chip, :cores]
        ranked = np.sort(has)
        # The level to which the least busy cores are filled up by all units together.
        level = (np.cumsum(ranked) + units * unit_cycles) / np.arange(1, cores + 1)
        filled = level[np.flatnonzero(level > ranked)[-1]]
        ends = np.cumsum(np.maximum(filled - has, 0.0))
        return (0, *np.rint(ends * (units / ends[-1])).astype(np.int64).tolist())


def padded_inputs(channels: int, most: int | None = None) -> int:
    """Return the channels that a sum is padded to; those of an image stay, as in the table."""
    if channels <= IMAGE_CHANNELS:
        return 3
    return most or _up(channels)


def _up(channels: int) -> int:
    return -(-channels // CHUNK) * CHUNK


def _padded(channels: Numbers) -> Numbers:
    padded: Numbers = -(-np.ptp(channels, axis=1).astype(np.int64) // CHUNK) * CHUNK
    return padded


def _positions(op: Conv) -> int:
    return op.y.height * op.y.width


def _title(op: Conv) -> str:
    x, (r, s) = op.x, op.kernel
    return f"{x.height}x{x.width} {x.channels}-{op.y.channels} {r}x{s}/{op.stride}"


@lru_cache(maxsize=4096)
def _rectangles(n_rows: int, cuts: tuple[int, ...]) -> tuple[Ints, ...]:
    """Return (core, first row, end, first chunk, end) of stretches of a line of rows x chunks."""
    found: list[tuple[int, ...]] = []
    for core, (low, high) in enumerate(zip(cuts, cuts[1:], strict=False)):
        while low < high:
            chunk, row = divmod(low, n_rows)
            whole = (high - low) // n_rows if row == 0 else 0
            if whole:
                found.append((core, 0, n_rows, chunk, chunk + whole))
                low += whole * n_rows
            else:
                end = min(n_rows, row + high - low)
                found.append((core, row, end, chunk, chunk + 1))
                low += end - row
    return tuple(np.array(found, np.int64).T)


@lru_cache(maxsize=4096)
def _blocks(n_rows: int, cuts: tuple[int, ...]) -> tuple[Ints, ...]:
    """Return (core, first row, end, block) of stretches, every block by itself."""
    core, top, bottom, first, end = _rectangles(n_rows, cuts)
    n = end - first
    start = np.repeat(np.cumsum(n) - n, n)
    block = np.repeat(first, n) + np.arange(n.sum()) - start
    return np.repeat(core, n), np.repeat(top, n), np.repeat(bottom, n), block


def _work(
    node: str, kernel: str, unit: str, flat: bool, chip: Numbers, core: Numbers, rows: Numbers,
    channels: Numbers, inputs: Numbers, amount: Numbers, cost: Cost,
    extra_cycles: Numbers | float = 0.0,
) -> Work:  # fmt: skip
    count = amount.astype(np.float64)
    return Work(
        node=node,
        kernel=str(kernel),
        unit=unit,
        flat=flat,
        chip=chip.astype(np.int32),
        core=core.astype(np.int32),
        rows=rows.astype(np.int32),
        channels=channels.astype(np.int32),
        inputs=inputs.astype(np.int32),
        amount=amount.astype(np.int64),
        cycles=count * cost.cycles + extra_cycles,
        dma_bytes=count * cost.dma_bytes,
        dma_transfers=count * cost.dma_transfers,
        waited_bytes=count * cost.waited_bytes,
    )
