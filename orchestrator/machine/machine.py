"""A machine as a value: which chips, cores and links work, and which board each chip is on."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ArgumentError
from orchestrator.machine.geometry import TRIAD, Ints, ethernet_chips
from orchestrator.machine.links import Link

Board = tuple[int, int, int]
Chip = tuple[int, int]

MONITORS = 1
"""Cores of a chip that run the system software."""


@dataclass(frozen=True, kw_only=True)
class Faults:
    """Parts that do not work, in the coordinates of the machine they belong to.

    Attributes
    ----------
    boards : (x, y, z); all their chips are gone.
    chips : (x, y).
    cores : (x, y, core), core 0 to 17 as numbered by the hardware.
    links : (x, y, link). A link is unusable in both directions, as the SpiNNaker tools repair
        links that work one way only (SpiNNMachine ``machine.one_way_links``).
    cables : (x, y, z, link): all eight links between two boards in that direction.
    """

    boards: frozenset[Board] = frozenset()
    chips: frozenset[Chip] = frozenset()
    cores: frozenset[tuple[int, int, int]] = frozenset()
    links: frozenset[tuple[int, int, Link]] = frozenset()
    cables: frozenset[tuple[int, int, int, Link]] = frozenset()


NO_FAULTS = Faults()


@dataclass(frozen=True, eq=False, kw_only=True)
class Machine:
    """The working parts of a machine, or of a sub-machine: a slice.

    Attributes
    ----------
    boards : int64 [n_boards, 3], the coordinates (x, y, z) of each board; a board's number is its
        row.
    wraps : whether the first and last column, and row, of triads are linked.
    board_at : int16 [width, height], the number of the board that holds a chip, -1 for no board.
    cores : uint8 [width, height], working cores, the monitor's among them; 0 where no chip works.
    links : bool [width, height, 6], whether a link works from this chip outward; always the same
        as from its other end.
    """

    boards: Ints
    wraps: tuple[bool, bool]
    board_at: NDArray[np.int16]
    cores: NDArray[np.uint8]
    links: NDArray[np.bool_] = field(repr=False)

    @property
    def width(self) -> int:
        """Return the chips of the bounding box in x."""
        return int(self.cores.shape[0])

    @property
    def height(self) -> int:
        """Return the chips of the bounding box in y."""
        return int(self.cores.shape[1])

    @property
    def n_triads(self) -> tuple[int, int]:
        """Return the columns and rows of triads of the bounding box."""
        return max(1, self.width // TRIAD), max(1, self.height // TRIAD)

    @property
    def n_boards(self) -> int:
        """Return the number of boards."""
        return len(self.boards)

    @cached_property
    def n_chips(self) -> int:
        """Return the number of working chips."""
        return int(np.count_nonzero(self.cores))

    @cached_property
    def n_application_cores(self) -> int:
        """Return the number of working cores without one monitor a chip."""
        return int(self.cores.sum(dtype=np.int64)) - MONITORS * self.n_chips

    @cached_property
    def n_links(self) -> int:
        """Return the number of working links between chips, each counted once."""
        return int(np.count_nonzero(self.links)) // 2

    @cached_property
    def ethernet(self) -> Ints:
        """Return each board's Ethernet chip, int64 [n_boards, 2]."""
        return np.mod(ethernet_chips(self.boards), (self.width, self.height))

    @cached_property
    def has_host_link(self) -> NDArray[np.bool_]:
        """Return whether each board's Ethernet chip works, bool [n_boards]."""
        works: NDArray[np.bool_] = self.cores[tuple(self.ethernet.T)] > 0
        return works

    def board_number(self, board: Board) -> int:
        """Return the number of the board (x, y, z).

        Raises
        ------
        ArgumentError
            The machine has no such board, or it is dead.
        """
        found = np.flatnonzero((self.boards == board).all(axis=1))
        if not found.size:
            raise ArgumentError(f"there is no working board {board} among {self.n_boards}")
        return int(found[0])

    def neighbour(self, x: int, y: int, link: Link) -> Chip | None:
        """Return the working chip at the other end of a working link, or None."""
        if not self.links[x, y, link]:
            return None
        dx, dy = link.step
        return (x + dx) % self.width, (y + dy) % self.height

    @cached_property
    def parts(self) -> NDArray[np.int32]:
        """Return which connected part each chip is in, int32 [width, height].

        Parts are numbered from 0 in the order of their first chips (x, then y); -1 where no chip
        works. A machine cut in two by dead links has a 1 somewhere.
        """
        alive = self.cores > 0
        label = np.where(alive, np.arange(alive.size).reshape(alive.shape), alive.size)
        while True:
            # Every chip takes the least label around it, then the label of its label: the second
            # halves the remaining distance, so that rounds grow with its logarithm.
            lowest = label.copy()
            for link in Link:
                there = np.roll(label, (-link.step[0], -link.step[1]), axis=(0, 1))
                np.minimum(lowest, there, out=lowest, where=self.links[..., link])
            flat = np.append(lowest.ravel(), alive.size)
            lowest = flat[flat[lowest]]
            if np.array_equal(lowest, label):
                break
            label = lowest
        numbers = np.full(alive.size + 1, -1, np.int32)
        first = np.unique(label[alive])
        numbers[first] = np.arange(first.size)
        return numbers[label]

    @property
    def is_connected(self) -> bool:
        """Return whether every working chip can reach every other."""
        return int(self.parts.max(initial=0)) == 0


def links_between(cores: NDArray[np.uint8], wraps: tuple[bool, bool]) -> NDArray[np.bool_]:
    """Return which links join two working chips, bool [width, height, 6]."""
    alive = cores > 0
    links = np.empty((*cores.shape, len(Link)), np.bool_)
    for link in Link:
        links[..., link] = alive & np.roll(alive, (-link.step[0], -link.step[1]), axis=(0, 1))
        for axis, wrap in enumerate(wraps):
            if link.step[axis] and not wrap:  # the roll went round an edge that does not close
                edge = -1 if link.step[axis] > 0 else 0
                np.moveaxis(links[..., link], axis, 0)[edge] = False
    return links
