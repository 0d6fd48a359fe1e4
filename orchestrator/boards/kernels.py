"""The set of kernels a replica runs on: NumPy oracle and host C offer the same functions.

Layouts are those of :mod:`orchestrator.model.shapes`; every array is C-contiguous. The exact
meaning of each function is on the numerics page; ``orchestrator.model.ops`` states it in code.
"""

from typing import Any, Protocol

from numpy.typing import NDArray

from orchestrator.model.ops_apply import Applied, Carried, Gradient, NormSource
from orchestrator.model.shapes import ConvShape, DropoutKey, PoolShape, Sums

Array = NDArray[Any]


class Kernels(Protocol):
    """What every kernel set provides."""

    def normalise(self, pixels: Array, table: Array, out: Array) -> None:
        """Write the input mantissas of uint8 pixels [n, h, w, c] through table [256, c]."""

    def conv_forward(
        self, shape: ConvShape, x: Array, w: Array, bias: Array | None, shift: int, y: Array
    ) -> Sums:
        """Write y = sat16(half_up(x * w + bias, shift))."""

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

    def conv_weight_gradient(
        self, shape: ConvShape, e: Array, x: Array, shift: int | None, total: Array
    ) -> Sums:
        """Add sat16(half_up(e^T * x, shift)) to total; only measure where shift is None."""

    def channel_sums(self, e: Array) -> Array:
        """Return the exact sums over rows of [rows, c]."""

    def accumulate(self, v: Array, shift: int | None, total: Array) -> Sums:
        """Add sat16(half_up(v, shift)) to total; only measure where shift is None."""

    def channel_statistics(self, y: Array) -> tuple[Array, Array, Array, Array]:
        """Return sum, sum of squares, minimum and maximum of each channel of [rows, c]."""

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

    def affine_backward_sums(self, d: Array, y: Array | None) -> tuple[Array, Array, Array]:
        """Return sum of d, sum of d*y and max |d| of each channel."""

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

    def branch(
        self,
        y: Array,
        exponent: int,
        norm: NormSource | None,
        extremes: tuple[Array, Array] | None = None,
        *,
        frozen: bool = False,
    ) -> Any:
        """Return sums y [rows, c] and their batch norm, ready for the kernels' other two.

        It holds y, which must stay as it is until the last of them.
        """

    def apply_forward(
        self, main: Any, shortcut: Any | None, relu: bool, frozen_bits: int | None, out: Array
    ) -> Applied:
        """Write the 13-bit activation of two branches' sum."""

    def apply_backward(
        self,
        main: Any,
        d: Array,
        exponent: int,
        seed: int,
        e: Array,
        gradients: tuple[Gradient, ...],
    ) -> Carried:
        """Write the 13-bit error at a branch's sums; add gamma's and beta's gradients."""

    def max_pool_forward(self, shape: PoolShape, x: Array, out: Array, index: Array) -> None:
        """Write each window's maximum and its position in the window."""

    def avg_pool_forward(self, shape: PoolShape, x: Array, m: int, q: int, out: Array) -> None:
        """Write half_up(window sum * m, q)."""

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

    def scale16(self, x: Array, m: int, q: int, limit: int, out: Array) -> int:
        """Write half_up(x * m, q) clamped to +-limit; return saturations."""

    def dropout(
        self, x: Array, key: DropoutKey, threshold: int, m: int, limit: int, out: Array
    ) -> int:
        """Write half_up(x * m, 16) where kept, 0 elsewhere; return saturations."""

    def softmax_loss(
        self, logits: Array, labels: Array, t_on: int, t_off: int, seed: int, e: Array
    ) -> tuple[int, int]:
        """Write the 13-bit error; return the summed loss in Q0.24 and how many were right."""

    def evaluate_logits(
        self, logits: Array, labels: Array, t_on: int, t_off: int
    ) -> tuple[int, int, int, Array]:
        """Return summed loss (Q0.24), top-1 and top-5 counts and the predicted classes."""

    def quantise(self, t: Array, shift: int, limit: int, out: Array) -> int:
        """Write clamp(half_up(t, shift)) as int16; return saturations."""

    def bits_i32(self, t: Array) -> int:
        """Return the OR of t ^ (t >> 31)."""

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
        """Step momentum and masters in place (by Nesterov's rule with ``ahead``)."""

    def sum_squares(self, t: Array, shift: int) -> int:
        """Return the exact sum of squares of clamp16(half_up(t, shift))."""
