"""The graph of boards: which boards are cabled to which, with how many working links.

Eight chip links leave a 48-chip board in each of its six directions, multiplexed by an FPGA over
one cable. The same two boards can be joined by several cables on a small torus, so a cable is
named by a board and a direction.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from orchestrator.machine.geometry import CABLE_LINKS, Ints
from orchestrator.machine.links import Link
from orchestrator.machine.machine import Machine

CHANNELS = 8
"""Chip links that one cable carries, each way."""

FPGA: dict[Link, tuple[int, int, str]] = {
    Link.EAST: (0, 0, "J5"),
    Link.SOUTH: (0, 8, "J8"),
    Link.SOUTH_WEST: (1, 0, "J2"),
    Link.WEST: (1, 8, "J7"),
    Link.NORTH: (2, 0, "J6"),
    Link.NORTH_EAST: (2, 8, "J4"),
}
"""Each cable's FPGA, the first of its eight channels there, and the socket on the board
(SpiNNMachine ``version_5.py``, ``fpga_links``; SpiNNaker application note 9)."""


@dataclass(frozen=True, eq=False)
class BoardGraph:
    """Boards and the cables between them.

    Attributes
    ----------
    neighbour : int64 [n_boards, 6], the board at the other end of a cable, -1 where there is none
        or no link of it works.
    channels : int64 [n_boards, 6], working chip links of the cable, 0 to 8; the same from both
        ends.
    """

    neighbour: Ints
    channels: Ints

    @property
    def n_boards(self) -> int:
        """Return the number of boards."""
        return len(self.neighbour)

    @cached_property
    def n_cables(self) -> int:
        """Return the number of working cables."""
        return int(np.count_nonzero(self.channels)) // 2

    @cached_property
    def distances(self) -> NDArray[np.int16]:
        """Return the least number of cables between any two boards, int16 [n_boards, n_boards].

        -1 where there is no way.
        """
        n = self.n_boards
        distances = np.full((n, n), -1, np.int16)
        frontier = np.eye(n, dtype=np.bool_)
        step = 0
        while frontier.any():
            distances[frontier] = step
            step += 1
            reached = np.zeros_like(frontier)
            for link in Link:
                have = self.neighbour[:, link] >= 0
                reached[have] |= frontier[self.neighbour[have, link]]
            frontier = reached & (distances < 0)
        return distances

    @cached_property
    def next_link(self) -> NDArray[np.int8]:
        """Return the direction to take at a board towards another, int8 [n_boards, n_boards].

        Always along a shortest way; among several, the first from a direction that rotates with the
        destination, so that traffic to different boards spreads. -1 at the destination and where
        there is no way. It is what a router table keyed by destination can hold.
        """
        n = self.n_boards
        chosen = np.full((n, n), -1, np.int8)
        for turn in range(len(Link)):
            targets = np.arange(n) % len(Link)
            for link in Link:
                at = self.neighbour[:, link]
                nearer = self.distances[at] == self.distances - 1
                nearer &= (at >= 0)[:, None] & (self.distances > 0) & (chosen < 0)
                nearer &= ((link - targets) % len(Link) == turn)[None, :]
                chosen[nearer] = link
        return chosen

    @property
    def is_connected(self) -> bool:
        """Return whether every board can reach every other over cables."""
        return bool((self.distances[0] >= 0).all())

    def cables(self) -> list[tuple[int, int, Link]]:
        """Return each working cable once: board, board at its other end, direction from the first.

        The direction is east, north-east or north.
        """
        return [
            (board, int(self.neighbour[board, link]), link)
            for board in range(self.n_boards)
            for link in (Link.EAST, Link.NORTH_EAST, Link.NORTH)
            if self.channels[board, link]
        ]


def board_graph(machine: Machine) -> BoardGraph:
    """Return the graph of a machine's boards.

    A cable counts while one of its eight links works. A SpiNN-3 board has no cables.
    """
    neighbour = np.full((machine.n_boards, len(Link)), -1, np.int64)
    channels = np.zeros((machine.n_boards, len(Link)), np.int64)
    if machine.width < CHANNELS:
        return BoardGraph(neighbour, channels)
    size = (machine.width, machine.height)
    for direction in Link:
        for x, y, link in CABLE_LINKS[direction]:
            here = tuple(np.mod(machine.ethernet + (x, y), size).T)
            there = tuple(np.mod(np.array(here).T + link.step, size).T)
            works = machine.links[(*here, link)]
            channels[:, direction] += works
            neighbour[works, direction] = machine.board_at[there][works]
    return BoardGraph(neighbour, channels)
