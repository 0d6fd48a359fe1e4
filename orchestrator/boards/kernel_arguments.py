"""Turns what callers pass into what C expects, after checking what C cannot check."""

from ctypes import addressof, c_char
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from orchestrator.boards.kernel_library import ConvSizes, Finish, PoolSizes, Scalar
from orchestrator.errors import ArgumentError
from orchestrator.model.shapes import ConvShape, PoolShape

Array = NDArray[Any]
DType = np.dtype[Any]

UINT8: Final[DType] = np.dtype(np.uint8)
INT16: Final[DType] = np.dtype(np.int16)
INT32: Final[DType] = np.dtype(np.int32)
INT64: Final[DType] = np.dtype(np.int64)

_GRID = -46
_one_byte: Any = c_char.from_buffer
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
        optional_address("addend", addend, INT16, shape),
        optional_address("mask", mask, INT16, shape),
        *(shift_of(acc_shift), shift_of(addend_shift), shift_of(shift)),
    )


def scalar_of(scalar: tuple[int, int], exponent: int) -> Scalar:
    """Return a scalar times 2^exponent as a mantissa and its shift to the grid 2^-46."""
    mantissa, scalar_exponent = scalar
    return Scalar(mantissa, exponent + scalar_exponent - _GRID)


def shift_of(shift: int) -> int:
    """Return a shift that means the same and fits the kernels' argument."""
    if -_LARGEST_SHIFT <= shift <= _LARGEST_SHIFT:
        return int(shift)
    return _LARGEST_SHIFT if shift > 0 else -_LARGEST_SHIFT


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


def address(
    name: str, array: Array, dtype: DTypeLike, shape: tuple[int, ...], *, writes: bool = False
) -> int:
    """Return an array's address if it is what a kernel expects.

    Parameters
    ----------
    name : of the argument, for messages.
    array : C-contiguous.
    dtype : of the array; fastest where it is one of the constants of this module.
    shape : of the array, apart from axes of length 1.
    writes : whether the kernel writes it.

    Raises
    ------
    ArgumentError
        Its type, its sizes or its memory layout differ, or it is read-only and to be written.
    """
    # Asking for a buffer is several times faster than `ndarray.ctypes`, and Python gives one only
    # of memory that is contiguous and writeable. Whatever is not as expected is looked at closely.
    try:
        if array.dtype is dtype and array.shape == shape:
            return addressof(_one_byte(array))
    except (AttributeError, TypeError, ValueError):
        pass
    return _checked_address(name, array, dtype, shape, writes)


def output_address(name: str, array: Array, dtype: DTypeLike, shape: tuple[int, ...]) -> int:
    """Return the address of an array that a kernel may write."""
    return address(name, array, dtype, shape, writes=True)


def optional_address(
    name: str, array: Array | None, dtype: DTypeLike, shape: tuple[int, ...]
) -> int | None:
    """Return an array's address as `address` does, or None where there is no array."""
    return None if array is None else address(name, array, dtype, shape)


def _checked_address(
    name: str, array: Array, dtype: DTypeLike, shape: tuple[int, ...], writes: bool
) -> int:
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise ArgumentError(f"{name} is {found}: it must be an array of {np.dtype(dtype)}")
    if array.shape != shape and _long_axes(array.shape) != _long_axes(shape):
        raise ArgumentError(f"{name} has shape {array.shape}: it must be {shape}")
    if not array.flags.c_contiguous:
        raise ArgumentError(f"{name} is not contiguous: pass numpy.ascontiguousarray of it")
    if writes and not array.flags.writeable:
        raise ArgumentError(f"{name} is read-only: the kernel writes it")
    return array.ctypes.data


def _long_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
