"""Deals a chip's part of a kernel to its cores, with what every share takes.

Rows and chunks of 32 channels (for a weight gradient blocks of 32 x 32 weights) are laid out in a
line, chunk after chunk, and each core takes an equal stretch: a few rectangles, none computed
twice. Costs are measured ones per product and element (`orchestrator.perf.cycles`).
"""

from functools import cache
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

    def weight_gradient(self, op: Conv, rows_summed: Rectangles, weights: Rectangles) -> Work:
        """Return the shares of a chip's partial weight gradient.

        Parameters
        ----------
        rows_summed : the rows of the error that each chip sums over; their channels are ignored.
        weights : whose gradient each chip makes.
        """
        found = []
        for chip in np.flatnonzero((weights.sizes > 0) & (rows_summed.sizes > 0)).tolist():
            start, stop = rows_summed.rows[chip]
            (top_k, end_k), (left, right) = weights.rows[chip], weights.channels[chip]
            high, wide = (
                -(-int(end - first) // CHUNK) for first, end in ((top_k, end_k), (left, right))
            )
            cores = int(self._computing[chip])
            core, top, bottom, block = _blocks(int(stop - start), high * wide, cores)
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
        block_weights = CHUNK * padded_inputs(op.x.channels, most=CHUNK) * op.taps
        amount = np.ptp(rows, axis=1) * op.y.width * block_weights
        cost = self._table.convolution(
            Pass.WEIGHT_GRADIENT, op.kernel, op.x.channels, op.stride, _positions(op), 0
        )
        name = f"{Pass.WEIGHT_GRADIENT} {_title(op)}"
        extra = self._ends(op, amount, block_weights)
        return _work(
            op.name, name, "MAC", False, chip, core, rows, outputs, inputs, amount, cost, extra
        )

    def elements(
        self, node: str, kernel: Element, of: Map, result: Rectangles, times: float = 1.0
    ) -> Work:
        """Return the shares of a kernel over a tensor.

        Parameters
        ----------
        result : what each chip has of it, or makes of it.
        times : operations for each element, relative to those that were measured.
        """
        chip, core, rows, channels = self._grid(result, of.width)
        amount = np.ptp(rows, axis=1) * _padded(channels)
        cost = self._table.element(kernel) * times
        return _work(
            node, kernel, "element", True, chip, core, rows, channels, channels, amount, cost
        )

    def flat(self, node: str, kernel: str, cost: Cost, amounts: Ints) -> Work:
        """Return the shares of a kernel over so many elements on every chip, dealt one by one."""
        found = []
        for chip in np.flatnonzero(amounts).tolist():
            cores = int(self._computing[chip])
            cuts = np.arange(cores + 1) * int(amounts[chip]) // cores
            kept = np.flatnonzero(np.diff(cuts))
            found.append(np.stack([np.full_like(kept, chip), kept, cuts[kept], cuts[kept + 1]]))
        chip, core, first, end = np.concatenate(found, axis=1)
        channels = np.stack([first, end], axis=1)
        rows = np.broadcast_to([0, 1], channels.shape)
        return _work(
            node, kernel, "element", True, chip, core, rows, channels, channels, end - first, cost
        )

    def packing(self, pass_: Pass, op: Conv, weights: Rectangles) -> Work:
        """Return the shares of laying out a chip's weights for a pass."""
        reduction = op.x.channels if pass_ is Pass.FORWARD else op.y.channels
        cost = self._table.packing(
            pass_, op.kernel, op.x.channels, op.stride, _positions(op), reduction
        )
        return self.flat(op.name, f"pack {pass_} {_title(op)}", cost, weights.sizes * op.taps)

    def element_cost(self, kernel: Element) -> Cost:
        """Return what an element takes of a kernel."""
        return self._table.element(kernel)

    def _ends(self, op: Conv, amount: Numbers, block_weights: int) -> Numbers:
        """Return the cycles that shares take more than in proportion to the measured ones.

        Writing the sums of a block takes as long for few positions as for many. What it takes is
        read off the dense layer, whose 16 positions are next to nothing.
        """
        dense = self._table.nearest(Pass.WEIGHT_GRADIENT, (1, 1), 1024, 1, 1, 0)
        near = self._table.nearest(
            Pass.WEIGHT_GRADIENT, op.kernel, op.x.channels, op.stride, _positions(op), 0
        )
        longest = self._table.nearest(Pass.WEIGHT_GRADIENT, (1, 1), 1024, 1, 4096, 0)
        end = (dense.per_product.cycles - longest.per_product.cycles) * MEASURED_IMAGES
        share = amount / block_weights / (near.positions * MEASURED_IMAGES)
        return np.where(amount > 0, end * block_weights * (1 - share), 0.0)

    def _grid(self, of: Rectangles, width: int) -> tuple[Numbers, Numbers, Numbers, Numbers]:
        """Return (chip, core, rows, channels) of an even deal; width 1: of whole image rows."""
        all_rows = of.rows * width
        n_rows = np.ptp(all_rows, axis=1)
        chunks = -(-np.ptp(of.channels, axis=1) // CHUNK)
        shapes = np.stack([n_rows, chunks, self._computing], axis=1)
        shapes[(n_rows == 0) | (chunks == 0)] = 0
        kinds, kind = np.unique(shapes, axis=0, return_inverse=True)
        found = []
        for number, (rows, high, cores) in enumerate(kinds.tolist()):
            if not rows:
                continue
            chips = np.flatnonzero(kind.ravel() == number)
            core, top, bottom, first, end = _rectangles(rows, high, cores)
            n = len(core)
            start, left, right = (
                np.repeat(each[chips], n)
                for each in (all_rows[:, 0], of.channels[:, 0], of.channels[:, 1])
            )
            one, two, three, four, five = (
                np.tile(each, len(chips)) for each in (core, top, bottom, first, end)
            )
            found.append(
                np.stack(
                    [
                        np.repeat(chips, n), one, start + two, start + three,
                        left + four * CHUNK, np.minimum(left + five * CHUNK, right),
                    ]
                )
            )  # fmt: skip
        chip, core, top, bottom, first, end = np.concatenate(found, axis=1).astype(np.int32)
        return chip, core, np.stack([top, bottom], axis=1), np.stack([first, end], axis=1)


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


@cache
def _rectangles(n_rows: int, chunks: int, cores: int) -> tuple[Ints, ...]:
    """Return (core, first row, end, first chunk, end) of an even deal of rows x chunks."""
    cuts = [n_rows * chunks * core // cores for core in range(cores + 1)]
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


@cache
def _blocks(n_rows: int, blocks: int, cores: int) -> tuple[Ints, ...]:
    """Return (core, first row, end, block) of an even deal, every block by itself."""
    core, top, bottom, first, end = _rectangles(n_rows, blocks, cores)
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
