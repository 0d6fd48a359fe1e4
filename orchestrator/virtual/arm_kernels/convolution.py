"""Convolutions and their input gradients on an emulated core."""

import numpy as np

from orchestrator.boards.kernel_arguments import (
    address,
    finish_of,
    optional_address,
    output_address,
    shift_of,
)
from orchestrator.model.shapes import ConvShape, Sums
from orchestrator.virtual.arm_kernels.runner import Array, TaskDoor
from orchestrator.virtual.arm_kernels.weights import board_input, pack_blocks, packed_words
from orchestrator.virtual.conv_geometry import (
    Geometry,
    forward_geometry,
    input_gradient_geometry,
)
from orchestrator.virtual.conv_program import Rounding, prepare
from orchestrator.virtual.layout import chunks_of, from_board, to_board
from orchestrator.virtual.tasks_element import CHUNK
from orchestrator.virtual.tasks_weights import Pack, PackOrder


class ConvKernels(TaskDoor):
    """Part of `ArmKernels`."""

    def conv_forward(
        self, shape: ConvShape, x: Array, w: Array, bias: Array | None, shift: int, y: Array
    ) -> Sums:
        """Write y = sat16(half_up(x * w + bias, shift))."""
        self.clear()
        address("x", x, np.int16, shape.x_shape)
        address("w", w, np.int16, shape.w_shape)
        optional_address("bias", bias, np.int64, (shape.k,))
        output_address("y", y, np.int16, shape.y_shape)
        padded = None if bias is None else np.pad(bias, (0, -bias.size % CHUNK))
        return self._convolve(
            forward_geometry(shape),
            Rounding(shift_of(shift), bias=bias is not None),
            self._pack(PackOrder.FORWARD, shape, w),
            y.reshape(shape.y_shape),
            input=self.put(board_input(x.reshape(shape.x_shape))),
            bias=self.put_optional(padded),
        )

    def conv_input_gradient(
        self,
        shape: ConvShape,
        e: Array,
        w: Array,
        addend: Array | None,
        acc_shift: int,
        addend_shift: int,
        mask: Array | None,
        shift: int,
        d: Array,
    ) -> Sums:
        """Write d = sat16(half_up(aligned sum of e * w^T and addend, shift)), 0 where mask <= 0."""
        self.clear()
        address("e", e, np.int16, shape.y_shape)
        address("w", w, np.int16, shape.w_shape)
        output_address("d", d, np.int16, shape.x_shape)
        finish = finish_of(shape.x_shape, addend, acc_shift, addend_shift, mask, shift)
        rounding = Rounding(
            *(finish.shift, finish.acc_shift, finish.addend_shift),
            addend=addend is not None,
            mask=mask is not None,
        )
        return self._convolve(
            input_gradient_geometry(shape),
            rounding,
            self._pack(PackOrder.INPUT_GRADIENT, shape, w),
            d.reshape(shape.x_shape),
            input=self.put(to_board(e.reshape(shape.y_shape))),
            addend=0 if addend is None else self.put(to_board(addend.reshape(shape.x_shape))),
            mask=0 if mask is None else self.put(to_board(mask.reshape(shape.x_shape))),
        )

    def _pack(self, order: PackOrder, shape: ConvShape, w: Array) -> Pack:
        """Return the task that packs weights, with them in SDRAM."""
        return Pack(
            source=self.put(w),
            target=self.take(4 * packed_words(order, shape.w_shape)),
            order=order,
            **{name: getattr(shape, name) for name in ("c", "k", "r", "s", "stride", "pad")},
            block_first=0,
            blocks=pack_blocks(order, shape.w_shape),
        )

    def _convolve(
        self, geometry: Geometry, rounding: Rounding, pack: Pack, out: Array, **operands: int
    ) -> Sums:
        """Pack the weights, run a prepared task, and fetch its output [n, h, w, c]."""
        program = prepare(geometry, rounding, self.symbols)
        task = program.task
        for name, where in operands.items():
            setattr(task, name, where)
        n, h, w, c = out.shape
        board_shape = (n, chunks_of(c), h, w, CHUNK)
        task.weights = pack.target
        task.output = self.take(2 * int(np.prod(board_shape)))
        task.report = self.take(16)
        task.tables = self.put(np.frombuffer(program.tables, np.uint8))
        task.lists = self.put(np.frombuffer(program.lists, np.uint8))
        self.run(pack)
        self.run(task)
        out[...] = from_board(self.get(task.output, np.int16, board_shape), c)
        return Sums(*self.report(task.report))
