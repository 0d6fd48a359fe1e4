"""The task of a convolution or of its transpose: board_kernels/arm968/task_conv.h."""

import ctypes

from orchestrator.virtual.tasks import Task

_UNSIGNED = (
    *("header", "input", "weights", "output", "mask", "addend", "bias", "report"),
    *("images", "in_height", "in_width", "in_channels"),
    *("out_height", "out_width", "out_channels"),
    *("kernel_rows", "kernel_columns", "pad", "stride", "transposed"),
)
_SHIFTS = ("shift", "acc_shift", "addend_shift")
_PLAN = (
    *("tile_images", "tile_rows", "group_chunks", "slice_chunks", "unit_blocks"),
    *("input_buffers", "output_buffers"),
)


class Conv(Task):
    """Sizes are those of the task's own input and output; the plan is `conv_plan`'s."""

    kind = 2
    c_name = "task_conv"
    _fields_ = [
        *((name, ctypes.c_uint32) for name in _UNSIGNED),
        *((name, ctypes.c_int32) for name in _SHIFTS),
        *((name, ctypes.c_uint32) for name in _PLAN),
        ("spare", ctypes.c_uint32 * 2),
    ]
