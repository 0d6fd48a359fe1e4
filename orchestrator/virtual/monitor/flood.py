"""Flood fill: blocks of data that go from chip to chip, then to a place in each chip's memory.

References
----------
spinnaker_tools ``scamp-nn.c``; spinnman 7.4.1 ``flood_fill_*.py``.
"""

from collections.abc import Iterator
from typing import Final

_ALL_LEVEL: Final = 4


def in_region(region: int, x: int, y: int) -> bool:
    """Return whether a region word covers a chip.

    Bits 31 to 24 and 23 to 18 are the x and y of a square of 4^(4 - level) chips a side, bits 17
    and 16 the level, 0 to 3; of the sixteen squares in it, the lower half word names those covered.

    Examples
    --------
    >>> in_region(0xFFFF, 200, 3), in_region(0x04_03_0002, 5, 0), in_region(0x04_03_0002, 4, 0)
    (True, True, False)
    """
    level = region >> 16 & 3
    shift = 2 * (_ALL_LEVEL - level)
    if x >> shift != (region >> 24) >> shift or y >> shift != (region >> 16 & 0xFC) >> shift:
        return False
    inner = shift - 2
    return bool(region >> ((y >> inner & 3) * 4 + (x >> inner & 3)) & 1)


class FloodFill:
    """The blocks of one flood fill, at most 256 of at most 256 bytes."""

    def __init__(self) -> None:
        self.region = 0
        self._wanted = 0
        self._blocks: dict[int, tuple[int, bytes]] = {}

    def start(self, n_blocks: int, region: int) -> None:
        """Forget everything and expect a number of blocks, 0 to 255, for the chips of a region."""
        self.region = region
        self._wanted = n_blocks
        self._blocks = {}

    def add(self, number: int, address: int, data: bytes) -> None:
        """Take block ``number``; the same one again replaces it."""
        self._blocks[number & 0xFF] = (address, data)

    @property
    def complete(self) -> bool:
        """Return whether all blocks are there.

        More than were announced are fine: spinnman 7.4.1 announces a quarter of them.
        """
        return len(self._blocks) >= self._wanted

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """Yield address and data of the blocks in order."""
        for _, block in sorted(self._blocks.items()):
            yield block
