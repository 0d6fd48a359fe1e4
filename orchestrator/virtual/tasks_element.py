"""Tasks of the kernels that are not convolutions: board_kernels/arm968/task_element.h.

What the fields mean is said there. Nested structs keep their C names.
"""

import ctypes
from typing import Any

from orchestrator.virtual.tasks import Task

CHUNK = 32
"""Channels that lie beside each other in a tensor of a board."""

_Fields = list[tuple[str, Any]]


def _words(*names: str) -> _Fields:
    return [(name, ctypes.c_uint32) for name in names]


def _signed(*names: str) -> _Fields:
    return [(name, ctypes.c_int32) for name in names]


class Region(ctypes.LittleEndianStructure):
    """The part of a tensor that a task works on."""

    _fields_ = _words("images", "chunks", "pixels", "image_stride", "chunk_stride")


class Planes(ctypes.LittleEndianStructure):
    """The sizes of a pool's planes and where they lie."""

    _fields_ = (
        _words("images", "chunks")
        + _signed("h", "w", "kr", "ks", "stride", "pad", "p", "q")
        + _words("x_image_stride", "x_chunk_stride", "y_image_stride", "y_chunk_stride")
    )


class Scalar(ctypes.LittleEndianStructure):
    """A mantissa and the left shift that takes its products to the grid 2^-46."""

    _fields_ = _signed("mantissa", "shift")


class Statistics(Task):
    """Sums, sums of products, minimum and maximum of every channel."""

    kind = 64
    c_name = "task_statistics"
    _fields_ = [*_words("header", "a", "b", "results"), ("region", Region), *_words("pad")]


class AffineForward(Task):
    """Batch norm, shortcut and ReLU in one pass."""

    kind = 65
    c_name = "task_affine_forward"
    _fields_ = [
        *_words("header", "y", "z", "out", "coefficients", "extremes"),
        ("region", Region),
        *_words("shift", "relu", "report"),
    ]


class AffineBackward(Task):
    """The error through batch norm, dithered to 13 bits."""

    kind = 66
    c_name = "task_affine_backward"
    _fields_ = [
        *_words("header", "d", "y", "e", "coefficients"),
        ("region", Region),
        *_words("p", "shift", "seed", "first", "channels", "image_step", "report", "pad"),
    ]


class MaxPoolForward(Task):
    """Largest of each window, and where it was."""

    kind = 67
    c_name = "task_max_pool_forward"
    _fields_ = [*_words("header", "x", "y", "index"), ("planes", Planes)]


class AvgPoolForward(Task):
    """Scaled sum of each window."""

    kind = 68
    c_name = "task_avg_pool_forward"
    _fields_ = [
        *_words("header", "x", "y"),
        *_signed("m", "q"),
        *_words("pad"),
        ("planes", Planes),
    ]


class WindowBackward(Task):
    """The error at a pool's input."""

    kind = 69
    c_name = "task_window_backward"
    _fields_ = [
        *_words("header", "d", "index", "addend", "mask", "out"),
        *_signed("acc_shift", "addend_shift", "shift"),
        *_words("report"),
        ("planes", Planes),
    ]


class Scale16(Task):
    """A factor for every element."""

    kind = 70
    c_name = "task_scale16"
    _fields_ = [
        *_words("header", "x", "out", "count"),
        *_signed("m", "q", "limit"),
        *_words("report"),
    ]


class Dropout(Task):
    """Elements dropped by the random words of their sample, the others scaled."""

    kind = 71
    c_name = "task_dropout"
    _fields_ = [
        *_words("header", "x", "out", "positions"),
        ("region", Region),
        *_words("first", "channels", "seed_low", "seed_high", "tensor", "epoch", "threshold"),
        *_signed("m", "limit"),
        *_words("report", "pad"),
    ]


class Normalise(Task):
    """Pixels through the input table."""

    kind = 72
    c_name = "task_normalise"
    _fields_ = _words("header", "pixels", "table", "out", "count", "channels")


class Softmax(Task):
    """Loss and counts of a batch of logits, and the error."""

    kind = 73
    c_name = "task_softmax"
    _fields_ = [
        *_words("header", "logits", "labels", "e", "predicted", "scores"),
        *_words("n", "classes", "row_stride"),
        *_signed("t_on", "t_off"),
        *_words("seed", "first", "pad"),
    ]


class Quantise(Task):
    """Masters to 13 or 16 bits."""

    kind = 74
    c_name = "task_quantise"
    _fields_ = [
        *_words("header", "t", "out", "count"),
        *_signed("shift", "limit"),
        *_words("report", "pad"),
    ]


class Bits(Task):
    """OR of t ^ (t >> 31)."""

    kind = 75
    c_name = "task_bits"
    _fields_ = _words("header", "t", "count", "report")


class SumSquares(Task):
    """Exact sum of squares of rounded elements."""

    kind = 76
    c_name = "task_sum_squares"
    _fields_ = [
        *_words("header", "t", "count"),
        *_signed("shift"),
        *_words("result", "pad"),
    ]


class Update(Task):
    """One step of momentum and masters."""

    kind = 77
    c_name = "task_update"
    _fields_ = [
        *_words("header", "w", "v", "g", "count", "nesterov"),
        *[(name, Scalar) for name in ("m", "l", "d", "ahead")],
        *_words("result", "pad"),
    ]


class Add(Task):
    """Sums of int32 tensors, added to a total."""

    kind = 78
    c_name = "task_add"
    _fields_ = _words("header", "total", "addend", "count", "parts", "stride")
