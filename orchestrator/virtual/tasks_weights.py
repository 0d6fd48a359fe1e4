"""Tasks of weights and their gradients: the structs of board_kernels/arm968/task_weights.h."""

import ctypes
from enum import IntEnum
from typing import Final

from orchestrator.virtual.tasks import Task

_CONV: Final = ("n", "h", "w", "c", "k", "r", "s", "stride", "pad", "p", "q")
_SHARE: Final = (
    *("output_first", "output_chunks", "row_first", "rows"),
    *("input_first", "input_chunks"),
)


class PackOrder(IntEnum):
    """Which product a packed copy of the weights is for."""

    FORWARD = 0
    INPUT_GRADIENT = 1


class WeightGradient(Task):
    """Add a share of a convolution's rounded weight gradient to the total."""

    kind = 32
    c_name = "task_weight_gradient"
    _fields_ = [
        *((name, ctypes.c_uint32) for name in ("header", "e", "x", "total", "report")),
        *((name, ctypes.c_int32) for name in (*_CONV, "shift")),
        ("measure", ctypes.c_uint32),
        *((name, ctypes.c_int32) for name in _SHARE),
    ]


class Pack(Task):
    """Pack plain weights for the forward pass or the input gradient."""

    kind = 33
    c_name = "task_pack"
    _fields_ = [
        *((name, ctypes.c_uint32) for name in ("header", "source", "target", "order")),
        *((name, ctypes.c_int32) for name in ("c", "k", "r", "s", "stride", "pad")),
        *((name, ctypes.c_int32) for name in ("block_first", "blocks")),
    ]


class Accumulate(Task):
    """Add rounded 64-bit sums to a total."""

    kind = 34
    c_name = "task_accumulate"
    _fields_ = [
        *((name, ctypes.c_uint32) for name in ("header", "v", "total", "count")),
        ("shift", ctypes.c_int32),
        *((name, ctypes.c_uint32) for name in ("measure", "report", "pad")),
    ]
