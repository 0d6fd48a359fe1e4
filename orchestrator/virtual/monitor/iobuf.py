"""IOBUF: the text that a core leaves for hosts, a chain of blocks in the system heap.

A block is four words (next block, unix time, milliseconds, bytes used) and ``iobuf_size`` bytes.

References
----------
spinnaker_tools ``sark_io.c``; spinnman 7.4.1 ``read_iobuf_process.py``.
"""

import struct
from typing import Final

from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.monitor.cores import Surroundings
from orchestrator.wire.layout import SYSTEM_VARIABLES, Sv, Vcpu

HEADER_BYTES: Final = 16
_USED_AT: Final = 12
_MAX_BLOCKS: Final = 1024


def append_text(surroundings: Surroundings, x: int, y: int, core: int, text: str) -> None:
    """Append text to the IOBUF of a core; what is not ASCII becomes ``?``.

    What does not fit into the system heap is lost, as on the board.
    """
    memory = surroundings.memory(x, y)
    data = text.encode("ascii", "replace")
    size = memory.read_word(SYSTEM_VARIABLES + Sv.IOBUF_BYTES)
    app_id = memory.read(memory.vcpu(core) + Vcpu.APP_ID, 1)[0]
    link, block = memory.vcpu(core) + Vcpu.IOBUF, 0
    for _ in range(_MAX_BLOCKS):
        following = memory.read_word(link)
        if not following:
            break
        link = block = following
    used = memory.read_word(block + _USED_AT) if block else size
    while data:
        if used >= size:
            block = surroundings.allocate(x, y, HEADER_BYTES + size, app_id)
            if not block:
                return
            memory.write_word(link, block)
            now = memory.read_word(SYSTEM_VARIABLES + Sv.UNIX_TIME)
            memory.write(block, struct.pack("<4I", 0, now, 0, 0))
            link, used = block, 0
        part, data = data[: size - used], data[size - used :]
        memory.write(block + HEADER_BYTES + used, part)
        used += len(part)
        memory.write_word(block + _USED_AT, used)


def read_text(memory: ChipMemory, core: int) -> str:
    """Return the text that a core left."""
    parts, block = [], memory.read_word(memory.vcpu(core) + Vcpu.IOBUF)
    for _ in range(_MAX_BLOCKS):
        if not block:
            break
        parts.append(memory.read(block + HEADER_BYTES, memory.read_word(block + _USED_AT)))
        block = memory.read_word(block)
    return b"".join(parts).decode("ascii", "replace")
