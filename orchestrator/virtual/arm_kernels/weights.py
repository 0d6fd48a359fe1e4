"""Gradients of weights and biases on an emulated core."""

from typing import Final

import numpy as np

from orchestrator.boards.kernel_arguments import address, output_address, shift_of
from orchestrator.model.shapes import ConvShape, Sums
from orchestrator.virtual.arm_kernels.norm import NormKernels
from orchestrator.virtual.arm_kernels.runner import Array
from orchestrator.virtual.layout import chunks_of, to_board
from orchestrator.virtual.tasks_element import CHUNK
from orchestrator.virtual.tasks_weights import Accumulate, PackOrder, WeightGradient

IMAGE_CHANNELS: Final = 4
"""A tensor of at most so many channels lies in SDRAM as [n, h, w, 4]."""

_SIZES: Final = ("n", "h", "w", "c", "k", "r", "s", "stride", "pad", "p", "q")


def board_input(x: Array) -> Array:
    """Return a convolution's input [n, h, w, c] as it lies on a board."""
    channels = x.shape[-1]
    if channels > IMAGE_CHANNELS:
        return to_board(x)
    return np.pad(x, ((0, 0), (0, 0), (0, 0), (0, IMAGE_CHANNELS - channels)))


def whole_gradient(shape: ConvShape, **fields: int) -> WeightGradient:
    """Return the task of a whole layer: the share of one core that has it for itself."""
    sizes = {name: getattr(shape, name) for name in _SIZES}
    return WeightGradient(
        **sizes,
        **fields,
        output_first=0,
        output_chunks=chunks_of(shape.k),
        row_first=0,
        rows=shape.r,
        input_first=0,
        input_chunks=chunks_of(shape.c),
    )


def pack_blocks(order: PackOrder, w_shape: tuple[int, ...]) -> int:
    """Return how many blocks of 4 outputs the packed weights [k, r, s, c] have, with padding."""
    outputs = w_shape[0] if order is PackOrder.FORWARD else w_shape[3]
    return chunks_of(outputs) * CHUNK // 4


def packed_words(order: PackOrder, w_shape: tuple[int, ...]) -> int:
    """Return the 32-bit words of the packed weights [k, r, s, c]."""
    k, r, s, c = w_shape
    forward = order is PackOrder.FORWARD
    if forward and c <= IMAGE_CHANNELS:
        reduction = IMAGE_CHANNELS
    else:
        reduction = chunks_of(c if forward else k) * CHUNK
    return pack_blocks(order, w_shape) * r * s * reduction * 2


class WeightKernels(NormKernels):
    """Part of `ArmKernels`."""

    def conv_weight_gradient(
        self, shape: ConvShape, e: Array, x: Array, shift: int | None, total: Array
    ) -> Sums:
        """Add sat16(half_up(e^T * x, shift)) to total; only measure where shift is None."""
        self.clear()
        address("e", e, np.int16, shape.y_shape)
        address("x", x, np.int16, shape.x_shape)
        output_address("total", total, np.int32, shape.w_shape)
        task = whole_gradient(
            shape,
            e=self.put(to_board(e.reshape(shape.y_shape))),
            x=self.put(board_input(x.reshape(shape.x_shape))),
            total=self.put(total),
            report=self.take(16),
            shift=shift_of(shift or 0),
            measure=shift is None,
        )
        self.run(task)
        total[...] = self.get(task.total, np.int32, total.shape)
        return Sums(*self.report(task.report))

    def channel_sums(self, e: Array) -> Array:
        """Return the exact sums over rows of [rows, c]: the backward sums without a y."""
        return self.affine_backward_sums(e, None)[0]

    def accumulate(self, v: Array, shift: int | None, total: Array) -> Sums:
        """Add sat16(half_up(v, shift)) to total; only measure where shift is None."""
        self.clear()
        address("v", v, np.int64, v.shape)
        output_address("total", total, np.int32, v.shape)
        task = Accumulate(
            v=self.put(v),
            total=self.put(total),
            count=v.size,
            shift=shift_of(shift or 0),
            measure=shift is None,
            report=self.take(16),
        )
        self.run(task)
        total[...] = self.get(task.total, np.int32, total.shape)
        return Sums(*self.report(task.report))
