"""A booted machine as a value: its chips in its own coordinates, and how they are linked."""

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from orchestrator.machine.links import Link
from orchestrator.machine.machine import Chip
from orchestrator.wire.layout import P2P_MONITOR, P2P_NONE

NO_PARENT: Final = 7
"""Parent link of chip (0, 0)."""


@dataclass(frozen=True, kw_only=True)
class ChipPlan:
    """One chip.

    Attributes
    ----------
    place
        (x, y) in the machine as it is built, which dead parts and faults are named by.
    ethernet
        The chip, in the booted machine, whose Ethernet socket is nearest.
    ip_address
        Its own socket's, empty for most chips.
    physical_cores
        Physical number of each virtual core; the first is the monitor's.
    """

    place: Chip
    ethernet: Chip
    ip_address: str
    physical_cores: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class MachinePlan:
    """The chips that boot together.

    Attributes
    ----------
    width, height
        Chips of the bounding box, as the system software finds them.
    chips
        By coordinates of the booted machine; all can be reached from (0, 0).
    links
        Of each chip, the six chips at the ends of its links, None where a link does not work.
    """

    width: int
    height: int
    chips: Mapping[Chip, ChipPlan]
    links: Mapping[Chip, tuple[Chip | None, ...]]

    def link_bits(self, chip: Chip) -> int:
        """Return the links of a chip that work, bit ``link`` for each."""
        return sum(1 << link for link, end in enumerate(self.links[chip]) if end is not None)

    def parents(self) -> dict[Chip, int]:
        """Return of each chip the link towards (0, 0), `NO_PARENT` there.

        The links make a tree: a program that is copied along it reaches every chip.
        """
        if (0, 0) not in self.chips:
            return {}
        found = {(0, 0): NO_PARENT}
        waiting = deque([(0, 0)])
        while waiting:
            chip = waiting.popleft()
            for link, there in enumerate(self.links[chip]):
                if there is not None and there not in found:
                    found[there] = Link(link).opposite
                    waiting.append(there)
        return found

    def first_links(self, source: Chip) -> dict[Chip, int]:
        """Return for each chip that can be reached the first link of a shortest way to it.

        These are the entries of the source's P2P table; its own is `P2P_MONITOR`.
        """
        found = {source: P2P_MONITOR}
        waiting = deque([source])
        while waiting:
            chip = waiting.popleft()
            for link, there in enumerate(self.links[chip]):
                if there is not None and there not in found:
                    found[there] = link if chip == source else found[chip]
                    waiting.append(there)
        return found

    def p2p_column(self, first_links: Mapping[Chip, int], x: int) -> list[int]:
        """Return the 32 words of a column of the P2P table: eight rows each, three bits a row."""
        words = []
        for start in range(0, 256, 8):
            word = 0
            for row in range(8):
                word |= first_links.get((x, start + row), P2P_NONE) << 3 * row
            words.append(word)
        return words

    def without(self, dead: Collection[Chip]) -> "MachinePlan":
        """Return the machine after chips have died; those beyond them stay, though out of reach."""
        gone = set(dead)
        return MachinePlan(
            width=self.width,
            height=self.height,
            chips={at: plan for at, plan in self.chips.items() if at not in gone},
            links={
                at: tuple(None if there in gone else there for there in ends)
                for at, ends in self.links.items()
                if at not in gone
            },
        )

    def without_link(self, chip: Chip, link: Link) -> "MachinePlan":
        """Return the machine after a link has died, which it does both ways."""
        there = self.links[chip][link] if chip in self.links else None
        if there is None:
            return self
        links = {place: list(ends) for place, ends in self.links.items()}
        links[chip][link] = None
        links[there][link.opposite] = None
        return MachinePlan(
            width=self.width,
            height=self.height,
            chips=self.chips,
            links={place: tuple(ends) for place, ends in links.items()},
        )
