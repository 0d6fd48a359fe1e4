"""Exchanges: who sends which part of a tensor to whom, along which links.

`deliver` brings rectangles that chips have to the chips that need them: one function for halos,
gathers, changes of split and new weights. `reduce` adds partial sums on trees towards the chip that
owns the sum. Both cache the pattern, which many layers share, and only count bytes anew.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from orchestrator.compiler.mesh import Mesh, Tree
from orchestrator.compiler.program import LINKS, Exchange, ExchangeKind, Indices, Overlap
from orchestrator.compiler.splits import Rectangles
from orchestrator.machine.geometry import Ints


@dataclass(frozen=True, eq=False)
class Pattern:
    """Transfers without their bytes; arrays as in `Exchange`.

    Attributes
    ----------
    addends : int64 [n], how many members' partial sums are in each.
    """

    source: Indices
    level: Indices
    rows: Indices
    channels: Indices
    target_start: Ints
    targets: Indices
    route_start: Ints
    routes: Indices
    hops: int
    addends: Ints

    @property
    def elements(self) -> Ints:
        """Return the rectangle's elements for a width of 1."""
        area: Ints = np.ptp(self.rows, axis=1).astype(np.int64) * np.ptp(self.channels, axis=1)
        return area


@dataclass(frozen=True, slots=True)
class _One:
    """A transfer of a pattern: links None until a tree is grown for it."""

    source: int
    rectangle: tuple[int, int, int, int]
    targets: tuple[int, ...]
    links: tuple[int, ...] = ()
    level: int = 0
    hops: int = 0
    addends: int = 1

    @property
    def area(self) -> int:
        top, bottom, first, end = self.rectangle
        return (bottom - top) * (end - first)


class Transfers:
    """Makes the exchanges of a slice."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._deliveries: dict[tuple[bytes, bytes], Pattern] = {}
        self._reductions: dict[tuple[bytes, bytes], Pattern] = {}

    def deliver(
        self,
        kind: ExchangeKind,
        tensor: str,
        have: Rectangles,
        need: Rectangles,
        bits: int,
        overlap: Overlap,
        pieces: int = 1,
    ) -> Exchange | None:
        """Return the exchange after which every chip has what it needs; None where all have it.

        Parameters
        ----------
        have : disjoint rectangles; what a chip has itself is not sent to it.
        bits : of one row and channel, the width of the map included.
        """
        key = (have.key, need.key)
        if key not in self._deliveries:
            self._deliveries[key] = _pattern(self._routed(_cells(have, need)))
        pattern = self._deliveries[key]
        size = -(-pattern.elements * bits // 8)
        return _exchange(kind, tensor, pattern, size, overlap, pieces)

    def reduce(
        self,
        tensor: str,
        members: Ints,
        owners: Rectangles,
        bits: Callable[[Ints], Ints],
        overlap: Overlap,
    ) -> Exchange | None:
        """Return the exchange that adds what the members of each group have for each owner.

        Parameters
        ----------
        members : int64 [groups, parts]; every member has partial sums of what each other owns.
        owners : what a chip owns the sum of.
        bits : of a row and channel of sums of so many members' partial sums.
        """
        key = (members.tobytes(), owners.key)
        if key not in self._reductions:
            self._reductions[key] = _pattern(self._sums(members, owners))
        pattern = self._reductions[key]
        sent = -(-pattern.elements * bits(pattern.addends) // 8)
        return _exchange(ExchangeKind.REDUCE, tensor, pattern, sent, overlap, 1)

    def entries(self, exchanges: Sequence[Exchange]) -> Ints:
        """Return how many multicast entries every router needs, int64 [n_chips].

        A tree has one key, for all exchanges that use it, and one entry in each router on it, but
        none where packets only go straight on: there the router's default does.
        """
        trees: set[tuple[int, tuple[int, ...], tuple[int, ...]]] = set()
        for each in exchanges:
            targets, routes = each.targets.tolist(), each.routes.tolist()
            t, r = each.target_start.tolist(), each.route_start.tolist()
            for i, source in enumerate(each.source.tolist()):
                trees.add((source, tuple(targets[t[i] : t[i + 1]]), tuple(routes[r[i] : r[i + 1]])))
        entries = np.zeros(self._mesh.n, np.int64)
        neighbour = self._mesh.neighbour.tolist()
        for source, targets_, routes_ in trees:
            leaves: dict[int, list[int]] = {}
            enters: dict[int, int] = {}
            for link in routes_:
                chip, way = divmod(link, LINKS)
                leaves.setdefault(chip, []).append(way)
                enters[neighbour[chip][way]] = way
            straight = {chip for chip, way in enters.items() if leaves.get(chip) == [way]} - set(
                targets_
            )
            entries[list({source, *enters} - straight)] += 1
        return entries

    def _routed(self, cells: list[_One]) -> list[_One]:
        trees = self._mesh.trees([(one.source, one.targets, one.area) for one in cells])
        return [
            replace(one, links=tree.links, hops=tree.hops)
            for one, tree in zip(cells, trees, strict=True)
        ]

    def _sums(self, members: Ints, owners: Rectangles) -> list[_One]:
        """Return transfers along the multicast trees of the owners, run the other way."""
        wanted = [
            (root, tuple(chip for chip in group if chip != root), int(owners.sizes[root]))
            for group in members.tolist()
            if len(group) > 1
            for root in group
            if owners.sizes[root]
        ]
        found: list[_One] = []
        for tree, (root, others, _) in zip(self._mesh.trees(wanted), wanted, strict=True):
            found += self._inward(tree, {root, *others}, _rectangle(owners, root))
        return found

    def _inward(self, tree: Tree, members: set[int], box: tuple[int, int, int, int]) -> list[_One]:
        """Return a transfer from each member to the next one towards the root of a tree."""
        ways: dict[int, tuple[int, tuple[int, ...]]] = {}
        height, addends = dict.fromkeys(members, 0), dict.fromkeys(members, 1)
        for chip in reversed(tree.came):  # children come after their parents in a tree
            if chip not in members:
                continue
            at, links = chip, []
            while at not in members or at == chip:
                before, link = tree.came[at]
                links.append(self._mesh.back(link))
                at = before
            ways[chip] = at, tuple(links)
            height[at] = max(height[at], height[chip] + 1)
            addends[at] += addends[chip]
        return [
            _One(chip, box, (up,), links, height[chip], len(links), addends[chip])
            for chip, (up, links) in ways.items()
        ]


def _cells(have: Rectangles, need: Rectangles) -> list[_One]:
    """Cut what chips have so that each cell is needed as a whole or not at all by every chip."""
    found: list[_One] = []
    wanted = need.sizes > 0
    for source in np.flatnonzero(have.sizes > 0).tolist():
        (r0, r1), (c0, c1) = have.rows[source], have.channels[source]
        low, high = np.maximum(need.rows[:, 0], r0), np.minimum(need.rows[:, 1], r1)
        left = np.maximum(need.channels[:, 0], c0)
        right = np.minimum(need.channels[:, 1], c1)
        meets = wanted & (low < high) & (left < right)
        meets[source] = False
        who = np.flatnonzero(meets)
        if not who.size:
            continue
        row_cuts = np.unique(np.concatenate([low[who], high[who]])).tolist()
        channel_cuts = np.unique(np.concatenate([left[who], right[who]])).tolist()
        for top, bottom in zip(row_cuts, row_cuts[1:], strict=False):
            in_rows = who[(low[who] <= top) & (bottom <= high[who])]
            for first, end in zip(channel_cuts, channel_cuts[1:], strict=False):
                inside = in_rows[(left[in_rows] <= first) & (end <= right[in_rows])]
                if inside.size:
                    box = (top, bottom, first, end)
                    found.append(_One(source, box, tuple(inside.tolist())))
    return found


def _pattern(found: list[_One]) -> Pattern:
    boxes = np.array([one.rectangle for one in found], np.int32).reshape(-1, 2, 2)
    return Pattern(
        np.array([one.source for one in found], np.int32),
        np.array([one.level for one in found], np.int32),
        boxes[:, 0],
        boxes[:, 1],
        *_rows([one.targets for one in found]),
        *_rows([one.links for one in found]),
        max((one.hops for one in found), default=0),
        np.array([one.addends for one in found], np.int64),
    )


def sliced(exchange: Exchange, axis: int, index: int, n: int) -> Exchange | None:
    """Return one of n about equal slices of every rectangle of an exchange, None where empty.

    Parameters
    ----------
    axis : 0 to cut rows, 1 to cut channels.
    """
    sides = [exchange.rows, exchange.channels]
    area = np.ptp(sides[0], axis=1).astype(np.int64) * np.ptp(sides[1], axis=1)
    first, end = sides[axis].astype(np.int64).T
    cut = [first + (end - first) * i // n for i in (index, index + 1)]
    sides[axis] = np.stack(cut, axis=1).astype(np.int32)
    kept = np.flatnonzero(cut[1] > cut[0])
    if not kept.size:
        return None
    kept_area = np.ptp(sides[0], axis=1).astype(np.int64) * np.ptp(sides[1], axis=1)
    size = -(-exchange.bytes * kept_area // area)
    targets = _chosen(exchange.target_start, exchange.targets, kept)
    routes = _chosen(exchange.route_start, exchange.routes, kept)
    return replace(
        exchange,
        source=exchange.source[kept],
        bytes=size[kept],
        level=exchange.level[kept],
        rows=sides[0][kept],
        channels=sides[1][kept],
        target_start=targets[0],
        targets=targets[1],
        route_start=routes[0],
        routes=routes[1],
    )


def handled(exchange: Exchange, n_chips: int, sender: bool = True) -> Ints:
    """Return the elements, for a width of 1, that every chip receives, and sends if asked."""
    area = np.ptp(exchange.rows, axis=1).astype(np.int64) * np.ptp(exchange.channels, axis=1)
    found = np.zeros(n_chips, np.int64)
    np.add.at(found, exchange.targets, np.repeat(area, np.diff(exchange.target_start)))
    if sender:
        np.add.at(found, exchange.source, area)
    return found


def _chosen(starts: Ints, items: Indices, kept: Ints) -> tuple[Ints, Indices]:
    """Return the rows of a list of lists that are kept."""
    n = np.diff(starts)[kept]
    ends = np.concatenate([[0], np.cumsum(n)])
    index = np.arange(ends[-1]) + np.repeat(starts[kept] - ends[:-1], n)
    return ends, items[index]


def _rows(lists: list[tuple[int, ...]]) -> tuple[Ints, Indices]:
    starts = np.zeros(len(lists) + 1, np.int64)
    np.cumsum([len(each) for each in lists], out=starts[1:])
    return starts, np.array([item for each in lists for item in each], np.int32)


def _rectangle(of: Rectangles, chip: int) -> tuple[int, int, int, int]:
    (top, bottom), (first, end) = of.rows[chip].tolist(), of.channels[chip].tolist()
    return top, bottom, first, end


def _exchange(
    kind: ExchangeKind, tensor: str, pattern: Pattern, sent: Ints, overlap: Overlap, pieces: int
) -> Exchange | None:
    if not sent.size:
        return None
    return Exchange(
        kind=kind,
        tensor=tensor,
        overlap=overlap,
        pieces=pieces,
        rounds=int(pattern.level.max()) + 1,
        hops=pattern.hops,
        source=pattern.source,
        bytes=sent,
        level=pattern.level,
        rows=pattern.rows,
        channels=pattern.channels,
        target_start=pattern.target_start,
        targets=pattern.targets,
        route_start=pattern.route_start,
        routes=pattern.routes,
    )
