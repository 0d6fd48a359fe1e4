"""Boot datagrams: how the system software's image goes to the boot ROM of an Ethernet chip.

The header is big-endian; an image's words are swapped from the file's little-endian order.

References
----------
spinnaker_tools ``tools/boot``, spinnaker_bootROM; spinnman 7.4.1 ``spinnaker_boot``.
"""

import struct
from typing import Final, NamedTuple

from orchestrator.wire.numbers import Result

BOOT_VERSION: Final = 1
BLOCK_BYTES: Final = 1024
MAX_IMAGE_BYTES: Final = 32 * 1024
"""The image has to fit the ITCM."""

BLOCK_ID: Final = 0xFF00
"""Operand 1 of a block: this plus the block's number."""

SYSTEM_VARIABLES_AT: Final = 384
SYSTEM_VARIABLES_BYTES: Final = 128
"""The part of the image that becomes the first half of the system variables."""

_HEADER: Final = struct.Struct(">H4I")


class BootMessage(NamedTuple):
    """One boot datagram: an operation (`BootOperation`), three operands, 0 to 1024 bytes."""

    operation: int
    operand1: int = 0
    operand2: int = 0
    operand3: int = 0
    data: bytes = b""


def encode_boot(message: BootMessage) -> bytes:
    """Return the datagram of a boot message.

    Raises
    ------
    struct.error
        A number that does not fit its field: a mistake of the caller.
    """
    return _HEADER.pack(BOOT_VERSION, *message[:4]) + message.data


def decode_boot(datagram: bytes) -> BootMessage | Result:
    """Return the message in a datagram, or why it is none."""
    if not _HEADER.size <= len(datagram) <= _HEADER.size + BLOCK_BYTES:
        return Result.LENGTH
    version, operation, operand1, operand2, operand3 = _HEADER.unpack_from(datagram)
    if version != BOOT_VERSION:
        return Result.ARGUMENT
    return BootMessage(operation, operand1, operand2, operand3, datagram[_HEADER.size :])


def swap_words(data: bytes) -> bytes:
    """Return whole words with their bytes reversed.

    Raises
    ------
    struct.error
        The length is no multiple of 4: a mistake of the caller.

    Examples
    --------
    >>> swap_words(bytes([1, 2, 3, 4])).hex()
    '04030201'
    """
    words = len(data) // 4
    return struct.pack(f"<{words}I", *struct.unpack(f">{words}I", data))
