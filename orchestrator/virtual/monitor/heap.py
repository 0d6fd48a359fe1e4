"""A heap of SARK: blocks in the chip's memory and nothing beside it, so that anybody can use it.

A header of four words (first free block, first block, last block, free bytes), then blocks: two
words, where the next one starts and what this one is, and the data. A free block's second word is
the next free block, a used block's 0xffff0000 + (application << 8) + tag.

Hosts can overwrite a heap. Then the chain of blocks ends where it stops making sense, and there is
no room: what they broke stays theirs, but every operation ends.

References
----------
spinnaker_tools ``sark_alloc.c``; spinnman 7.4.1 ``get_heap_process.py`` walks it from the first
block.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from orchestrator.virtual.monitor.memory import AddressSpace

HEADER_BYTES: Final = 16
BLOCK_BYTES: Final = 8
_USED: Final = 0xFFFF0000
_MAX_BLOCKS: Final = 1 << 16


class Block(NamedTuple):
    """Where a block starts and ends, and its owner: (application << 8) + tag, None if free."""

    address: int
    end: int
    owner: int | None

    @property
    def data(self) -> int:
        """Return the address of the bytes that its user gets."""
        return self.address + BLOCK_BYTES

    @property
    def size(self) -> int:
        """Return how many those are."""
        return self.end - self.data


class Heap:
    """The heap whose header is at ``base``."""

    def __init__(self, space: AddressSpace, base: int):
        self._space = space
        self.base = base

    def create(self, end: int) -> None:
        """Write an empty heap that ends at an address."""
        first, last = self.base + HEADER_BYTES, end - BLOCK_BYTES
        self._space.set_words(self.base, first, first, last, last - first - BLOCK_BYTES)
        self._space.set_words(first, last, 0)
        self._space.set_words(last, 0, 0)

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks in order of address."""
        address, last = self._space.word(self.base + 4), self._space.word(self.base + 8)
        for _ in range(_MAX_BLOCKS):
            if not self.base < address < last or self._space.view(last, BLOCK_BYTES) is None:
                return
            end, use = self._space.word(address), self._space.word(address + 4)
            if not address + BLOCK_BYTES <= end <= last:
                return
            yield Block(address, end, use & 0xFFFF if use >= _USED else None)
            address = end

    @property
    def free_bytes(self) -> int:
        """Return the bytes of all free blocks."""
        return sum(block.size for block in self.blocks() if block.owner is None)

    @property
    def largest(self) -> int:
        """Return the bytes of the largest free block."""
        return max((block.size for block in self.blocks() if block.owner is None), default=0)

    def allocate(self, size: int, owner: int) -> int:
        """Return the address of a new block of ``size`` bytes, rounded up to words; 0 if none."""
        needed = (size + 3 & ~3) + BLOCK_BYTES
        for block in self.blocks():
            if block.owner is not None or block.end - block.address < needed or not size:
                continue
            end = block.address + needed
            if end + BLOCK_BYTES < block.end:
                self._space.set_words(end, block.end, 0)
            else:
                end = block.end
            self._space.set_words(block.address, end, _USED + owner)
            self._chain_free_blocks()
            return block.data
        return 0

    def free(self, data: int) -> Block | None:
        """Free the block whose data start at an address; return what it was, None if there is none.

        A nonsense address is no error: hosts do send them.
        """
        for block in self.blocks():
            if block.data == data and block.owner is not None:
                self._space.set_words(block.address + 4, 0)
                self._chain_free_blocks()
                return block
        return None

    def free_application(self, app_id: int) -> list[Block]:
        """Free all blocks of an application and return what they were."""
        owned = [b for b in self.blocks() if b.owner is not None and b.owner >> 8 == app_id]
        for block in owned:
            self._space.set_words(block.address + 4, 0)
        if owned:
            self._chain_free_blocks()
        return owned

    def _chain_free_blocks(self) -> None:
        """Join free neighbours, link the free blocks and count their bytes."""
        free: list[tuple[int, int]] = []
        before: Block | None = None
        for block in self.blocks():
            if block.owner is None:
                if before is not None and before.owner is None:
                    free[-1] = (free[-1][0], block.end)
                else:
                    free.append((block.address, block.end))
            before = block
        following = [*(address for address, _ in free[1:]), 0]
        for (address, end), then in zip(free, following, strict=False):
            self._space.set_words(address, end, then)
        self._space.set_words(self.base, free[0][0] if free else 0)
        count = sum(end - address - BLOCK_BYTES for address, end in free)
        self._space.set_words(self.base + 12, count)
