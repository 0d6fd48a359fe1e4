"""Text that a core leaves for hosts: IOBUF, a chain of blocks in the system heap.

A block is four words (next block, unix time, milliseconds, bytes used) and ``iobuf_size`` bytes.

References
----------
spinnaker_tools ``sark_io.c``; spinnman 7.4.1 ``read_iobuf_process.py``.
"""

import struct

from orchestrator.wire.layout import SYSTEM_VARIABLES, Sv, Vcpu

HEADER_BYTES = 16
_USED_AT = 12
_MAX_BLOCKS = 1024


def append_text(chip, core, text):
    """Append text to the IOBUF of a core of a monitored chip; what is not ASCII becomes ``?``."""
    memory = chip.memory
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
            block = chip.system_heap.allocate(HEADER_BYTES + size, app_id << 8)
            assert block
            memory.write_word(link, block)
            now = memory.read_word(SYSTEM_VARIABLES + Sv.UNIX_TIME)
            memory.write(block, struct.pack("<4I", 0, now, 0, 0))
            link, used = block, 0
        part, data = data[: size - used], data[size - used :]
        memory.write(block + HEADER_BYTES + used, part)
        used += len(part)
        memory.write_word(block + _USED_AT, used)
