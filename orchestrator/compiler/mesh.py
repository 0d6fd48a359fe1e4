"""The chips of a slice in an order, and routes between them that avoid dead parts.

Chips are ordered by halving the slice again and again across its longer side, so that any run of
chips is compact. A route is a multicast tree over working links. Trees that are used at a time are
grown one after the other around the links that those before load, because links and not distances
bound an exchange.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush
from math import inf

import numpy as np
from numpy.typing import NDArray

from orchestrator.compiler.program import LINKS
from orchestrator.errors import ArgumentError
from orchestrator.machine.geometry import Ints
from orchestrator.machine.links import Link
from orchestrator.machine.machine import MONITORS, Machine

CROWDING = 8
"""Power of a link's load, in even shares, that counts as hops: higher ones lengthen trees."""
SWEEPS = 3
"""How often trees that go on at a time are grown around one another; more changed nothing."""


class Mesh:
    """Working chips of a connected slice, numbered, with their links.

    Attributes
    ----------
    chips : int64 [n, 2], (x, y).
    board : int64 [n].
    neighbour : int64 [n, 6], the chip at the other end of a link, -1 where none works.
    cores : int64 [n], working application cores.

    Raises
    ------
    ArgumentError
        Dead links cut the slice in parts.
    """

    def __init__(self, machine: Machine) -> None:
        _check_connected(machine)
        found = np.argwhere(machine.cores > MONITORS)
        places = _unrolled(found, machine)
        first = _halved(places, 1)
        self.chips: Ints = found[first]
        self._places = places[first]
        x, y = self.chips.T
        self.board: Ints = machine.board_at[x, y].astype(np.int64)
        self.cores: Ints = machine.cores[x, y].astype(np.int64) - MONITORS
        number = np.full((machine.width, machine.height), -1, np.int64)
        number[x, y] = np.arange(len(found))
        self.neighbour: Ints = np.full((len(found), LINKS), -1, np.int64)
        for link in Link:
            dx, dy = link.step
            there = number[(x + dx) % machine.width, (y + dy) % machine.height]
            self.neighbour[:, link] = np.where(machine.links[x, y, link], there, -1)
        self._adjacent = [
            [(there, LINKS * chip + link) for link, there in enumerate(row) if there >= 0]
            for chip, row in enumerate(self.neighbour.tolist())
        ]
        self._orders: dict[int, tuple[int, ...]] = {}
        self._trees: dict[tuple[int, tuple[int, ...]], Tree] = {}

    @property
    def n(self) -> int:
        """Return the number of chips."""
        return len(self.chips)

    @cached_property
    def between_boards(self) -> NDArray[np.bool_]:
        """Return whether each directed link leads to another board, bool [6 n]."""
        other = self.board[self.neighbour] != self.board[:, None]
        crosses: NDArray[np.bool_] = np.ravel(other & (self.neighbour >= 0))
        return crosses

    @cached_property
    def distances(self) -> Ints:
        """Return the hops between all chips, int64 [n, n]."""
        return np.array([self._hops(chip) for chip in range(self.n)])

    @cached_property
    def diameter(self) -> int:
        """Return the hops between the two chips that are furthest apart."""
        return int(self.distances.max())

    @cached_property
    def n_links(self) -> int:
        """Return the number of working directed links."""
        return int(np.count_nonzero(self.neighbour >= 0))

    def order(self, size: int) -> tuple[int, ...]:
        """Return all chips in an order in which every `size` that follow each other are compact."""
        if size not in self._orders:
            self._orders[size] = tuple(_halved(self._places, size).tolist())
        return self._orders[size]

    def back(self, link: int) -> int:
        """Return the directed link the other way."""
        chip, way = divmod(link, LINKS)
        return LINKS * int(self.neighbour[chip, way]) + (way + 3) % LINKS

    def trees(self, wanted: Sequence[tuple[int, tuple[int, ...], int]]) -> list["Tree"]:
        """Return a multicast tree for each (source, targets, bytes) that go on at a time.

        Trees are grown one after the other, each from what it has to the target that is cheapest
        to reach, where a link costs the more the more it carries; then each again, around all
        others. A tree that an exchange before had for the same source and targets is taken again.
        """
        load = [0.0] * (LINKS * self.n)
        total = sum(size * len(targets) for _, targets, size in wanted)
        scale = self.n_links / max(1, total)
        missing: dict[tuple[int, tuple[int, ...]], float] = {}
        for source, targets, size in wanted:
            tree = self._trees.get((source, targets))
            if tree is None:
                missing[source, targets] = missing.get((source, targets), 0.0) + size * scale
            else:
                _carry(load, tree, size * scale)
        largest = sorted(missing.items(), key=lambda item: (-item[1] * len(item[0][1]), item[0]))
        for sweep in range(SWEEPS):
            for (source, targets), share in largest:
                if sweep:
                    _carry(load, self._trees[source, targets], -share)
                tree = self._trees[source, targets] = self._grow(source, targets, load)
                _carry(load, tree, share)
        return [self._trees[source, targets] for source, targets, _ in wanted]

    def _grow(self, source: int, targets: tuple[int, ...], load: list[float]) -> "Tree":
        """Return a tree; repeated searches for the cheapest way from the tree to a target."""
        depth = {source: 0}
        missing = set(targets)
        came: dict[int, tuple[int, int]] = {}
        links: list[int] = []
        while missing:
            best = dict.fromkeys(depth, 0.0)
            heap = [(0.0, chip) for chip in sorted(depth)]
            way: dict[int, tuple[int, int]] = {}
            while True:
                cost, at = heappop(heap)
                if cost > best[at]:
                    continue
                if at in missing:
                    break
                for there, link in self._adjacent[at]:
                    farther = cost + 1 + load[link] ** CROWDING
                    if farther < best.get(there, inf):
                        best[there] = farther
                        way[there] = at, link
                        heappush(heap, (farther, there))
            path = [at]
            while path[-1] not in depth:
                path.append(way[path[-1]][0])
            for before, chip in zip(path[::-1], path[-2::-1], strict=False):
                depth[chip] = depth[before] + 1
                came[chip] = way[chip]
                links.append(way[chip][1])
                missing.discard(chip)
        return Tree(source, tuple(links), came, max(depth[target] for target in targets))

    def _hops(self, root: int) -> list[int]:
        hops, frontier = [-1] * self.n, [root]
        hops[root] = 0
        for at in frontier:  # grows while it is walked
            for there, _ in self._adjacent[at]:
                if hops[there] < 0:
                    hops[there] = hops[at] + 1
                    frontier.append(there)
        return hops


@dataclass(frozen=True, eq=False)
class Tree:
    """A multicast tree.

    Attributes
    ----------
    source : its root.
    links : directed, each once, outward.
    came : for every chip on it but the root, the chip before it and the link from there.
    hops : links to the furthest target.
    """

    source: int
    links: tuple[int, ...]
    came: dict[int, tuple[int, int]]
    hops: int


def _carry(load: list[float], tree: Tree, size: float) -> None:
    for link in tree.links:
        load[link] += size


def _check_connected(machine: Machine) -> None:
    parts = machine.parts[machine.cores > 0]
    if machine.is_connected:
        return
    sizes = np.bincount(parts)
    x, y = np.argwhere(machine.parts == int(sizes.argmin()))[0]
    raise ArgumentError(
        f"dead links cut the slice of {machine.n_chips} chips in {len(sizes)} parts, of "
        f"{', '.join(map(str, sorted(sizes.tolist(), reverse=True)))} chips; chip ({x}, {y}) "
        "cannot be reached from the largest. Take a slice without it"
    )


def _unrolled(chips: Ints, machine: Machine) -> Ints:
    """Return coordinates in which the slice does not reach around the edge of a torus."""
    places = chips.copy()
    for axis, (size, wraps) in enumerate(
        zip((machine.width, machine.height), machine.wraps, strict=True)
    ):
        used = np.zeros(size, np.bool_)
        used[chips[:, axis]] = True
        gaps = np.flatnonzero(~used)
        if wraps and gaps.size:
            places[:, axis] = (places[:, axis] - gaps[-1] - 1) % size
    return places


def _halved(places: Ints, size: int) -> Ints:
    """Return the order of chips that halving across the longer side gives, int64 [n].

    Halves have a multiple of `size` chips as long as there are so many.
    """

    def order(members: Ints) -> list[int]:
        if len(members) <= 1:
            return [int(member) for member in members]
        here = places[members]
        axis = int(np.ptp(here, axis=0).argmax())
        ranked = members[np.lexsort((here[:, 1 - axis], here[:, axis]))]
        half = (len(ranked) + 1) // 2
        if len(ranked) > size:
            half = min(len(ranked) - 1, max(1, round(len(ranked) / 2 / size)) * size)
        return order(ranked[:half]) + order(ranked[half:])

    return np.array(order(np.arange(len(places))), np.int64)
