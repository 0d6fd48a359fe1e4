"""Reads what a loader needs of a 32-bit little-endian ELF program: segments and symbols.

Source of the layouts: the ELF specification (Tool Interface Standard, version 1.2).
"""

import struct
from dataclasses import dataclass
from typing import Final

_HEADER: Final = struct.Struct("<16sHHIIIIIHHHHHH")
_PROGRAM: Final = struct.Struct("<IIIIIIII")
_SECTION: Final = struct.Struct("<IIIIIIIIII")
_SYMBOL: Final = struct.Struct("<IIIBBH")
_LOAD: Final = 1
_SYMBOL_TABLE: Final = 2
_SECTION_TYPE: Final = 3
_FILE_TYPE: Final = 4


@dataclass(frozen=True)
class Segment:
    """Bytes that belong at an address; `size` counts the uninitialised ones behind them too."""

    address: int
    data: bytes
    size: int


def segments(elf: bytes) -> tuple[Segment, ...]:
    """Return the segments that occupy memory."""
    header = _HEADER.unpack_from(elf)
    found = []
    for i in range(header[10]):
        kind, offset, address, _, in_file, in_memory, _, _ = _PROGRAM.unpack_from(
            elf, header[5] + i * header[9]
        )
        if kind == _LOAD and in_memory:
            found.append(Segment(address, elf[offset : offset + in_file], in_memory))
    return tuple(found)


def symbols(elf: bytes) -> dict[str, int]:
    """Return the value of every named symbol, local ones included."""
    header = _HEADER.unpack_from(elf)
    sections = [_SECTION.unpack_from(elf, header[6] + i * header[11]) for i in range(header[12])]
    found = {}
    for section in sections:
        if section[1] != _SYMBOL_TABLE:
            continue
        names = sections[section[6]][4]
        for at in range(section[4], section[4] + section[5], _SYMBOL.size):
            name, value, _, info, _, _ = _SYMBOL.unpack_from(elf, at)
            start = names + name
            text = elf[start : elf.index(b"\0", start)].decode()
            if text and not text.startswith("$") and info & 15 not in (_SECTION_TYPE, _FILE_TYPE):
                found[text] = value
    return found
