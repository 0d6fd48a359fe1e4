"""Checks an image before it is sent: what SC&MP can load."""

import struct
from collections.abc import Iterator
from typing import Final

from orchestrator.errors import ArgumentError
from orchestrator.wire.layout import DTCM, DTCM_BYTES, ITCM_BYTES, LOAD_AREA_BYTES

LOADER_BYTES: Final = 0x100
"""Top of the instruction memory that SC&MP's loader needs while it copies an image."""

_COPY_ABSOLUTE, _COPY_RELATIVE, _FILL, _EXECUTE, _END = 1, 2, 3, 4, 0xFFFFFFFF
_ENTRY: Final = struct.Struct("<4I")


def loadable(image: bytes) -> bytes:
    """Return an image as SC&MP takes it: whole words.

    Parameters
    ----------
    image
        An APLX file: a table of commands (spinnaker_tools, APLX), or a plain binary for address 0.

    Raises
    ------
    ArgumentError
        It is empty, or larger than the load area or a core's memories.
    """
    if not image:
        raise ArgumentError("the image is empty")
    if len(image) > LOAD_AREA_BYTES:
        raise ArgumentError(
            f"the image has {len(image)} bytes: a chip's load area takes {LOAD_AREA_BYTES}"
        )
    for target, size in _targets(image):
        base, room, name = 0, ITCM_BYTES - LOADER_BYTES, "instruction"
        if DTCM <= target < DTCM + DTCM_BYTES:
            base, room, name = DTCM, DTCM_BYTES, "data"
        elif target >= ITCM_BYTES:
            continue  # SDRAM or system RAM
        if target - base + size > room:
            raise ArgumentError(
                f"the image puts {size} bytes at 0x{target:08x}: a core's {name} memory takes "
                f"{room} bytes from 0x{base:08x}"
            )
    return image + bytes(-len(image) % 4)


def _targets(image: bytes) -> Iterator[tuple[int, int]]:
    """Yield the address and size of each part."""
    first = int.from_bytes(image[:4], "little")
    if first not in (_COPY_ABSOLUTE, _COPY_RELATIVE, _FILL, _EXECUTE):
        yield 0, len(image)
        return
    for offset in range(0, len(image) - _ENTRY.size + 1, _ENTRY.size):
        kind, target, third, fourth = _ENTRY.unpack_from(image, offset)
        if kind == _END:
            return
        if kind in (_COPY_ABSOLUTE, _COPY_RELATIVE):
            yield target, fourth
        elif kind == _FILL:
            yield target, third
    raise ArgumentError("the image starts like an APLX file, and its table of commands has no end")
