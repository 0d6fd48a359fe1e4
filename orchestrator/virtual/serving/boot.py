"""The boot ROM of an Ethernet chip: it collects an image from boot datagrams and checks it."""

from typing import Final

from orchestrator.wire.boot import (
    BLOCK_BYTES,
    BLOCK_ID,
    MAX_IMAGE_BYTES,
    SYSTEM_VARIABLES_AT,
    SYSTEM_VARIABLES_BYTES,
    BootMessage,
    swap_words,
)
from orchestrator.wire.numbers import BootOperation

_START_IMAGE: Final = 1
_NAME: Final = b"SARK/SpiNNaker\0"
"""The system software's library answers by this name, so every image of it contains it."""


class BootImageError(Exception):
    """An image that a board does not start; the text says why."""


class BootReceiver:
    """Collects one image; a new start forgets what came before."""

    def __init__(self) -> None:
        self._n_blocks = 0
        self._blocks: dict[int, bytes] = {}

    def take(self, message: BootMessage) -> bytes | None:
        """Take a datagram; return the image when the last one says start, None before.

        Raises
        ------
        BootImageError
            The last datagram came, and what came before is not an image of the system software.
        """
        if message.operation == BootOperation.START:
            self._n_blocks = message.operand3 + 1
            self._blocks = {}
        elif message.operation == BootOperation.BLOCK:
            number = message.operand1 - BLOCK_ID
            if self._n_blocks and 0 <= number < MAX_IMAGE_BYTES // BLOCK_BYTES:
                self._blocks[number] = message.data
        elif message.operation == BootOperation.END and message.operand1 == _START_IMAGE:
            n_blocks, blocks = self._n_blocks, self._blocks
            self._n_blocks, self._blocks = 0, {}
            return _image(n_blocks, blocks)
        return None


def _image(n_blocks: int, blocks: dict[int, bytes]) -> bytes:
    """Return the checked image of blocks."""
    if sorted(blocks) != list(range(n_blocks)):
        raise BootImageError(f"{len(blocks)} of {n_blocks} blocks of the image came")
    whole = b"".join(blocks[number] for number in range(n_blocks))
    if any(len(blocks[number]) != BLOCK_BYTES for number in range(n_blocks - 1)):
        raise BootImageError(f"a block before the last has not {BLOCK_BYTES} bytes")
    if len(whole) % 4 or not SYSTEM_VARIABLES_AT + SYSTEM_VARIABLES_BYTES <= len(whole):
        raise BootImageError(f"{len(whole)} bytes are no image")
    image = swap_words(whole)
    if _NAME not in image:
        raise BootImageError("the image is not SpiNNaker's system software")
    return image


def variables_of(image: bytes) -> bytes:
    """Return the first 128 bytes of the system variables, which hosts put into the image."""
    return image[SYSTEM_VARIABLES_AT : SYSTEM_VARIABLES_AT + SYSTEM_VARIABLES_BYTES]
