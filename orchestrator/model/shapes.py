"""Shapes and keys that every kernel takes: of convolutions, of pools, of dropout.

Legend: x [n, h, w, c] input, w [k, r, s, c] weights, y [n, p, q, k] output. A dense layer is a
convolution with h = w = r = s = p = q = 1.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ArgumentError


class Sums(NamedTuple):
    """What a kernel reports of the exact sums it rounded."""

    bits: int
    """OR of t ^ (t >> 63) over all exact sums; its bit length is the tensor's."""

    saturated: int
    """How many sums the clamp changed."""


class DropoutKey(NamedTuple):
    """The address of a dropout layer's random words."""

    seed: int
    """The run's seed."""

    epoch: int
    """0 .. 2^24 - 1."""

    tensor: int
    """The layer's tensor id."""

    positions: NDArray[np.int64]
    """[n], each sample's position in the epoch's order."""


@dataclass(frozen=True, slots=True)
class ConvShape:
    """A convolution's sizes; padding is symmetric, zeros."""

    n: int
    h: int
    w: int
    c: int
    k: int
    r: int
    s: int
    stride: int
    pad: int
    p: int
    q: int

    def __post_init__(self) -> None:
        """Refuse sizes that do not fit together."""
        _check_positive("convolution", self.n, self.h, self.w, self.c, self.k, self.r, self.s)
        expected = output_size(self.h, self.w, self.r, self.s, self.stride, self.pad)
        if (self.p, self.q) != expected:
            raise ArgumentError(
                f"convolution output {self.p} x {self.q}: input, kernel, stride and padding "
                f"give {expected[0]} x {expected[1]}"
            )

    @classmethod
    def of(
        cls, n: int, h: int, w: int, c: int, k: int, r: int, s: int, stride: int = 1, pad: int = 0
    ) -> "ConvShape":
        """Return the shape with its output size computed."""
        return cls(n, h, w, c, k, r, s, stride, pad, *output_size(h, w, r, s, stride, pad))

    @classmethod
    def dense(cls, n: int, c: int, k: int) -> "ConvShape":
        """Return the shape of a dense layer from c inputs to k outputs."""
        return cls(n, 1, 1, c, k, 1, 1, 1, 0, 1, 1)

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        """The input's [n, h, w, c]."""
        return (self.n, self.h, self.w, self.c)

    @property
    def w_shape(self) -> tuple[int, int, int, int]:
        """The weights' [k, r, s, c]."""
        return (self.k, self.r, self.s, self.c)

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        """The output's [n, p, q, k]."""
        return (self.n, self.p, self.q, self.k)


@dataclass(frozen=True, slots=True)
class PoolShape:
    """A pool's sizes; padding is symmetric and smaller than the kernel, so no window is empty."""

    n: int
    h: int
    w: int
    c: int
    kr: int
    ks: int
    stride: int
    pad: int
    p: int
    q: int

    def __post_init__(self) -> None:
        """Refuse sizes that do not fit together."""
        _check_positive("pool", self.n, self.h, self.w, self.c, self.kr, self.ks)
        if self.pad >= min(self.kr, self.ks):
            raise ArgumentError(
                f"pool padding {self.pad}: must be smaller than the kernel, {self.kr} x {self.ks}"
            )
        expected = output_size(self.h, self.w, self.kr, self.ks, self.stride, self.pad)
        if (self.p, self.q) != expected:
            raise ArgumentError(
                f"pool output {self.p} x {self.q}: input, kernel, stride and padding "
                f"give {expected[0]} x {expected[1]}"
            )

    @classmethod
    def of(
        cls, n: int, h: int, w: int, c: int, kr: int, ks: int, stride: int = 1, pad: int = 0
    ) -> "PoolShape":
        """Return the shape with its output size computed."""
        return cls(n, h, w, c, kr, ks, stride, pad, *output_size(h, w, kr, ks, stride, pad))

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        """The input's [n, h, w, c]."""
        return (self.n, self.h, self.w, self.c)

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        """The output's [n, p, q, c]."""
        return (self.n, self.p, self.q, self.c)


def output_size(h: int, w: int, r: int, s: int, stride: int, pad: int) -> tuple[int, int]:
    """Return the height and width of a sliding window's output.

    Raises
    ------
    ArgumentError
        The stride is below 1, the padding below 0, or the window is larger than the padded input.
    """
    if stride < 1:
        raise ArgumentError(f"stride {stride}: must be at least 1")
    if pad < 0:
        raise ArgumentError(f"padding {pad}: must be at least 0")
    if h + 2 * pad < r or w + 2 * pad < s:
        raise ArgumentError(
            f"kernel {r} x {s} is larger than the padded input "
            f"{h + 2 * pad} x {w + 2 * pad}; use a smaller kernel or a larger image"
        )
    return (h + 2 * pad - r) // stride + 1, (w + 2 * pad - s) // stride + 1


def _check_positive(what: str, *sizes: int) -> None:
    if min(sizes) < 1:
        raise ArgumentError(f"{what} sizes {sizes}: every size must be at least 1")
