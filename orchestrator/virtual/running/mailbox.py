"""The monitor's side of the mailboxes: commands to cores, messages from them.

A core's VCPU block holds a command and a word in each direction. SDP messages lie in buffers of
292 bytes that monitor and cores share: a link, u16 length, u16 checksum, then the message from its
flags on. Free buffers are chained from the system variables, and counted there.

References
----------
spinnaker_tools ``sark.h`` (``vcpu_t``, ``sdp_msg_t``, ``mem_block_t``), ``sark_base.c``
(``sark_shmsg_get``, ``sark_block_init``), ``scamp-3.c`` (``shm_send_msg``), ``scamp-isr.c``
(``ap_int``).
"""

import struct
from enum import IntEnum
from typing import Final

from orchestrator.errors import ArgumentError
from orchestrator.virtual.chip import ChipMemory
from orchestrator.wire.datagrams import SdpMessage, decode_sdp, encode_sdp
from orchestrator.wire.layout import SYSTEM_VARIABLES, Sv, Vcpu
from orchestrator.wire.numbers import Result

BUFFERS: Final = 13
BUFFER_BYTES: Final = 292

_POOL: Final = 0xE5000100
"""Between the boot code and the heap of the system RAM."""

_ROOT: Final = SYSTEM_VARIABLES + 0x68
"""First free buffer, u16 in use, u16 most that ever were."""

_HEADER: Final = 8
_PADDING: Final = bytes(2)


class MailboxCommand(IntEnum):
    """What a mailbox holds."""

    IDLE = 0
    MESSAGE = 1
    PING = 2
    SIGNAL = 3


def lay_out_buffers(memory: ChipMemory) -> None:
    """Chain the free buffers of a chip, unless it has some."""
    if memory.read_word(_ROOT):
        return
    for number in range(BUFFERS):
        at = _POOL + BUFFER_BYTES * number
        memory.write_word(at, at + BUFFER_BYTES if number < BUFFERS - 1 else 0)
    memory.write(_ROOT, struct.pack("<I2H", _POOL, 0, 0))


def take_buffer(memory: ChipMemory, message: SdpMessage) -> int | None:
    """Return the address of a buffer that holds the message, None if none is free."""
    first, in_use, most = struct.unpack("<I2H", memory.read(_ROOT, 8))
    if not first:
        return None
    try:
        following = memory.read_word(first)
        wire = encode_sdp(message)[len(_PADDING) :]
        memory.write(first, struct.pack("<I2H", 0, len(wire), 0) + wire)
    except ArgumentError:  # a program has overwritten the chain
        return None
    in_use = min(in_use + 1, 0xFFFF)
    memory.write(_ROOT, struct.pack("<I2H", following, in_use, max(most, in_use)))
    return int(first)


def free_buffer(memory: ChipMemory, address: int) -> None:
    """Put a buffer back into the chain; what is no buffer of it stays out."""
    if (address - _POOL) % BUFFER_BYTES or not 0 <= address - _POOL < BUFFERS * BUFFER_BYTES:
        return
    first, in_use, most = struct.unpack("<I2H", memory.read(_ROOT, 8))
    memory.write_word(address, first)
    memory.write(_ROOT, struct.pack("<I2H", address, max(0, in_use - 1), most))


def post(memory: ChipMemory, core: int, command: MailboxCommand, word: int) -> None:
    """Put a command and its word into a core's mailbox and raise the core's interrupt."""
    block = memory.vcpu(core)
    memory.write_word(block + Vcpu.MAILBOX_TO_CORE, word)
    memory.write(block + Vcpu.COMMAND_TO_CORE, bytes([command]))
    memory.interrupt(1 << memory.physical_cores[core], True)


def collect(memory: ChipMemory, core: int) -> SdpMessage | None:
    """Empty a core's mailbox to the monitor and return the message that was in it, if any.

    What is no message, or lies in no memory, is dropped.
    """
    block = memory.vcpu(core)
    command = memory.read(block + Vcpu.COMMAND_TO_MONITOR, 1)[0]
    if command == MailboxCommand.IDLE:
        return None
    message = None
    if command == MailboxCommand.MESSAGE:
        message = _message_at(memory, memory.read_word(block + Vcpu.MAILBOX_TO_MONITOR))
    memory.write(block + Vcpu.COMMAND_TO_MONITOR, bytes([MailboxCommand.IDLE]))
    waiting = memory.read_word(SYSTEM_VARIABLES + Sv.MAILBOX_FLAGS) & ~(1 << core)
    memory.write_word(SYSTEM_VARIABLES + Sv.MAILBOX_FLAGS, waiting)
    if not waiting:
        memory.interrupt(1 << memory.physical_cores[0], False)
    return message


def _message_at(memory: ChipMemory, address: int) -> SdpMessage | None:
    try:
        buffer = memory.read(address, BUFFER_BYTES)
    except ArgumentError:  # no memory there
        return None
    free_buffer(memory, address)
    (length,) = struct.unpack_from("<H", buffer, 4)
    message = decode_sdp(_PADDING + buffer[_HEADER : _HEADER + length])
    return None if isinstance(message, Result) else message
