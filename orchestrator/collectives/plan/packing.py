"""Spanning trees of a board graph that share no cable: as many as there are.

Where a machine is open or has dead boards, Hamilton cycles that use every cable do not exist.
Spanning trees do as well: with k trees each carrying 1/k of a buffer, toward its root and back, a
cable carries 1/k of the buffer each way. Tutte and Nash-Williams (1961): a graph has k such trees
unless some partition of its boards into r parts has fewer than k (r - 1) cables between parts;
counting moves between the parts of that partition shows that no schedule whatever does better than
the most trees, taken as fractions.

Fractions come by counting every cable m times: k trees that use each cable at most m times load it
with m/k. Trees are found by matroid partition (Edmonds 1965; labels as Roskind and Tarjan 1985): a
cable that would close a cycle in every forest may still enter, by moving others between forests.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from orchestrator.errors import ArgumentError
from orchestrator.machine.boards import CHANNELS, BoardGraph
from orchestrator.machine.geometry import Ints

MOST_COPIES = 4


@dataclass(frozen=True, eq=False)
class Tree:
    """A spanning tree of boards.

    Attributes
    ----------
    parent : int64 [n_boards], -1 at the root.
    link : int64 [n_boards], the direction of the cable to the parent, -1 at the root.
    depth : int64 [n_boards], cables to the root.
    """

    parent: Ints
    link: Ints
    depth: Ints


@dataclass(frozen=True, eq=False)
class Packing:
    """Trees over a machine, of which at most `sharing` use the same (full) cable."""

    trees: tuple[Tree, ...]
    sharing: int

    @property
    def busiest_share(self) -> float:
        """Return the part of a buffer that a full cable carries one way."""
        return self.sharing / len(self.trees)


def pack_trees(graph: BoardGraph, enough: float = 0.0, most_copies: int = MOST_COPIES) -> Packing:
    """Return the spanning trees with the least load on cables.

    Where a board hangs on cables with so many dead links that no fraction of a tree fits them, it
    is the one tree of `shallow_tree`.

    Parameters
    ----------
    graph : at least two boards.
    enough : a load that cannot be improved on, as `link_bound`; the search ends there.
    most_copies : denominators of the fractions that are tried.

    Raises
    ------
    ArgumentError
        Dead cables cut the machine in two.
    """
    if not graph.is_connected:
        raise ArgumentError("dead cables cut the machine in two: no tree spans its boards")
    best: tuple[Tree, ...] = ()
    sharing = 1
    for copies in range(1, most_copies + 1):
        forests = _Forests(graph, copies)
        # More trees than this leave the load as it is; more than `most` there cannot be.
        useful = len(best) * copies // sharing
        most = copies / enough * (1 + 1e-9) if enough else np.inf
        while forests.k + 1 <= most and forests.grow():
            if forests.k > useful:
                best, sharing = forests.trees(), copies
        if best and sharing / len(best) <= enough * (1 + 1e-9):
            break
    return Packing(best, sharing) if best else shallow_tree(graph)


def shallow_tree(graph: BoardGraph) -> Packing:
    """Return one spanning tree of shortest ways to a board in the middle."""
    root = middle(graph)
    link = graph.next_link[:, root].astype(np.int64)
    away = np.arange(graph.n_boards) != root
    parent = np.where(away, graph.neighbour[np.arange(graph.n_boards), link], -1)
    return Packing((Tree(parent, link, graph.distances[:, root].astype(np.int64)),), 1)


def middle(graph: BoardGraph) -> int:
    """Return a board from which the farthest one is nearest."""
    return int(graph.distances.max(axis=1).argmin())


class _Forests:
    """Forests over the boards, each copy of a cable in at most one of them."""

    def __init__(self, graph: BoardGraph, copies: int) -> None:
        self._n = graph.n_boards
        self._ends = [
            (board, there, int(link))
            for board, there, link in graph.cables()
            for _ in range(int(graph.channels[board, link]) * copies // CHANNELS)
        ]
        self._at: list[list[int]] = [[] for _ in range(self._n)]
        for cable, (board, there, _) in enumerate(self._ends):
            self._at[board].append(cable)
            self._at[there].append(cable)
        self._forest = [-1] * len(self._ends)  # that a cable is in
        self._mine: list[list[list[int]]] = []  # for each forest: each board's cables in it
        # For each forest and board: the root of its tree, the cable and the cables towards it.
        self._root: list[list[int]] = []
        self._up: list[list[int]] = []
        self._depth: list[list[int]] = []
        self._middle = middle(graph)
        self.k = 0

    def grow(self) -> bool:
        """Add one forest; return whether all are now spanning trees."""
        self.k += 1
        size = self._n - 1
        if len(self._ends) < self.k * size or min(map(len, self._at)) < self.k:
            return False
        self._mine.append([[] for _ in range(self._n)])
        self._root.append([])
        self._up.append([])
        self._depth.append([])
        self._grow_from_free(self.k - 1)
        self._search(self.k - 1, self._middle)
        missing = self.k * size - sum(forest >= 0 for forest in self._forest)
        spare = len(self._ends) - self.k * size
        for cable, forest in enumerate(self._forest):
            if not missing or spare < 0:
                break
            if forest < 0:  # one that does not enter now cannot enter later either
                enters = self._enter(cable)
                missing -= enters
                spare -= not enters
        return not missing

    def _other_end(self, cable: int, board: int) -> int:
        one, two, _ = self._ends[cable]
        return two if one == board else one

    def _grow_from_free(self, forest: int) -> None:
        """Fill a forest with cables of no forest, breadth first from the middle."""
        reached = [False] * self._n
        for start in (self._middle, *range(self._n)):
            if reached[start]:
                continue
            reached[start] = True
            queue = [start]
            for board in queue:
                for cable in self._at[board]:
                    there = self._other_end(cable, board)
                    if self._forest[cable] < 0 and not reached[there]:
                        self._put(cable, forest)
                        reached[there] = True
                        queue.append(there)

    def _put(self, cable: int, forest: int) -> None:
        """Put a cable into a forest, out of the one it was in."""
        for board in self._ends[cable][:2]:
            if self._forest[cable] >= 0:
                self._mine[self._forest[cable]][board].remove(cable)
            self._mine[forest][board].append(cable)
        self._forest[cable] = forest

    def _search(self, forest: int, first: int) -> None:
        """Walk a forest from a board, breadth first, and then from the boards not reached."""
        root, up, depth = [-1] * self._n, [-1] * self._n, [0] * self._n
        mine = self._mine[forest]
        for start in (first, *range(self._n)):
            if root[start] >= 0:
                continue
            root[start] = start
            queue = [start]
            for board in queue:
                for cable in mine[board]:
                    there = self._other_end(cable, board)
                    if root[there] < 0:
                        root[there], up[there] = start, cable
                        depth[there] = depth[board] + 1
                        queue.append(there)
        self._root[forest], self._up[forest], self._depth[forest] = root, up, depth

    def _enter(self, cable: int) -> bool:
        """Bring a free cable into a forest, moving others as needed; return whether it could."""
        because: dict[int, int] = {cable: -1}  # for a cable: the one that needs its place
        # For each forest and board: the way up to the first cable that is not in `because`.
        skip = [list(range(self._n)) for _ in range(self.k)]
        queue = [cable]
        for needs in queue:
            one, two, _ = self._ends[needs]
            for forest in range(self.k):
                if self._forest[needs] == forest:
                    continue
                if self._root[forest][one] != self._root[forest][two]:
                    self._move(needs, forest, because)
                    return True
                for blocked in self._between(forest, one, two, skip[forest]):
                    if blocked not in because:
                        because[blocked] = needs
                        queue.append(blocked)
        return False

    def _between(self, forest: int, one: int, two: int, skip: list[int]) -> Iterator[int]:
        """Yield the cables of a forest between two boards that were not yielded before."""
        depth, up = self._depth[forest], self._up[forest]
        one, two = _follow(skip, one), _follow(skip, two)
        while one != two:
            if depth[one] < depth[two]:
                one, two = two, one
            cable = up[one]
            yield cable
            skip[one] = self._other_end(cable, one)
            one = _follow(skip, one)

    def _move(self, cable: int, forest: int, because: dict[int, int]) -> None:
        """Put a cable into a forest, and each cable that waited for its place after it."""
        changed = {forest}
        while cable >= 0:
            before = self._forest[cable]
            self._put(cable, forest)
            changed.add(before)
            cable, forest = because[cable], before
        for forest in changed - {-1}:
            self._search(forest, self._root[forest][0])

    def trees(self) -> tuple[Tree, ...]:
        """Return the forests, which are spanning trees, each from a root in its middle."""
        return tuple(map(self._tree, range(self.k)))

    def _tree(self, forest: int) -> Tree:
        end = self._deepest(forest, 0)
        other = self._deepest(forest, end)
        for _ in range(self._depth[forest][other] // 2):
            other = self._other_end(self._up[forest][other], other)
        self._search(forest, other)
        parent, link = np.full(self._n, -1), np.full(self._n, -1)
        for board, cable in enumerate(self._up[forest]):
            if cable >= 0:
                one, _, direction = self._ends[cable]
                parent[board] = self._other_end(cable, board)
                link[board] = direction if one == board else (direction + 3) % 6
        return Tree(parent, link, np.array(self._depth[forest]))

    def _deepest(self, forest: int, start: int) -> int:
        """Return a board farthest from another in a spanning tree."""
        self._search(forest, start)
        return max(range(self._n), key=self._depth[forest].__getitem__)


def _follow(skip: list[int], board: int) -> int:
    """Return the end of a chain, and shorten the chain."""
    while skip[board] != board:
        skip[board] = skip[skip[board]]
        board = skip[board]
    return board
