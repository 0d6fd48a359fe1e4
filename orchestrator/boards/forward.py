"""Forward pass of one ghost batch, in training, in calibration and in evaluation."""

from enum import Enum, auto
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from orchestrator.boards.tensors import UINT8, Array, Pass, Tensor
from orchestrator.dfp import (
    LIMIT13,
    LOGIT_EXPONENT,
    MASTER_EXPONENT,
    absolute_bits,
    exact_exponent,
    half_up,
    mantissa16,
)
from orchestrator.model.lower import ApplyOp, Branch, ConvOp, DropoutOp, PoolOp
from orchestrator.model.ops_apply import NormSource
from orchestrator.model.shapes import DropoutKey, Sums
from orchestrator.philox import tensor_id


class Mode(Enum):
    """What a forward pass is for."""

    TRAINING = auto()
    """A backward pass follows; statistics are the ghost batch's own."""

    EVALUATION = auto()
    """Running statistics, and exponents from the histories alone, so that an image's logits depend
    on nothing but the image."""

    CALIBRATION = auto()
    """Evaluation of weights without histories: exponents come from these images, and their bit
    lengths are recorded."""


class Forward:
    """Runs the operations of a pass in order.

    Parameters
    ----------
    state : the pass; its activations and sums are filled in. In evaluation and calibration, what
        is no longer needed is released at once.
    mode : what the pass is for.
    """

    def __init__(self, state: Pass, mode: Mode = Mode.TRAINING) -> None:
        self.state = state
        self.training = mode is Mode.TRAINING
        self.frozen = mode is Mode.EVALUATION

    def run(self, x: Tensor) -> Array:
        """Return the logits, int16 [n, classes] on 2^-10, of the input mantissas."""
        state = self.state
        state.activations[state.plan.input] = x
        last_use = {} if self.training else _last_uses(state)
        for i, op in enumerate(state.plan.ops):
            match op:
                case ConvOp():
                    self._conv(op)
                case ApplyOp():
                    self._apply(op)
                case PoolOp():
                    self._pool(op)
                case DropoutOp():
                    self._dropout(op)
            for store, name in last_use.get(i, ()):
                state.arena.give(getattr(state, store).pop(name).data)
        logits = state.sums[state.plan.logits.output].data
        return logits.reshape(state.shapes.n, -1)

    def _conv(self, op: ConvOp) -> None:
        state = self.state
        x, w = state.activations[op.input], state.weights.copies[op.weight]
        exponent = x.exponent + w.exponent
        bias = None
        if op.bias is not None:
            master = state.weights.masters[op.bias].astype(np.int64)
            bias = half_up(master, exponent - MASTER_EXPONENT)
        shape = state.shapes.conv[op.name]
        y = state.take(op.output)

        def write(shift: int) -> Sums:
            return state.kernels.conv_forward(
                shape, x.data.reshape(shape.x_shape), w.data, bias, shift, y
            )

        if op is state.plan.logits:
            sums = write(LOGIT_EXPONENT - exponent)
            state.saturated["logits"] += sums.saturated
            state.sums[op.output] = Tensor(y, LOGIT_EXPONENT)
            return
        key = f"y:{op.name}"
        chosen = state.histories.exponent(key)
        if chosen is None and self.frozen:
            chosen = exponent
        if chosen is None:
            chosen = exact_exponent(write(0).bits, exponent)
        sums = write(chosen - exponent)
        if not self.frozen:
            state.histories.record(key, absolute_bits(sums.bits, exponent))
        state.saturated["y"] += sums.saturated
        state.sums[op.output] = Tensor(y, chosen)

    def _branch(self, branch: Branch) -> Any:
        """Return a convolution's sums and their batch norm, ready to be applied."""
        state = self.state
        y = state.sums[branch.y]
        source = None
        if (norm := branch.norm) is not None:
            source = NormSource(
                state.weights.masters[norm.gamma],
                state.weights.masters[norm.beta],
                norm.layer.epsilon,
                state.running.step_sums(norm) if self.training else state.running.statistics(norm),
                not self.training,
            )
        rows = state.rows(branch.y, y.data)
        ready = state.kernels.branch(rows, y.exponent, source, frozen=self.frozen)
        if self.training:
            state.branches[branch.y] = ready
        return ready

    def _identity(self, name: str) -> Any:
        """Return a stored activation, ready to be added."""
        state = self.state
        tensor = state.activations[name]
        return state.kernels.branch(
            state.rows(name, tensor.data),
            tensor.exponent,
            None,
            tensor.extremes,
            frozen=self.frozen,
        )

    def _apply(self, op: ApplyOp) -> None:
        state = self.state
        main = self._branch(op.main)
        shortcut = None
        if isinstance(op.shortcut, Branch):
            shortcut = self._branch(op.shortcut)
        elif op.shortcut is not None:
            shortcut = self._identity(op.shortcut)
        key = f"a:{op.name}"
        frozen_bits = state.histories.frozen(key) if self.frozen else None
        out = state.take(op.output)
        applied = state.kernels.apply_forward(
            main, shortcut, op.relu, frozen_bits, state.rows(op.output, out)
        )
        if not self.frozen:
            state.histories.record(key, applied.bits)
        state.saturated["a"] += applied.saturated
        state.activations[op.output] = Tensor(out, applied.exponent, (applied.lo, applied.hi))

    def _pool(self, op: PoolOp) -> None:
        state = self.state
        x = state.activations[op.input]
        shape = state.shapes.pool[op.name]
        out = state.take(op.output)
        if op.kind == "max":
            index = state.take(op.output, UINT8)
            state.kernels.max_pool_forward(shape, x.data, out, index)
            if self.training:
                state.pool_indices[op.name] = index
            else:
                state.arena.give(index)
        else:
            m, e = mantissa16_of_area(*op.kernel)
            state.kernels.avg_pool_forward(shape, x.data, m, -e, out)
        state.activations[op.output] = Tensor(out, x.exponent)

    def _dropout(self, op: DropoutOp) -> None:
        state = self.state
        x = state.activations[op.input]
        out = state.take(op.output)
        if not self.training or state.address is None:
            np.copyto(out, x.data)
            state.activations[op.output] = x._replace(data=out)
            return
        m, e = op.scale
        state.saturated["a"] += state.kernels.dropout(
            x.data, dropout_key(op, state), op.threshold, m, LIMIT13, out
        )
        state.activations[op.output] = Tensor(out, x.exponent + 16 + e)


def dropout_key(op: DropoutOp, state: Pass) -> DropoutKey:
    """Return the address of a dropout layer's random words in this ghost batch."""
    assert state.address is not None
    a = state.address
    return DropoutKey(a.seed, a.epoch, tensor_id(op.name), a.positions)


@cache
def mantissa16_of_area(height: int, width: int) -> tuple[int, int]:
    """Return 1/(area of a window) as a 16-bit mantissa and exponent."""
    return mantissa16(Fraction(1, height * width))


def _last_uses(state: Pass) -> dict[int, list[tuple[str, str]]]:
    """Return, by operation, the tensors that nothing later reads."""
    last: dict[tuple[str, str], int] = {}
    for i, op in enumerate(state.plan.ops):
        if isinstance(op, ApplyOp):
            last["sums", op.main.y] = i
            if isinstance(op.shortcut, Branch):
                last["sums", op.shortcut.y] = i
            elif op.shortcut is not None:
                last["activations", op.shortcut] = i
        else:
            last["activations", op.input] = i
    ends: dict[int, list[tuple[str, str]]] = {}
    for (store, name), i in last.items():
        ends.setdefault(i, []).append((store, name))
    return ends
