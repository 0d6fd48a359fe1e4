"""The multicast table of a chip: SC&MP's copy in SDRAM, the router's registers, who owns what.

Entries of the copy are words (next, owner), route, key, mask; an unused one has the route
0xff000000. Entries 1 to 1023 are given out in blocks: the first entry of a block says in ``next``
where the following block starts. Routes of the copy name virtual cores, the router's physical ones.

References
----------
spinnaker_tools ``sark_hw.c`` (``rtr_*``), ``sark_alloc.c`` (``rtr_alloc_id``); data sheet 2.02,
section 10.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from orchestrator.virtual.monitor.memory import AddressSpace
from orchestrator.wire.layout import (
    LAST_CORES_BIT,
    N_ROUTER_COUNTERS,
    ROUTE_ENTRY_BYTES,
    ROUTE_UNUSED,
    ROUTER_COUNTER_CONTROL,
    ROUTER_COUNTERS,
    ROUTER_FIXED_ROUTE,
    ROUTES,
    SYSTEM_VARIABLES,
    Sv,
)

COPY_BYTES: Final = (ROUTES + 1) * ROUTE_ENTRY_BYTES
_ENTRY: Final = struct.Struct("<2H3I")
_UNUSED: Final = _ENTRY.pack(0, 0, ROUTE_UNUSED, 0xFFFFFFFF, 0)
_OWNED: Final = 0x8000
_FIRST_CORE_BIT: Final = 6
_LINKS: Final = 0x3F
_REGISTERS: Final = (0x4000, 0x8000, 0xC000)
"""Route, key and mask words of the router."""


class RouteBlock(NamedTuple):
    """Entries of the table: the first, the one after the last, the owner (None: free)."""

    first: int
    end: int
    app_id: int | None

    @property
    def size(self) -> int:
        """Return the number of entries."""
        return self.end - self.first


class RouteTable:
    """The table of one chip.

    Parameters
    ----------
    space
        The chip's memory.
    copy
        Address of the copy in SDRAM.
    physical_cores
        Physical number of each virtual core.
    """

    def __init__(self, space: AddressSpace, copy: int, physical_cores: Sequence[int]):
        self._space = space
        self._copy = copy
        self._physical = tuple(physical_cores)

    def initialise(self) -> None:
        """Clear and free all entries, and the fixed route."""
        self._space.write(self._copy, _UNUSED * (ROUTES + 1))
        for start, value in zip(_REGISTERS, (ROUTE_UNUSED, 0xFFFFFFFF, 0), strict=True):
            size = 4 * ROUTES
            self._space.router[start : start + size] = struct.pack("<I", value) * ROUTES
        self._set_head(1, ROUTES, None)
        self._chain_free_blocks()

    def blocks(self) -> Iterator[RouteBlock]:
        """Yield the blocks in order; the chain ends where memory was overwritten with nonsense."""
        first = 1
        while first < ROUTES:
            end, owner = struct.unpack("<2H", self._space.read(self._entry(first), 4))
            if not first < end <= ROUTES:
                return
            yield RouteBlock(first, end, owner & 0xFF if owner & _OWNED else None)
            first = end

    @property
    def largest(self) -> int:
        """Return the number of entries of the largest free block."""
        return max((block.size for block in self.blocks() if block.app_id is None), default=0)

    def allocate(self, count: int, app_id: int) -> int:
        """Return the first of ``count`` entries that follow each other, 0 if there are none."""
        for block in self.blocks():
            if block.app_id is None and 0 < count <= block.size:
                end = block.first + count
                if end < block.end:
                    self._set_head(end, block.end, None)
                for entry in range(block.first, end):
                    self._set_head(entry, 0, app_id)
                self._set_head(block.first, end, app_id)
                self._chain_free_blocks()
                return block.first
        return 0

    def free(self, first: int) -> int:
        """Clear and free the block that starts at an entry; return its entries, 0 for nonsense."""
        for block in self.blocks():
            if block.first == first and block.app_id is not None:
                self._release([block])
                return block.size
        return 0

    def free_application(self, app_id: int) -> int:
        """Clear and free all blocks of an application and return the number of entries."""
        owned = [block for block in self.blocks() if block.app_id == app_id]
        self._release(owned)
        return sum(block.size for block in owned)

    def load(self, entries: bytes, position: int, app_id: int) -> bool:
        """Set entries from rows as hosts write them; False, with nothing set, for a bad position.

        Parameters
        ----------
        entries
            16 bytes each: u16 offset from ``position``, u16 nothing, route, key, mask.
        """
        rows = [_ENTRY.unpack_from(entries, at) for at in range(0, len(entries), _ENTRY.size)]
        if any(not 0 < position + row[0] < ROUTES for row in rows):
            return False
        for offset, _, route, key, mask in rows:
            self._set(position + offset, route & 0xFFFFFF, key, mask)
            owner = struct.pack("<H", _OWNED | app_id)
            self._space.write(self._entry(position + offset) + 2, owner)
        return True

    def clear(self, first: int, count: int) -> bool:
        """Clear entries, which stay their owner's; False where there are not so many."""
        if not (0 < first and first + count <= ROUTES):
            return False
        for entry in range(first, first + count):
            self._set(entry, ROUTE_UNUSED, 0xFFFFFFFF, 0)
        return True

    @property
    def fixed_route(self) -> int:
        """Return the route of fixed-route packets, virtual cores."""
        return self._space.word(SYSTEM_VARIABLES + Sv.FIXED_ROUTE)

    @fixed_route.setter
    def fixed_route(self, route: int) -> None:
        self._space.set_words(SYSTEM_VARIABLES + Sv.FIXED_ROUTE, route & 0xFFFFFF)
        struct.pack_into("<I", self._space.router, ROUTER_FIXED_ROUTE, self._in_hardware(route))

    def _release(self, blocks: Sequence[RouteBlock]) -> None:
        """Clear blocks, join free neighbours and note the first free one."""
        for block in blocks:
            self.clear(block.first, block.size)
            for entry in range(block.first, block.end):
                self._set_head(entry, 0, None)
            self._set_head(block.first, block.end, None)
        before: RouteBlock | None = None
        for block in list(self.blocks()):
            if before is not None and before.app_id is None and block.app_id is None:
                self._set_head(block.first, 0, None)
                block = RouteBlock(before.first, block.end, None)
                self._set_head(block.first, block.end, None)
            before = block
        self._chain_free_blocks()

    def _chain_free_blocks(self) -> None:
        """Link the free blocks as SARK does, from the system variable on."""
        free = [block for block in self.blocks() if block.app_id is None]
        following = [*(block.first for block in free[1:]), 0]
        for block, then in zip(free, following, strict=False):
            self._space.write(self._entry(block.first), struct.pack("<2H", block.end, then))
        first = free[0].first if free else 0
        self._space.write(SYSTEM_VARIABLES + Sv.FIRST_FREE_ROUTE, struct.pack("<H", first))

    def _entry(self, number: int) -> int:
        return self._copy + ROUTE_ENTRY_BYTES * number

    def _set_head(self, entry: int, end: int, app_id: int | None) -> None:
        owner = 0 if app_id is None else _OWNED | app_id
        self._space.write(self._entry(entry), struct.pack("<2H", end, owner))

    def _set(self, entry: int, route: int, key: int, mask: int) -> None:
        self._space.set_words(self._entry(entry) + 4, route, key, mask)
        values = (self._in_hardware(route), key, mask)
        for start, value in zip(_REGISTERS, values, strict=True):
            struct.pack_into("<I", self._space.router, start + 4 * entry, value)

    def _in_hardware(self, route: int) -> int:
        """Return a route with physical in place of virtual cores, without cores that are not."""
        if route >= ROUTE_UNUSED:
            return route
        hardware = route & _LINKS
        for virtual, physical in enumerate(self._physical):
            if route >> _FIRST_CORE_BIT + virtual & 1:
                hardware |= 1 << _FIRST_CORE_BIT + physical
        return hardware & (1 << LAST_CORES_BIT) - 1


def obey_counter_control(router: memoryview) -> None:
    """Clear the counters that the upper half of the control word names; keep its lower half."""
    (value,) = struct.unpack_from("<I", router, ROUTER_COUNTER_CONTROL)
    struct.pack_into("<I", router, ROUTER_COUNTER_CONTROL, value & 0xFFFF)
    for counter in range(N_ROUTER_COUNTERS):
        if value >> 16 + counter & 1:
            struct.pack_into("<I", router, ROUTER_COUNTERS + 4 * counter, 0)
