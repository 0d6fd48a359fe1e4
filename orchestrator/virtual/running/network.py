"""Carries packets from chip to chip: links, losses, times of arrival.

A packet takes a link for as long as its bits do, then a hop's latency; those behind it wait. What
a link does not lose arrives: links have no limit of packets that wait, since on the chip they hold
the sender back. A core that does not take a packet in time loses it (`Router.patience`).

References
----------
AN7 (symbols of a packet on a link: 11 without, 19 with payload), slides "Chip Resources" 2015 (20
ns a symbol); docs/emulator.md for the hop.
"""

from collections.abc import Callable, Iterator
from random import Random
from typing import Final, NamedTuple

from orchestrator.machine.links import Link
from orchestrator.machine.machine import Chip
from orchestrator.virtual.core import Packet
from orchestrator.virtual.monitor.cores import Surroundings
from orchestrator.virtual.running.router import Destinations, PacketType, Router

LINK_CYCLES: Final = (44, 76)
"""Cycles at 200 MHz for which a packet without and with payload takes a link: 220 and 380 ns."""

HOP_CYCLES: Final = 20
"""Cycles at 200 MHz from a router's input to its output: 100 ns at most, beside the link."""


_LINKS: Final = tuple(Link)
_OPPOSITES: Final = tuple(link.opposite for link in Link)


class Sent(NamedTuple):
    """A packet that a core sent: when (machine cycle), on which chip."""

    at: int
    chip: Chip
    packet: Packet


class Arrival(NamedTuple):
    """A packet at a router's output to a core, by its physical number, at a machine cycle."""

    at: int
    chip: Chip
    core: int
    packet: Packet


class _Visit(NamedTuple):
    at: int
    chip: Chip
    came_by: Link | None


class Network:
    """All routers and links of a machine.

    Parameters
    ----------
    surroundings
        Which links work, and which lose packets.
    router
        Returns the router of a chip.
    seed
        Of the losses.
    """

    def __init__(self, surroundings: Surroundings, router: Callable[[Chip], Router], seed: int):
        self._surroundings = surroundings
        self._router = router
        self._random = Random(seed)
        self._free: dict[tuple[Chip, Link], int] = {}

    def carry(self, sent: Sent) -> Iterator[Arrival]:
        """Yield where a packet arrives, in no order. Where routes run in a circle, it goes once."""
        seen: set[tuple[Chip, Link | None]] = set()
        visits = [_Visit(*sent[:2], None)]
        packet = sent.packet
        while visits:
            visit = visits.pop()
            if (visit.chip, visit.came_by) in seen:
                continue
            seen.add((visit.chip, visit.came_by))
            router = self._router(visit.chip)
            to = router.destinations(packet, visit.came_by)
            if to is None:
                router.dropped(packet, 0)
                continue
            router.count(packet, visit.came_by, to)
            visits.extend(self._leave(visit, to, packet, router))
            for core in _bits(to.cores):
                yield Arrival(visit.at, visit.chip, core, packet)

    def _leave(
        self, visit: _Visit, to: Destinations, packet: Packet, router: Router
    ) -> Iterator[_Visit]:
        x, y = visit.chip
        for number in _bits(to.links):
            link = _LINKS[number]
            there = self._surroundings.neighbour(x, y, link)
            if there is None:
                router.dropped(packet, 1 << number)
                continue
            start = max(visit.at, self._free.get((visit.chip, link), 0))
            end = start + LINK_CYCLES[packet.payload is not None]
            self._free[visit.chip, link] = end
            loss = self._surroundings.loss(x, y, link)
            if loss and self._random.random() < loss:
                continue
            if PacketType.of(packet) == PacketType.NEAREST_NEIGHBOUR:
                continue  # it ends at the neighbour's monitor, whose program is not emulated
            yield _Visit(end + HOP_CYCLES, there, _OPPOSITES[number])


def _bits(mask: int) -> Iterator[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
