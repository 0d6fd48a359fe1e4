"""The structs of a convolution's task: board_kernels/arm968/task_conv.h, conv.h, dot.h."""

import ctypes
from typing import Final

from orchestrator.virtual.tasks import Task

MOST_CLASSES: Final = 16

_ADDRESSES = ("input", "weights", "output", "mask", "addend", "bias", "report", "tables", "lists")
_WORK = (
    *("images", "tile_images", "out_height", "tile_rows", "groups", "group_chunks", "out_chunks"),
    *("blocks", "slices", "slice_chunks", "in_chunks", "classes", "unit_blocks"),
    *("input_buffers", "output_buffers"),
)
_INPUT = ("in_map_bytes", "in_row_bytes", "read_from", "read_to", "read_bytes")
_ROWS = ("in_height", "first_row", "tile_step", "row_unit", "whole_rows", "single_pixels")
_PITCHES = (
    *("row_pitch", "image_pitch", "chunk_pitch", "out_map_bytes", "out_row_bytes"),
    *("out_image_pitch", "out_chunk_pitch", "spare_output"),
)
_SHIFTS = ("shift", "acc_shift", "addend_shift")
_MEMORY = (
    *("table_memory", "table_bytes", "list_memory", "list_bytes", "wide_memory", "wide_block"),
    *("bias_memory", "clear_from", "clear_bytes"),
)
_PAIRS = ("input_memory", "weight_memory", "output_memory", "addend_memory")


class Conv(Task):
    """Made by `conv_program.prepare`."""

    kind = 2
    c_name = "task_conv"
    _fields_ = [
        ("header", ctypes.c_uint32),
        *((name, ctypes.c_uint32) for name in _ADDRESSES),
        *((name, ctypes.c_int32) for name in _WORK),
        *((name, ctypes.c_uint32) for name in _INPUT),
        *((name, ctypes.c_int32) for name in _ROWS),
        *((name, ctypes.c_uint32) for name in _PITCHES),
        *((name, ctypes.c_int32) for name in _SHIFTS),
        *((name, ctypes.c_uint32) for name in _MEMORY),
        *((name, ctypes.c_uint32 * 2) for name in _PAIRS),
    ]


class DotSlice(ctypes.LittleEndianStructure):
    """What a run of the inner product is given for a slice of a class."""

    _fields_ = [
        ("before_segments", ctypes.c_uint32),
        ("start", ctypes.c_uint32),
        ("bump", ctypes.c_uint32 * 3),
        *(
            (name, ctypes.c_uint32)
            for name in (
                *("half", "multiplier", "threshold", "shift_less_1", "addend_multiplier"),
                "summary",
            )
        ),
    ]


class ConvClass(ctypes.LittleEndianStructure):
    """A class of outputs: its rounding, its weights, and its first, middle and last slices."""

    _fields_ = [
        ("rounding", ctypes.c_int32),
        ("weights", ctypes.c_uint32),
        ("chunk_bytes", ctypes.c_uint32),
        ("block_bytes", ctypes.c_uint32),
        ("slices", DotSlice * 3),
    ]


class DotSegment(ctypes.LittleEndianStructure):
    """A row of the inner product's segment table."""

    _fields_ = [(name, ctypes.c_uint32) for name in ("input", "skip", "entry", "then")]


class ConvList(ctypes.LittleEndianStructure):
    """What is in front of a tile's pixel pairs, each four words."""

    _fields_ = [
        ("in_rows", ctypes.c_int32),
        ("first", ctypes.c_uint32 * MOST_CLASSES),
        ("spare", ctypes.c_uint32),
    ]
