"""The compiled kernels behind the same functions as the oracle, `orchestrator.model.ops`.

Every array is checked here, because C cannot: type, sizes and memory layout. Axes of length 1 do
not matter, so that a dense layer's tensors need no reshaping. The interpreter lock is free while a
kernel runs.
"""

import os
import threading
import weakref
from ctypes import CDLL, addressof, byref, c_int64
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from orchestrator.boards.kernel_arguments import (
    INT16,
    INT32,
    INT64,
    UINT8,
    Array,
    address,
    check_labels,
    check_range,
    conv_sizes,
    finish_of,
    matrix_of,
    optional_address,
    output_address,
    pool_sizes,
    scalar_of,
    shift_of,
)
from orchestrator.boards.kernel_library import (
    NO_BITS,
    AppliedReport,
    BranchInput,
    Channel,
    GradientReport,
    NormInput,
    PoolSizes,
    Scores,
    SumsReport,
    choose_set,
    load_library,
)
from orchestrator.dfp import MASTER_EXPONENT, MOMENTUM_EXPONENT, absolute_bits, epsilon_q16
from orchestrator.errors import ArgumentError, MissingToolError
from orchestrator.model.ops_apply import Applied, Carried, Gradient, NormSource, Rounded
from orchestrator.model.shapes import ConvShape, DropoutKey, PoolShape, Sums

KERNELS_VARIABLE = "REGATTA_KERNELS"
"""Environment variable that forces a kernel set."""

_FORWARD, _INPUT_GRADIENT, _WEIGHT_GRADIENT = range(3)
_ALIGNMENT = 64
_MOST_THREADS = 1024
_epsilon_q16 = lru_cache(maxsize=4096)(epsilon_q16)


def open_kernels(threads: int = 1, kernel_set: str | None = None) -> "NativeKernels":
    """Return the compiled kernels.

    Parameters
    ----------
    threads : how many threads a call may use, the caller included; results do not depend on it.
    kernel_set : one of `kernel_library.KERNEL_SETS`; None takes what the environment variable
        REGATTA_KERNELS names, or else the best set this processor runs.

    Raises
    ------
    ArgumentError
        The set is unknown or not for this processor, or threads is out of range.
    MissingToolError
        The kernels were not built.
    """
    if kernel_set is None and KERNELS_VARIABLE in os.environ:
        try:
            kernel_set = choose_set(os.environ[KERNELS_VARIABLE])
        except ArgumentError as error:
            raise ArgumentError(f"{KERNELS_VARIABLE}: {error}") from None
    return NativeKernels(threads, choose_set(kernel_set))


class _ConvPlan:
    """What every call of one convolution hands to C, made once per shape."""

    def __init__(self, library: CDLL, shape: ConvShape, threads: int) -> None:
        self.sizes = conv_sizes(shape)
        self.x_shape, self.w_shape, self.y_shape = shape.x_shape, shape.w_shape, shape.y_shape
        self.scratch_bytes = tuple(
            int(library.bk_conv_scratch_bytes(byref(self.sizes), conv_pass, threads))
            for conv_pass in (_FORWARD, _INPUT_GRADIENT, _WEIGHT_GRADIENT)
        )


@dataclass(slots=True)
class _Branch:
    """``struct bk_branch`` and the memory it points to."""

    c: BranchInput
    y: Array
    channel: Any
    measured: bool
    """Whether the extremes of y are known."""


class NativeKernels:
    """A compiled kernel set and its threads; calls from several threads take turns.

    Parameters
    ----------
    threads : 1 .. 1024.
    kernel_set : a set this processor runs, from `open_kernels`.

    Attributes
    ----------
    name : the kernel set.
    threads : as given.
    """

    def __init__(self, threads: int, kernel_set: str) -> None:
        if not 1 <= threads <= _MOST_THREADS:
            raise ArgumentError(f"threads is {threads}: it must be 1 .. {_MOST_THREADS}")
        self.name = kernel_set
        self.threads = threads
        self._c = load_library(kernel_set)
        self._lock = threading.Lock()
        self._memory = np.empty(0, UINT8)
        self._scratch_at = 0
        self._conv_plans: dict[ConvShape, _ConvPlan] = {}
        self._apply_scratch_bytes: dict[int, int] = {}
        self._team = self._c.bk_team_open(threads)
        if not self._team:
            raise MissingToolError(f"the system gave no {threads} threads; use fewer")
        weakref.finalize(self, self._c.bk_team_close, self._team)

    # ---- input ---------------------------------------------------------------------------------

    def normalise(self, pixels: Array, table: Array, out: Array) -> None:
        """Write the input mantissas of uint8 pixels [n, h, w, c] through table [256, c]."""
        channels = pixels.shape[-1]
        p_pixels = address("pixels", pixels, UINT8, pixels.shape)
        p_table = address("table", table, INT16, (256, channels))
        p_out = output_address("out", out, INT16, pixels.shape)
        with self._lock:
            self._c.bk_normalise(
                self._team, p_pixels, pixels.size // channels, channels, p_table, p_out
            )

    # ---- convolution ---------------------------------------------------------------------------

    def conv_forward(
        self, shape: ConvShape, x: Array, w: Array, bias: Array | None, shift: int, y: Array
    ) -> Sums:
        """Write y = sat16(half_up(x * w + bias, shift))."""
        plan, sums = self._conv_plan(shape), SumsReport()
        p_x = address("x", x, INT16, plan.x_shape)
        p_w = address("w", w, INT16, plan.w_shape)
        p_bias = optional_address("bias", bias, INT64, (shape.k,))
        p_y = output_address("y", y, INT16, plan.y_shape)
        with self._lock:
            scratch = self._scratch(plan.scratch_bytes[_FORWARD])
            self._c.bk_conv_forward(
                *(self._team, scratch, byref(plan.sizes), p_x, p_w, p_bias),
                *(shift_of(shift), p_y, byref(sums)),
            )
        return Sums(sums.bits, sums.saturated)

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
        plan, sums = self._conv_plan(shape), SumsReport()
        p_e = address("e", e, INT16, plan.y_shape)
        p_w = address("w", w, INT16, plan.w_shape)
        p_d = output_address("d", d, INT16, plan.x_shape)
        finish = finish_of(plan.x_shape, addend, acc_shift, addend_shift, mask, shift)
        with self._lock:
            scratch = self._scratch(plan.scratch_bytes[_INPUT_GRADIENT])
            self._c.bk_conv_input_gradient(
                self._team, scratch, byref(plan.sizes), p_e, p_w, byref(finish), p_d, byref(sums)
            )
        return Sums(sums.bits, sums.saturated)

    def conv_weight_gradient(
        self, shape: ConvShape, e: Array, x: Array, shift: int | None, total: Array
    ) -> Sums:
        """Add sat16(half_up(e^T * x, shift)) to total; only measure where shift is None."""
        plan, sums = self._conv_plan(shape), SumsReport()
        p_e = address("e", e, INT16, plan.y_shape)
        p_x = address("x", x, INT16, plan.x_shape)
        p_total = output_address("total", total, INT32, plan.w_shape)
        with self._lock:
            scratch = self._scratch(plan.scratch_bytes[_WEIGHT_GRADIENT])
            self._c.bk_conv_weight_gradient(
                *(self._team, scratch, byref(plan.sizes), p_e, p_x),
                *(shift is None, shift_of(shift or 0), p_total, byref(sums)),
            )
        return Sums(sums.bits, sums.saturated)

    def channel_sums(self, e: Array) -> Array:
        """Return the exact sums over rows of [rows, c]."""
        rows, channels = matrix_of("e", e)
        sums = np.empty(channels, np.int64)
        p_e = address("e", e, INT16, e.shape)
        with self._lock:
            scratch = self._statistics_scratch(channels)
            self._c.bk_channel_sums(self._team, scratch, p_e, rows, channels, sums.ctypes.data)
        return sums

    def accumulate(self, v: Array, shift: int | None, total: Array) -> Sums:
        """Add sat16(half_up(v, shift)) to total; only measure where shift is None."""
        sums = SumsReport()
        p_v = address("v", v, INT64, v.shape)
        p_total = output_address("total", total, INT32, v.shape)
        self._c.bk_accumulate(
            p_v, v.size, shift is None, shift_of(shift or 0), p_total, byref(sums)
        )
        return Sums(sums.bits, sums.saturated)

    # ---- batch norm, shortcut, ReLU ------------------------------------------------------------

    def branch(
        self,
        y: Array,
        exponent: int,
        norm: NormSource | None,
        extremes: tuple[Array, Array] | None = None,
        *,
        frozen: bool = False,
    ) -> _Branch:
        """Return sums y [rows, c] and their batch norm, ready for the two kernels below."""
        rows, channels = matrix_of("y", y)
        p_y = address("y", y, INT16, y.shape)
        channel = (Channel * channels)()
        branch = BranchInput(p_y, rows, channels, addressof(channel), exponent)
        p_norm = None if norm is None else byref(_norm_input(norm, channels, exponent))
        p_lo = p_hi = None
        if extremes is not None:
            p_lo = address("lo", extremes[0], INT32, (channels,))
            p_hi = address("hi", extremes[1], INT32, (channels,))
        with self._lock:
            scratch = self._apply_scratch(channels)
            self._c.bk_branch_ready(self._team, scratch, byref(branch), p_norm, p_lo, p_hi, frozen)
        return _Branch(branch, y, channel, extremes is not None or not frozen)

    def apply_forward(
        self,
        main: _Branch,
        shortcut: _Branch | None,
        relu: bool,
        frozen_bits: int | None,
        out: Array,
    ) -> Applied:
        """Write the 13-bit activation of two branches' sum."""
        channels, applied = main.c.channels, AppliedReport()
        if frozen_bits is None and not (main.measured and (shortcut is None or shortcut.measured)):
            raise ArgumentError(
                "a bound needs the extremes of y and of the shortcut, or frozen bits"
            )
        if shortcut is not None and shortcut.y.shape != main.y.shape:
            raise ArgumentError(
                f"a shortcut of shape {shortcut.y.shape} cannot be added to {main.y.shape}"
            )
        lo, hi = np.empty(channels, INT32), np.empty(channels, INT32)
        p_out = output_address("out", out, INT16, main.y.shape)
        p_lo = address("lo", lo, INT32, lo.shape)
        p_hi = address("hi", hi, INT32, lo.shape)
        p_shortcut = None if shortcut is None else byref(shortcut.c)
        with self._lock:
            scratch = self._apply_scratch(channels)
            self._c.bk_apply_forward(
                *(self._team, scratch, byref(main.c), p_shortcut, relu),
                *(NO_BITS if frozen_bits is None else frozen_bits, p_out, p_lo, p_hi),
                byref(applied),
            )
        bits = None if applied.bits == NO_BITS else applied.bits
        return Applied(applied.exponent, bits, applied.saturated, lo, hi)

    def apply_backward(
        self,
        main: _Branch,
        d: Array,
        exponent: int,
        seed: int,
        e: Array,
        gradients: tuple[Gradient, ...],
    ) -> Carried:
        """Write the 13-bit error at a branch's sums; add gamma's and beta's gradients."""
        channels, applied = main.c.channels, AppliedReport()
        if not main.measured:
            raise ArgumentError("a backward pass needs the extremes of y")
        if len(gradients) != (2 if main.c.normalised else 0):
            raise ArgumentError("gradients: give gamma's and beta's, or none without batch norm")
        p_d = address("d", d, INT16, main.y.shape)
        p_e = output_address("e", e, INT16, main.y.shape)
        reports = [_gradient_report(gradient, channels) for gradient in gradients]
        p_reports = [byref(report) for report in reports] or (None, None)
        with self._lock:
            scratch = self._apply_scratch(channels)
            self._c.bk_apply_backward(
                *(self._team, scratch, byref(main.c), p_d, exponent, seed, p_e, *p_reports),
                byref(applied),
            )
        rounded = (
            Rounded(absolute_bits(r.sums.bits, r.exponent), r.sums.saturated) for r in reports
        )
        return Carried(applied.exponent, applied.saturated, tuple(rounded))

    # ---- the passes these are made of ----------------------------------------------------------

    def channel_statistics(self, y: Array) -> tuple[Array, Array, Array, Array]:
        """Return sum, sum of squares, minimum and maximum of each channel of [rows, c]."""
        rows, channels = matrix_of("y", y)
        s1, s2 = np.empty(channels, np.int64), np.empty(channels, np.int64)
        lo, hi = np.empty(channels, np.int32), np.empty(channels, np.int32)
        p_y = address("y", y, INT16, y.shape)
        results = [array.ctypes.data for array in (s1, s2, lo, hi)]
        with self._lock:
            scratch = self._statistics_scratch(channels)
            self._c.bk_channel_statistics(self._team, scratch, p_y, rows, channels, *results)
        return s1, s2, lo, hi

    def affine_forward(
        self,
        y: Array,
        a: Array,
        b: Array,
        z: Array | None,
        r: Array | None,
        shift: int,
        relu: bool,
        out: Array,
    ) -> tuple[int, Array, Array]:
        """Write sat13(half_up(a*y + r*z + b, shift)); return saturations and channel extremes."""
        rows, channels = matrix_of("y", y)
        check_range("shift", shift, 30)
        if (z is None) != (r is None):
            raise ArgumentError("z and r: give both or neither")
        lo, hi = np.empty(channels, np.int32), np.empty(channels, np.int32)
        p_y = address("y", y, INT16, y.shape)
        p_z = optional_address("z", z, INT16, y.shape)
        p_a = address("a", a, INT32, (channels,))
        p_r = optional_address("r", r, INT32, (channels,))
        p_b = address("b", b, INT32, (channels,))
        p_out = output_address("out", out, INT16, y.shape)
        extremes = (lo.ctypes.data, hi.ctypes.data)
        with self._lock:
            scratch = self._statistics_scratch(channels)
            saturated = self._c.bk_affine_forward(
                *(self._team, scratch, p_y, p_z, rows, channels, p_a, p_r, p_b),
                *(shift, relu, p_out, *extremes),
            )
        return saturated, lo, hi

    def affine_backward_sums(self, d: Array, y: Array | None) -> tuple[Array, Array, Array]:
        """Return sum of d, sum of d*y and max |d| of each channel."""
        rows, channels = matrix_of("d", d)
        d1, d2 = np.empty(channels, np.int64), np.empty(channels, np.int64)
        top = np.empty(channels, np.int32)
        p_d = address("d", d, INT16, d.shape)
        p_y = optional_address("y", y, INT16, d.shape)
        results = [array.ctypes.data for array in (d1, d2, top)]
        with self._lock:
            scratch = self._statistics_scratch(channels)
            self._c.bk_affine_backward_sums(self._team, scratch, p_d, p_y, rows, channels, *results)
        return d1, d2, top

    def affine_backward(
        self,
        d: Array,
        y: Array | None,
        a: Array,
        c: Array,
        p: int,
        b: Array,
        shift: int,
        seed: int,
        e: Array,
    ) -> int:
        """Write e = sat13((a*d + c*half_up(y, p) + b + dither) >> shift); return saturations."""
        rows, channels = matrix_of("d", d)
        check_range("shift", shift, 30)
        check_range("p", p, 14)
        p_d = address("d", d, INT16, d.shape)
        p_y = optional_address("y", y, INT16, d.shape)
        p_a = address("a", a, INT32, (channels,))
        p_c = address("c", c, INT32, (channels,))
        p_b = address("b", b, INT32, (channels,))
        p_e = output_address("e", e, INT16, d.shape)
        with self._lock:
            scratch = self._statistics_scratch(channels)
            return int(
                self._c.bk_affine_backward(
                    *(self._team, scratch, p_d, p_y, rows, channels),
                    *(p_a, p_c, p, p_b, shift, seed, p_e),
                )
            )

    # ---- pools ---------------------------------------------------------------------------------

    def max_pool_forward(self, shape: PoolShape, x: Array, out: Array, index: Array) -> None:
        """Write each window's maximum and its position in the window."""
        if shape.kr * shape.ks > 256:
            raise ArgumentError(
                f"max pool kernel {shape.kr} x {shape.ks}: at most 256 elements; use a smaller one"
            )
        sizes = pool_sizes(shape)
        p_x = address("x", x, INT16, shape.x_shape)
        p_out = output_address("out", out, INT16, shape.y_shape)
        p_index = output_address("index", index, UINT8, shape.y_shape)
        with self._lock:
            self._c.bk_max_pool_forward(self._team, byref(sizes), p_x, p_out, p_index)

    def avg_pool_forward(self, shape: PoolShape, x: Array, m: int, q: int, out: Array) -> None:
        """Write half_up(window sum * m, q)."""
        sizes = pool_sizes(shape)
        p_x = address("x", x, INT16, shape.x_shape)
        p_out = output_address("out", out, INT16, shape.y_shape)
        with self._lock:
            scratch = self._pool_scratch(sizes)
            self._c.bk_avg_pool_forward(
                self._team, scratch, byref(sizes), p_x, m, shift_of(q), p_out
            )

    def window_backward(
        self,
        shape: PoolShape,
        d: Array,
        index: Array | None,
        addend: Array | None,
        acc_shift: int,
        addend_shift: int,
        mask: Array | None,
        shift: int,
        out: Array,
    ) -> Sums:
        """Send d back through its windows (all positions, or the one in index), align, round."""
        sizes, sums = pool_sizes(shape), SumsReport()
        p_d = address("d", d, INT16, shape.y_shape)
        p_index = optional_address("index", index, UINT8, shape.y_shape)
        p_out = output_address("out", out, INT16, shape.x_shape)
        finish = finish_of(shape.x_shape, addend, acc_shift, addend_shift, mask, shift)
        with self._lock:
            scratch = self._pool_scratch(sizes)
            self._c.bk_window_backward(
                self._team, scratch, byref(sizes), p_d, p_index, byref(finish), p_out, byref(sums)
            )
        return Sums(sums.bits, sums.saturated)

    # ---- element by element --------------------------------------------------------------------

    def scale16(self, x: Array, m: int, q: int, limit: int, out: Array) -> int:
        """Write half_up(x * m, q) clamped to +-limit; return saturations."""
        p_x = address("x", x, INT16, x.shape)
        p_out = output_address("out", out, INT16, x.shape)
        with self._lock:
            return int(
                self._c.bk_scale16(
                    self._team, self._count_scratch(), p_x, x.size, m, shift_of(q), limit, p_out
                )
            )

    def dropout(
        self, x: Array, key: DropoutKey, threshold: int, m: int, limit: int, out: Array
    ) -> int:
        """Write half_up(x * m, 16) where kept, 0 elsewhere; return saturations."""
        n = x.shape[0]
        p_x = address("x", x, INT16, x.shape)
        p_positions = address("positions", key.positions, INT64, (n,))
        p_out = output_address("out", out, INT16, x.shape)
        with self._lock:
            return int(
                self._c.bk_dropout(
                    *(self._team, self._count_scratch(), p_x, n, x.size // n, key.seed),
                    *(key.epoch, key.tensor, p_positions, threshold, m, limit, p_out),
                )
            )

    # ---- loss ----------------------------------------------------------------------------------

    def softmax_loss(
        self, logits: Array, labels: Array, t_on: int, t_off: int, seed: int, e: Array
    ) -> tuple[int, int]:
        """Write the 13-bit error; return the summed loss in Q0.24 and how many were right."""
        p_e = output_address("e", e, INT16, logits.shape)
        scores = self._softmax(logits, labels, (t_on, t_off), seed, p_e, None)
        return scores.loss_q24, scores.top1

    def evaluate_logits(
        self, logits: Array, labels: Array, t_on: int, t_off: int
    ) -> tuple[int, int, int, Array]:
        """Return summed loss (Q0.24), top-1 and top-5 counts and the predicted classes."""
        predicted = np.empty(logits.shape[0], np.int32)
        scores = self._softmax(logits, labels, (t_on, t_off), 0, None, predicted.ctypes.data)
        return scores.loss_q24, scores.top1, scores.top5, predicted

    def _softmax(
        self,
        logits: Array,
        labels: Array,
        targets: tuple[int, int],
        seed: int,
        e: int | None,
        predicted: int | None,
    ) -> Scores:
        n, classes = matrix_of("logits", logits)
        scores = Scores()
        p_logits = address("logits", logits, INT16, logits.shape)
        p_labels = address("labels", labels, INT32, (n,))
        check_labels(labels, classes)
        self._c.bk_softmax(
            p_logits, p_labels, n, classes, *targets, seed, e, predicted, byref(scores)
        )
        return scores

    # ---- masters -------------------------------------------------------------------------------

    def quantise(self, t: Array, shift: int, limit: int, out: Array) -> int:
        """Write clamp(half_up(t, shift)) as int16; return saturations."""
        p_t = address("t", t, INT32, t.shape)
        p_out = output_address("out", out, INT16, t.shape)
        with self._lock:
            return int(
                self._c.bk_quantise(
                    self._team, self._count_scratch(), p_t, t.size, shift_of(shift), limit, p_out
                )
            )

    def bits_i32(self, t: Array) -> int:
        """Return the OR of t ^ (t >> 31)."""
        p_t = address("t", t, INT32, t.shape)
        with self._lock:
            return int(self._c.bk_bits_i32(self._team, self._count_scratch(), p_t, t.size))

    def update(
        self,
        w: Array,
        v: Array,
        g: Array,
        m: tuple[int, int],
        l: tuple[int, int],  # noqa: E741  (the numerics page calls the three scalars m, l, d)
        d: tuple[int, int],
        ahead: tuple[int, int] | None,
    ) -> tuple[int, int]:
        """Step momentum and masters in place; return their saturations."""
        p_w = output_address("w", w, INT32, w.shape)
        p_v = output_address("v", v, INT32, w.shape)
        p_g = address("g", g, INT32, w.shape)
        saturated = (c_int64 * 2)()
        scalars = (
            byref(scalar_of(m, MOMENTUM_EXPONENT)),
            byref(scalar_of(l, 0)),
            byref(scalar_of(d, MASTER_EXPONENT)),
        )
        p_ahead = None if ahead is None else byref(scalar_of(ahead, MOMENTUM_EXPONENT))
        with self._lock:
            self._c.bk_update(
                self._team, self._count_scratch(), p_w, p_v, p_g, w.size, *scalars, p_ahead,
                saturated,
            )  # fmt: skip
        return saturated[0], saturated[1]

    def sum_squares(self, t: Array, shift: int) -> int:
        """Return the exact sum of squares of clamp16(half_up(t, shift))."""
        p_t = address("t", t, INT32, t.shape)
        with self._lock:
            return int(
                self._c.bk_sum_squares(
                    self._team, self._count_scratch(), p_t, t.size, shift_of(shift)
                )
            )

    # ---- scratch -------------------------------------------------------------------------------

    def _scratch(self, n_bytes: int) -> int:
        """Return the address of aligned memory that stays until the next call."""
        if self._memory.size < n_bytes + _ALIGNMENT:
            self._memory = np.empty(n_bytes + _ALIGNMENT, UINT8)
            self._scratch_at = -(-self._memory.ctypes.data // _ALIGNMENT) * _ALIGNMENT
        return self._scratch_at

    def _conv_plan(self, shape: ConvShape) -> _ConvPlan:
        plan = self._conv_plans.get(shape)
        if plan is None:
            plan = self._conv_plans[shape] = _ConvPlan(self._c, shape, self.threads)
        return plan

    def _statistics_scratch(self, channels: int) -> int:
        return self._scratch(self._c.bk_statistics_scratch_bytes(channels, self.threads))

    def _apply_scratch(self, channels: int) -> int:
        n_bytes = self._apply_scratch_bytes.get(channels)
        if n_bytes is None:
            n_bytes = int(self._c.bk_apply_scratch_bytes(channels, self.threads))
            self._apply_scratch_bytes[channels] = n_bytes
        return self._scratch(n_bytes)

    def _pool_scratch(self, sizes: PoolSizes) -> int:
        return self._scratch(self._c.bk_pool_scratch_bytes(byref(sizes), self.threads))

    def _count_scratch(self) -> int:
        return self._scratch(self._c.bk_count_scratch_bytes(self.threads))


def _norm_input(norm: NormSource, channels: int, exponent: int) -> NormInput:
    """Return a batch norm for C, whose sums it may write."""
    shape = (channels,)
    return NormInput(
        address("gamma", norm.gamma, INT32, shape),
        address("beta", norm.beta, INT32, shape),
        _epsilon_q16(norm.epsilon, exponent),
        output_address("mean", norm.statistics.mean, INT64, shape),
        output_address("variance", norm.statistics.variance, INT64, shape),
        norm.running,
    )


def _gradient_report(gradient: Gradient, channels: int) -> GradientReport:
    return GradientReport(
        output_address("total", gradient.total, INT32, (channels,)),
        gradient.exponent is None,
        gradient.exponent or 0,
    )
