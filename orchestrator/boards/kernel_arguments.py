"""Turns what callers pass into what C expects, after checking what C cannot check."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.boards.kernel_library import ConvSizes, Finish, PoolSizes, Scalar
from orchestrator.errors import ArgumentError
from orchestrator.model.shapes import ConvShape, PoolShape

Array = NDArray[Any]

_GRID = -46
_LARGEST_SHIFT = 127


def conv_sizes(shape: ConvShape) -> ConvSizes:
    """Return a convolution's sizes for C."""
    return ConvSizes(
        *(shape.n, shape.h, shape.w, shape.c, shape.k, shape.r, shape.s),
        *(shape.stride, shape.pad, shape.p, shape.q),
    )


def pool_sizes(shape: PoolShape) -> PoolSizes:
    """Return a pool's sizes for C."""
    return PoolSizes(
        *(shape.n, shape.h, shape.w, shape.c, shape.kr, shape.ks),
        *(shape.stride, shape.pad, shape.p, shape.q),
    )


def finish_of(
    shape: tuple[int, ...],
    addend: Array | None,
    acc_shift: int,
    addend_shift: int,
    mask: Array | None,
    shift: int,
) -> Finish:
    """Return how an error of a shape is aligned, masked and rounded.

    Raises
    ------
    ArgumentError
        A left shift is beyond 62, or addend or mask is not an int16 array of the shape.
    """
    for name, value in (("acc_shift", acc_shift), ("addend_shift", addend_shift)):
        if value > 62:
            raise ArgumentError(f"{name} is {value}: a left shift is at most 62")
    return Finish(
        optional_address("addend", addend, np.int16, shape),
        optional_address("mask", mask, np.int16, shape),
        *(shift_of(acc_shift), shift_of(addend_shift), shift_of(shift)),
    )


def scalar_of(scalar: tuple[int, int], exponent: int) -> Scalar:
    """Return a scalar times 2^exponent as a mantissa and its shift to the grid 2^-46."""
    mantissa, scalar_exponent = scalar
    return Scalar(mantissa, exponent + scalar_exponent - _GRID)


def shift_of(shift: int) -> int:
    """Return a shift that means the same and fits the kernels' argument."""
    return max(-_LARGEST_SHIFT, min(_LARGEST_SHIFT, int(shift)))


def check_range(name: str, value: int, largest: int) -> None:
    """Raise ArgumentError unless a value is 0 .. largest."""
    if not 0 <= value <= largest:
        raise ArgumentError(f"{name} is {value}: it must be 0 .. {largest}")


def check_labels(labels: Array, classes: int) -> None:
    """Raise ArgumentError unless all labels are classes."""
    if labels.min() < 0 or labels.max() >= classes:
        raise ArgumentError(
            f"labels {labels.min()} .. {labels.max()}: with {classes} classes they must be "
            f"0 .. {classes - 1}"
        )


def matrix_of(name: str, array: Array) -> tuple[int, int]:
    """Return rows and channels of a tensor whose last axis are channels."""
    if not isinstance(array, np.ndarray) or array.ndim < 1 or array.size == 0:
        raise ArgumentError(f"{name} must be an array [rows, channels] that is not empty")
    channels = array.shape[-1]
    return array.size // channels, channels


def address(name: str, array: Array, dtype: Any, shape: tuple[int, ...]) -> int:
    """Return an array's address if it is what a kernel expects.

    Raises
    ------
    ArgumentError
        Its type, its sizes (apart from axes of length 1) or its memory layout differ.
    """
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise ArgumentError(f"{name} is {found}: it must be an array of {np.dtype(dtype)}")
    if array.shape != shape and _long_axes(array.shape) != _long_axes(shape):
        raise ArgumentError(f"{name} has shape {array.shape}: it must be {shape}")
    if not array.flags.c_contiguous:
        raise ArgumentError(f"{name} is not contiguous: pass numpy.ascontiguousarray of it")
    return array.ctypes.data


def output_address(name: str, array: Array, dtype: Any, shape: tuple[int, ...]) -> int:
    """Return the address of an array that a kernel may write."""
    at = address(name, array, dtype, shape)
    if not array.flags.writeable:
        raise ArgumentError(f"{name} is read-only: the kernel writes it")
    return at


def optional_address(
    name: str, array: Array | None, dtype: Any, shape: tuple[int, ...]
) -> int | None:
    """Return an array's address as `address` does, or None where there is no array."""
    return None if array is None else address(name, array, dtype, shape)


def _long_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
