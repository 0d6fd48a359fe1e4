"""What one router does with a packet: where it goes, what is counted, what is noted of a drop.

References
----------
SpiNNaker data sheet 2.02, section 10 (registers, waiting times, diagnostic filters);
spinnaker_tools ``spinnaker.h``, ``sark_hw.c``; spinnman ``diagnostic_filter.py`` (a filter's bits).
"""

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np

from orchestrator.machine.links import Link
from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.core import Packet
from orchestrator.virtual.emulator_library import emulator_library

CYCLES_PER_ROUTER_CLOCK: Final = 1.5
"""200 MHz of the cores over 133.3 MHz of the router."""

_CONTROL: Final = 0x00 // 4
_DUMP_HEADER: Final = 0x18 // 4
_DUMP_STATUS: Final = 0x28 // 4
_FIXED_ROUTE: Final = 0x84 // 4
_FILTERS: Final = 0x200 // 4
_COUNTERS: Final = 0x300 // 4
_N_COUNTERS: Final = 16
_ROUTES: Final = 0x4000 // 4
_ENTRIES: Final = 1024
_LINKS: Final = 6
_LINK_BITS: Final = (1 << _LINKS) - 1
_CORE_BITS: Final = (1 << 18) - 1
_FOREVER: Final = 0xFF
_DUMPED: Final = 1 << 31
_DUMPED_AGAIN: Final = 1 << 30
_DESTINATION_DUMP: Final = 1
_DESTINATION_LOCAL: Final = 2
_DESTINATION_MONITOR: Final = 4
_DESTINATION_LINKS_AT: Final = 3


class PacketType(IntEnum):
    """Bits 7 and 6 of a packet's control byte."""

    MULTICAST = 0
    POINT_TO_POINT = 1
    NEAREST_NEIGHBOUR = 2
    FIXED_ROUTE = 3

    @staticmethod
    def of(packet: Packet) -> int:
        """Return the type of a packet, as a plain number: it is asked for at every hop."""
        return packet.control >> 6 & 3


class Destinations(NamedTuple):
    """Where a packet leaves a router.

    Attributes
    ----------
    links
        A bit for each link.
    cores
        A bit for each physical core.
    default
        It went straight on because no entry matched.
    """

    links: int
    cores: int
    default: bool = False


class Router:
    """The router of one chip; its tables and registers are in the chip's memory."""

    def __init__(self, memory: ChipMemory):
        self._memory = memory
        self._registers = memory.router
        self._match = emulator_library().router_match
        self._chip = memory.state.ctypes.data
        self._filters = b""
        self._counted: dict[tuple[int, ...], list[int]] = {}

    def destinations(self, packet: Packet, came_by: Link | None) -> Destinations | None:
        """Return where a packet goes, None if the router drops it.

        Parameters
        ----------
        packet
            The packet.
        came_by
            The link of this chip on which it arrived, None from one of the chip's cores.
        """
        kind = PacketType.of(packet)
        if kind == PacketType.FIXED_ROUTE:
            return _of_route(int(self._registers[_FIXED_ROUTE]))
        if kind == PacketType.NEAREST_NEIGHBOUR:
            return Destinations(_neighbours(packet), 0)
        if kind == PacketType.POINT_TO_POINT:
            return None
        entry = self._match(self._chip, packet.key)
        if entry < _ENTRIES:
            return _of_route(int(self._registers[_ROUTES + entry]))
        if came_by is None:
            return None
        return Destinations(1 << came_by.opposite, 0, default=True)

    @property
    def patience(self) -> int | None:
        """Return for how many core cycles it tries to hand over a packet, None for ever.

        The first waiting time, 4 bits of mantissa M and 4 of exponent E, is in router clocks
        (M + 16 - 2^(4 - E)) 2^E up to E = 4 and (M + 16) 2^E above. Emergency routes, which the
        second would allow, are not taken: SC&MP sets it to 0.
        """
        wait = int(self._registers[_CONTROL]) >> 16 & 0xFF
        if wait == _FOREVER:
            return None
        mantissa, exponent = wait & 15, wait >> 4
        clocks = (mantissa + 16 - (16 >> exponent if exponent <= 4 else 0)) << exponent
        return int(clocks * CYCLES_PER_ROUTER_CLOCK)

    def count(self, packet: Packet, came_by: Link | None, to: Destinations | None) -> None:
        """Add one to the counters whose filters take a packet; `to` None: it was dropped."""
        filters = self._registers[_FILTERS : _FILTERS + _N_COUNTERS]
        if filters.tobytes() != self._filters:
            self._filters = filters.tobytes()
            self._counted.clear()
        key = (
            PacketType.of(packet),
            packet.payload is None,
            came_by is not None,
            to is not None and not to.default,
            self._destination_bits(to),
        )
        counters = self._counted.get(key)
        if counters is None:
            counters = self._counted[key] = [
                number for number, word in enumerate(filters.tolist()) if _takes(word, *key)
            ]
        for number in counters:
            self._registers[_COUNTERS + number] += np.uint32(1)

    def dropped(self, packet: Packet, outputs: int) -> None:
        """Count and note a packet that the router gave up.

        Parameters
        ----------
        packet
            The packet.
        outputs
            Bits of the links and, from bit 6 on, of the physical cores that did not take it.
        """
        self.count(packet, None, None)
        registers = self._registers
        if int(registers[_DUMP_STATUS]) & _DUMPED:
            registers[_DUMP_STATUS] |= np.uint32(_DUMPED_AGAIN)
            return
        has_payload = packet.payload is not None
        header = (packet.control & 0xFD | has_payload << 1) << 16
        words = (header, packet.key, packet.payload or 0, outputs, _DUMPED)
        registers[_DUMP_HEADER : _DUMP_HEADER + len(words)] = words

    def _destination_bits(self, to: Destinations | None) -> int:
        if to is None:
            return _DESTINATION_DUMP
        monitor = 1 << self._memory.physical_cores[0]
        local = _DESTINATION_LOCAL if to.cores & ~monitor else 0
        watched = _DESTINATION_MONITOR if to.cores & monitor else 0
        return local | watched | to.links << _DESTINATION_LINKS_AT


def _neighbours(packet: Packet) -> int:
    """Return the links of a nearest-neighbour packet, bits 4 to 2 of its control byte: 6 is all."""
    number = packet.control >> 2 & 7
    return _LINK_BITS if number == _LINKS else 1 << number & _LINK_BITS


def _of_route(route: int) -> Destinations:
    return Destinations(route & _LINK_BITS, route >> _LINKS & _CORE_BITS)


def _takes(
    word: int, kind: int, bare: bool, outside: bool, by_entry: bool, destinations: int
) -> bool:
    """Return whether a filter takes a packet: one bit of every field must agree.

    Bits 3 to 0 packet types, 7 to 4 emergency routing (0: normal), 11 and 10 default routed or
    not, 13 and 12 with or without payload, 15 and 14 local or not, 24 to 16 destinations: dropped,
    application core, monitor, links.
    """
    return bool(
        word >> kind & 1
        and word >> 4 & 1
        and word >> 10 + by_entry & 1
        and word >> 12 + bare & 1
        and word >> 14 + outside & 1
        and word >> 16 & destinations
    )
