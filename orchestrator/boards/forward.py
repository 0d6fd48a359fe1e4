"""Forward pass of one ghost batch, in training, in calibration and in evaluation."""

from fractions import Fraction

import numpy as np

from orchestrator.boards.running import RunningStatistics
from orchestrator.boards.tensors import Array, Pass, Tensor
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
from orchestrator.model.norm import (
    IdentityShortcut,
    NormBranch,
    batch_statistics,
    forward_coefficients,
    normalised,
    plain,
    running_contribution,
)
from orchestrator.model.shapes import ConvShape, DropoutKey, PoolShape, Sums
from orchestrator.philox import tensor_id


def conv_shape(op: ConvOp, n: int) -> ConvShape:
    """Return the kernel's shape of a convolution for n images."""
    return ConvShape(
        n, op.height, op.width, op.channels, op.filters, *op.kernel,
        op.stride, op.padding, op.out_height, op.out_width,
    )  # fmt: skip


def pool_shape(op: PoolOp, n: int) -> PoolShape:
    """Return the kernel's shape of a pool for n images."""
    return PoolShape(
        n, op.height, op.width, op.channels, *op.kernel,
        op.stride, op.padding, op.out_height, op.out_width,
    )  # fmt: skip


class Forward:
    """Runs the operations of a pass in order.

    Parameters
    ----------
    state : the pass; its activations and sums are filled in.
    running : evaluation: batch norm's running statistics. Exponents then come from the histories
        alone, so that an image's logits depend on nothing but the image, and what is no longer
        needed is released at once. None in training: statistics are the ghost batch's own.
    calibrating : evaluation of weights without histories: exponents come from these images, and
        their bit lengths are recorded.
    """

    def __init__(
        self, state: Pass, running: RunningStatistics | None = None, *, calibrating: bool = False
    ) -> None:
        self.state = state
        self.running = running
        self.frozen = running is not None and not calibrating

    def run(self, x: Tensor) -> Array:
        """Return the logits, int16 [n, classes] on 2^-10, of the input mantissas."""
        state = self.state
        state.activations[state.plan.input] = x
        last_use = _last_uses(state) if self.running is not None else {}
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
        return logits.reshape(state.n, -1)

    def _conv(self, op: ConvOp) -> None:
        state = self.state
        x, w = state.activations[op.input], state.weights.copies[op.weight]
        exponent = x.exponent + w.exponent
        bias = None
        if op.bias is not None:
            master = state.weights.masters[op.bias].astype(np.int64)
            bias = half_up(master, exponent - MASTER_EXPONENT)
        shape = conv_shape(op, state.n)
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

    def _branch(self, branch: Branch) -> NormBranch:
        """Return a branch's statistics and parameters, ready for coefficients."""
        state = self.state
        y = state.sums[branch.y]
        rows = state.rows(branch.y, y.data)
        norm = branch.norm
        lo: Array | None = None
        hi: Array | None = None
        if not self.frozen:
            s1, s2, lo, hi = state.kernels.channel_statistics(rows)
        if norm is None:
            return plain(exponent=y.exponent, lo=lo, hi=hi, channels=rows.shape[1])
        if self.running is not None:
            statistics = self.running.statistics(norm, y.exponent)
        else:
            statistics = batch_statistics(s1, s2, rows.shape[0])
            state.contributions[norm.gamma] = running_contribution(statistics, y.exponent)
        return normalised(
            exponent=y.exponent,
            lo=lo,
            hi=hi,
            gamma=state.weights.masters[norm.gamma],
            beta=state.weights.masters[norm.beta],
            statistics=statistics,
            epsilon=norm.layer.epsilon,
        )

    def _identity(self, name: str) -> IdentityShortcut:
        """Return a stored activation as a shortcut, with its extremes where a bound needs them."""
        tensor = self.state.activations[name]
        lo, hi = tensor.lo, tensor.hi
        if lo is None and not self.frozen:
            rows = self.state.rows(name, tensor.data)
            _, _, lo, hi = self.state.kernels.channel_statistics(rows)
        return IdentityShortcut(exponent=tensor.exponent, lo=lo, hi=hi)

    def _apply(self, op: ApplyOp) -> None:
        state = self.state
        main = self._branch(op.main)
        z: Array | None = None
        shortcut: NormBranch | IdentityShortcut | None = None
        if isinstance(op.shortcut, Branch):
            shortcut = self._branch(op.shortcut)
            z = state.rows(op.shortcut.y, state.sums[op.shortcut.y].data)
        elif op.shortcut is not None:
            shortcut = self._identity(op.shortcut)
            z = state.rows(op.shortcut, state.activations[op.shortcut].data)
        key = f"a:{op.name}"
        c = forward_coefficients(
            main,
            shortcut,
            relu=op.relu,
            frozen_bits=state.histories.frozen(key) if self.frozen else None,
        )
        if not self.frozen:
            state.histories.record(key, c.bits)
        if self.running is None:
            state.branches[op.main.y] = main
            if isinstance(op.shortcut, Branch):
                assert isinstance(shortcut, NormBranch)
                state.branches[op.shortcut.y] = shortcut
        out = state.take(op.output)
        y = state.rows(op.main.y, state.sums[op.main.y].data)
        saturated, lo, hi = state.kernels.affine_forward(
            y, c.a, c.b, z, c.r, c.shift, op.relu, state.rows(op.output, out)
        )
        state.saturated["a"] += saturated
        state.activations[op.output] = Tensor(out, c.exponent, lo, hi)

    def _pool(self, op: PoolOp) -> None:
        state = self.state
        x = state.activations[op.input]
        shape = pool_shape(op, state.n)
        out = state.take(op.output)
        if op.kind == "max":
            index = state.take(op.output, np.uint8)
            state.kernels.max_pool_forward(shape, x.data, out, index)
            if self.running is not None:
                state.arena.give(index)
            else:
                state.pool_indices[op.name] = index
        else:
            m, e = mantissa16_of_area(op)
            state.kernels.avg_pool_forward(shape, x.data, m, -e, out)
        state.activations[op.output] = Tensor(out, x.exponent)

    def _dropout(self, op: DropoutOp) -> None:
        state = self.state
        x = state.activations[op.input]
        out = state.take(op.output)
        if self.running is not None or state.address is None:
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


def mantissa16_of_area(op: PoolOp) -> tuple[int, int]:
    """Return 1/(window area) as a 16-bit mantissa and exponent."""
    return mantissa16(Fraction(1, op.kernel[0] * op.kernel[1]))


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
