"""Backward pass of one ghost batch: errors to gradients, from the logits to the first layer."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from orchestrator.boards.forward import dropout_key, mantissa16_of_area
from orchestrator.boards.tensors import Array, Pass, Tensor
from orchestrator.dfp import (
    LIMIT16,
    LOGIT_ERROR_EXPONENT,
    absolute_bits,
    align,
    exact_exponent,
)
from orchestrator.model.lower import ApplyOp, Branch, ConvOp, DropoutOp, PoolOp
from orchestrator.model.ops_apply import Gradient
from orchestrator.model.shapes import PoolShape, Sums

Write = Callable[[Array | None, int, int, Array | None, int, Array], Sums]
"""(addend, its accumulator's shift, its own shift, mask, shift, out) -> what was rounded."""


class Backward:
    """Runs the operations of a pass in reverse.

    Parameters
    ----------
    state : the pass after its forward run.
    gradients : int32 view by parameter name; every gradient is added to its view.
    exponents : the gradient exponents of this step; None where a gradient has no history and
        counts as zero.
    """

    def __init__(
        self,
        state: Pass,
        gradients: Mapping[str, NDArray[np.int32]],
        exponents: Mapping[str, int | None],
    ) -> None:
        self.state = state
        self.gradients = gradients
        self.exponents = exponents
        self.errors: dict[str, Tensor] = {}
        self.partial: dict[str, Tensor] = {}
        self.waiting = dict(state.plan.contributions)

    def run(self, error: Array) -> None:
        """Send the 13-bit error [n, classes] of the logits back through the network."""
        state = self.state
        logits = state.plan.logits
        self.errors[logits.output] = Tensor(error, LOGIT_ERROR_EXPONENT)
        state.arena.give(state.sums.pop(logits.output).data)
        for op in reversed(state.plan.ops):
            match op:
                case ConvOp():
                    self._conv(op)
                case ApplyOp():
                    self._apply(op)
                case PoolOp():
                    self._pool(op)
                case DropoutOp():
                    self._dropout(op)
            if not isinstance(op, ConvOp):
                self._release(state.activations.pop(op.output).data)

    def _release(self, data: Array) -> None:
        self.state.arena.give(data)

    def _conv(self, op: ConvOp) -> None:
        state = self.state
        e = self.errors.pop(op.output)
        x, w = state.activations[op.input], state.weights.copies[op.weight]
        shape = state.shapes.conv[op.name]
        e_data, x_data = e.data.reshape(shape.y_shape), x.data.reshape(shape.x_shape)
        exponent = e.exponent + x.exponent
        chosen = self.exponents[op.weight]
        sums = state.kernels.conv_weight_gradient(
            shape,
            e_data,
            x_data,
            None if chosen is None else chosen - exponent,
            self.gradients[op.weight].reshape(shape.w_shape),
        )
        self._note_gradient(op.weight, sums, exponent)
        if op.bias is not None:
            total = state.kernels.channel_sums(e_data.reshape(-1, op.filters))
            self._gradient(op.bias, total, e.exponent)
        if op.input != state.plan.input:

            def write(
                addend: Array | None,
                acc_shift: int,
                addend_shift: int,
                mask: Array | None,
                shift: int,
                out: Array,
            ) -> Sums:
                return state.kernels.conv_input_gradient(
                    shape,
                    e_data,
                    w.data,
                    None if addend is None else addend.reshape(shape.x_shape),
                    acc_shift,
                    addend_shift,
                    None if mask is None else mask.reshape(shape.x_shape),
                    shift,
                    out.reshape(shape.x_shape),
                )

            self._deliver(op.input, op.name, e.exponent + w.exponent, write)
        self._release(e.data)

    def _deliver(self, tensor: str, consumer: str, exponent: int, write: Write) -> None:
        """Add one consumer's error to a tensor's, rounded once; the last one applies the mask."""
        state = self.state
        addend = self.partial.pop(tensor, None)
        self.waiting[tensor] -= 1
        masked = self.waiting[tensor] == 0 and tensor in state.plan.masked
        mask = state.activations[tensor].data if masked else None
        acc_shift = addend_shift = 0
        if addend is not None:
            exponent, acc_shift, addend_shift = align(exponent, addend.exponent)
        data = None if addend is None else addend.data
        key = f"d:{tensor}:{consumer}"
        out = state.take(tensor)
        chosen = state.histories.exponent(key)
        if chosen is None:
            sums = write(data, acc_shift, addend_shift, mask, 0, out)
            chosen = exact_exponent(sums.bits, exponent)
        sums = write(data, acc_shift, addend_shift, mask, chosen - exponent, out)
        state.histories.record(key, absolute_bits(sums.bits, exponent))
        state.saturated["d"] += sums.saturated
        if addend is not None:
            self._release(addend.data)
        self.partial[tensor] = Tensor(out, chosen)

    def _hand_through(self, tensor: str, consumer: str, d: Tensor) -> None:
        """Add an error that reaches a tensor unchanged (takes ownership of ``d``)."""
        state = self.state
        last = self.waiting[tensor] == 1
        if tensor not in self.partial and not (last and tensor in state.plan.masked):
            self.waiting[tensor] -= 1
            self.partial[tensor] = d
            return
        n, h, w, c = state.shapes.tensors[tensor]
        shape = PoolShape(n, h, w, c, 1, 1, 1, 0, h, w)
        self._window(tensor, consumer, shape, d, None)
        self._release(d.data)

    def _window(
        self, tensor: str, consumer: str, shape: PoolShape, d: Tensor, index: Array | None
    ) -> None:
        def write(
            addend: Array | None,
            acc_shift: int,
            addend_shift: int,
            mask: Array | None,
            shift: int,
            out: Array,
        ) -> Sums:
            return self.state.kernels.window_backward(
                shape, d.data, index, addend, acc_shift, addend_shift, mask, shift, out
            )

        self._deliver(tensor, consumer, d.exponent, write)

    def _apply(self, op: ApplyOp) -> None:
        state = self.state
        d = self.partial.pop(op.output)
        self._branch_error(op.main, d)
        if isinstance(op.shortcut, Branch):
            self._branch_error(op.shortcut, d)
        if isinstance(op.shortcut, str) and op.shortcut != state.plan.input:
            self._hand_through(op.shortcut, op.name, d)
        else:
            self._release(d.data)

    def _branch_error(self, branch: Branch, d: Tensor) -> None:
        """Write the 13-bit error at the sums of one branch; add its batch norm's gradients."""
        state = self.state
        norm = branch.norm
        names = () if norm is None else (norm.gamma, norm.beta)
        e = state.take(branch.y)
        carried = state.kernels.apply_backward(
            state.branches.pop(branch.y),
            state.rows(branch.y, d.data),
            d.exponent,
            state.dithers[branch.y],
            state.rows(branch.y, e),
            tuple(Gradient(self.gradients[name], self.exponents[name]) for name in names),
        )
        for name, rounded in zip(names, carried.gradients, strict=True):
            state.histories.record(f"g:{name}", rounded.bits)
            state.saturated["g"] += rounded.saturated
        state.saturated["e"] += carried.saturated
        self.errors[branch.y] = Tensor(e, carried.exponent)
        self._release(state.sums.pop(branch.y).data)

    def _gradient(self, name: str, total: NDArray[np.int64], exponent: int) -> None:
        chosen = self.exponents[name]
        shift = None if chosen is None else chosen - exponent
        sums = self.state.kernels.accumulate(total, shift, self.gradients[name])
        self._note_gradient(name, sums, exponent)

    def _note_gradient(self, name: str, sums: Sums, exponent: int) -> None:
        self.state.histories.record(f"g:{name}", absolute_bits(sums.bits, exponent))
        self.state.saturated["g"] += sums.saturated

    def _pool(self, op: PoolOp) -> None:
        state = self.state
        d = self.partial.pop(op.output)
        shape = state.shapes.pool[op.name]
        if op.kind == "max":
            index = state.pool_indices.pop(op.name)
            if op.input != state.plan.input:
                self._window(op.input, op.name, shape, d, index)
            self._release(index)
        elif op.input != state.plan.input:
            m, e = mantissa16_of_area(*op.kernel)
            scaled = state.take(op.output)
            state.saturated["d"] += state.kernels.scale16(d.data, m, 16, LIMIT16, scaled)
            self._window(op.input, op.name, shape, Tensor(scaled, d.exponent + 16 + e), None)
            self._release(scaled)
        self._release(d.data)

    def _dropout(self, op: DropoutOp) -> None:
        state = self.state
        d = self.partial.pop(op.output)
        if op.input != state.plan.input:
            m, e = op.scale
            out = state.take(op.output)
            state.saturated["d"] += state.kernels.dropout(
                d.data, dropout_key(op, state), op.threshold, m, LIMIT16, out
            )
            self._hand_through(op.input, op.name, Tensor(out, d.exponent + 16 + e))
        self._release(d.data)
