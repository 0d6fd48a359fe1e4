"""Tasks of a core's tape as bytes: the structs of board_kernels/arm968/task.h.

Every part of the kernels adds its own structs in a module of its own; a test holds them against
the compiler's layout.
"""

import ctypes
from collections.abc import Iterable
from enum import IntEnum
from typing import ClassVar, Final

TASK_WORDS: Final = 96
"""Words of the longest task, and how many the core reads from where a task starts."""
KIND_END: Final = 0


class TaskError(IntEnum):
    """The runtime's own codes in user3; smaller ones are faults of the processor."""

    OVERFLOW = 0x101
    KIND = 0x102
    WORDS = 0x103
    ALIGNMENT = 0x104
    DMA = 0x105
    SHAPE = 0x106


class Task(ctypes.LittleEndianStructure):
    """Base of all tasks: the first field is `header`, filled in when the task is made."""

    kind: ClassVar[int]
    c_name: ClassVar[str]
    """Name of the C struct."""
    header: int

    def __init__(self, **fields: int | tuple[int, ...] | ctypes.Structure) -> None:
        super().__init__(**fields)
        self.header = self.kind | ctypes.sizeof(self) // 4 << 16


class Report(ctypes.LittleEndianStructure):
    """What a task that measures writes: OR of t ^ (t >> 63) over exact sums, saturations."""

    _fields_ = [
        ("bits_low", ctypes.c_uint32),
        ("bits_high", ctypes.c_uint32),
        ("saturated", ctypes.c_uint32),
        ("pad", ctypes.c_uint32),
    ]


class Copy(Task):
    """Copy `bytes` (a multiple of 8) from one SDRAM address to another."""

    kind = 1
    c_name = "task_copy"
    _fields_ = [
        ("header", ctypes.c_uint32),
        ("source", ctypes.c_uint32),
        ("target", ctypes.c_uint32),
        ("bytes", ctypes.c_uint32),
    ]


class Sync(Task):
    """Wait for the next of the signals SYNC0, SYNC1, SYNC0 and so on."""

    kind = 3
    c_name = "task_sync"
    _fields_ = [("header", ctypes.c_uint32), ("pad", ctypes.c_uint32)]


def tape(tasks: Iterable[Task]) -> bytes:
    """Return tasks one after the other, with the end behind them."""
    return b"".join(bytes(task) for task in tasks) + bytes(4 * TASK_WORDS)
