"""Reads the program that cores start, as the loader on every core does.

A program is a table of commands of four words, an APLX file: 1 copies from an address, 2 from a
place relative to the command (target, source, bytes; in units of 32 bytes), 3 fills (target,
bytes, word), 4 jumps to an address; anything else ends it. Bytes that do not start with a command
are a plain program: they go to address 0, where it starts.

References
----------
spinnaker_tools ``scamp/boot_aplx.s`` (the loader, which lies in the last 64 bytes of the ITCM),
``sark_alib.s`` (the format).
"""

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import numpy as np

from orchestrator.errors import ArgumentError
from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.elf import Segment
from orchestrator.wire.layout import DTCM, DTCM_BYTES, LOAD_AREA_BYTES

LOADER: Final = 0x7FC0
"""Where the loader lies in the ITCM while it copies: a program ends before it."""

PLAIN_BYTES: Final = 0x7F00
"""Bytes of a plain program that are copied: as many as a linker gives one."""

MOST_BYTES: Final = 1 << 20
"""Copied and filled together; a program that asks for more would keep its cores busy for long."""

_UNIT: Final = 32
_ENTRY: Final = struct.Struct("<4I")


class _Opcode(IntEnum):
    COPY = 1
    COPY_RELATIVE = 2
    FILL = 3
    EXECUTE = 4


_COMMANDS: Final = frozenset(_Opcode)


class LoadError(Exception):
    """A program that the loader cannot put into a core's memories.

    Attributes
    ----------
    entry
        The four words of the command at fault.
    address
        Where that command lies.
    """

    def __init__(self, text: str, entry: tuple[int, ...], address: int):
        super().__init__(text)
        self.entry = entry
        self.address = address


@dataclass(frozen=True)
class Program:
    """What a core runs.

    Attributes
    ----------
    segments
        Bytes of the TCMs, in the order in which they are written.
    start
        Address at which it starts.
    symbols
        Nothing: a loaded program has none.
    """

    segments: tuple[Segment, ...]
    start: int
    symbols: dict[str, int] = field(default_factory=dict)


def read_program(memory: ChipMemory, table: int) -> Program:
    """Return the program at an address of the SDRAM.

    Copies to the chip's shared memories are done at once.

    Raises
    ------
    LoadError
        It reaches outside memory, into the loader, or does not start.
    """
    if _entry(memory, table)[0] not in _COMMANDS:
        return Program((Segment(0, memory.read(table, PLAIN_BYTES), PLAIN_BYTES),), 0)
    segments: list[Segment] = []
    room = MOST_BYTES
    for address in range(table, table + LOAD_AREA_BYTES, _ENTRY.size):
        entry = _entry(memory, address)
        opcode, target, second, third = entry
        if opcode == _Opcode.EXECUTE:
            return Program(tuple(segments), target)
        if opcode not in _COMMANDS:
            break
        size = _rounded(second if opcode == _Opcode.FILL else third)
        room -= size
        try:
            if room < 0:
                raise ArgumentError(f"the program copies more than {MOST_BYTES} bytes")
            place = None if _in_tcm(target, size) else memory.memory(target, size)
            if opcode == _Opcode.FILL:
                data = struct.pack("<I", third) * (size // 4)
            else:
                source = second + address if opcode == _Opcode.COPY_RELATIVE else second
                data = memory.read(source & 0xFFFFFFFF, size)
        except ArgumentError as error:
            raise LoadError(str(error), entry, address) from error
        if place is None:
            segments.append(Segment(target, data, size))
        else:
            place[:] = np.frombuffer(data, np.uint8)
    raise LoadError("the program's table ends without a start", entry, address)


def _rounded(size: int) -> int:
    """Return how many bytes the loader moves: whole units, at least one."""
    return max(_UNIT, -(-size // _UNIT) * _UNIT)


def _entry(memory: ChipMemory, address: int) -> tuple[int, ...]:
    return _ENTRY.unpack(memory.read(address, _ENTRY.size))


def _in_tcm(target: int, size: int) -> bool:
    """Return whether bytes go to one of the core's own memories; ArgumentError if only partly."""
    end = target + size
    if target < DTCM and end > LOADER:
        raise ArgumentError(f"code up to 0x{end:x}: the ITCM takes it up to 0x{LOADER:x}")
    return end <= LOADER or DTCM <= target and end <= DTCM + DTCM_BYTES
