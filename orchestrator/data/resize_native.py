"""The compiled crop and resize; the interpreter lock is free while it runs."""

import ctypes
from collections.abc import Callable
from ctypes import POINTER, Structure, byref, c_int64, c_size_t, c_void_p
from functools import cache
from typing import TypeAlias

import numpy as np

from orchestrator.boards.kernel_library import choose_set, load_library
from orchestrator.data.base import Pixels
from orchestrator.data.resize import Axis, Geometry, resize
from orchestrator.errors import ArgumentError, MissingToolError

Resize: TypeAlias = Callable[[Pixels, Geometry], Pixels]


class _Axis(Structure):
    """``struct bk_axis``."""

    _fields_ = [(n, c_int64) for n in ("start", "length", "resized", "first", "count", "reverse")]


@cache
def _library() -> ctypes.CDLL:
    library = load_library(choose_set(None))
    axis = POINTER(_Axis)
    library.bk_resize_scratch_bytes.restype = c_size_t
    library.bk_resize_scratch_bytes.argtypes = (c_int64, c_int64, axis, axis)
    library.bk_resize.restype = None
    library.bk_resize.argtypes = (c_void_p, c_void_p, c_int64, c_int64, axis, axis, c_void_p)
    return library


def find_resize() -> Resize:
    """Return the compiled resize, or where no kernels were built the NumPy one: the same pixels."""
    try:
        _library()
    except MissingToolError:
        return resize
    return resize_native


def resize_native(image: Pixels, geometry: Geometry) -> Pixels:
    """Crop and resize as `orchestrator.data.resize.resize` does, bit for bit.

    Raises
    ------
    ArgumentError
        The crop is not inside the image, or the window not inside the resized crop.
    """
    height, width, channels = image.shape
    rows, columns = _axis(geometry.rows, height), _axis(geometry.columns, width)
    image = np.ascontiguousarray(image, np.uint8)
    library = _library()
    n_bytes = library.bk_resize_scratch_bytes(width, channels, byref(rows), byref(columns))
    scratch = np.empty(-(-n_bytes // 4), np.int32)
    out = np.empty((geometry.rows.count, geometry.columns.count, channels), np.uint8)
    library.bk_resize(
        scratch.ctypes.data,
        image.ctypes.data,
        width,
        channels,
        byref(rows),
        byref(columns),
        out.ctypes.data,
    )
    return out


def _axis(axis: Axis, pixels: int) -> _Axis:
    inside = axis.start >= 0 and axis.length >= 1 and axis.start + axis.length <= pixels
    if not (inside and axis.first >= 0 and 1 <= axis.count <= axis.resized - axis.first):
        raise ArgumentError(f"resize: {axis} does not fit an image of {pixels} pixels")
    return _Axis(axis.start, axis.length, axis.resized, axis.first, axis.count, axis.reverse)
