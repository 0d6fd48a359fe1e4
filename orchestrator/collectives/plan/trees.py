"""Sums over spanning trees, in a pipeline: towards the root, and back out.

The buffer is split over the trees, and each tree's part into segments. Boards add what their
children send and pass it on; as soon as a segment has reached the root it goes back out, on the
same cables the other way. With D the depth of the deepest tree and s segments this takes
2 D + s - 1 rounds: few segments for small buffers, many for large ones.
"""

from collections.abc import Sequence

import numpy as np

from orchestrator.collectives.plan.packing import Packing, Tree
from orchestrator.collectives.plan.schedule import Phase, Round, Schedule, make_round, merge
from orchestrator.collectives.plan.traffic import Traffic, Width, simulate
from orchestrator.machine.boards import CHANNELS, BoardGraph


def tree_schedule(name: str, packing: Packing, n_segments: int) -> Schedule:
    """Return the sum over trees in segments."""
    trees = packing.trees
    n_boards = len(trees[0].parent)

    def at(i: int) -> Round:
        steps = [
            step
            for number, tree in enumerate(trees)
            for step in _steps(tree, i, number * n_segments, n_segments)
        ]
        return merge(steps)

    n_rounds = 2 * _depth(packing) + n_segments - 1
    n_pieces = len(trees) * n_segments
    return Schedule(name, np.arange(n_boards), n_pieces, (Phase(n_rounds, at),))


def tree_traffics(
    packing: Packing, graph: BoardGraph, width: Width, segments: Sequence[int]
) -> list[Traffic]:
    """Return what `simulate` counts for `tree_schedule` with each number of segments.

    Where cables are whole and carry one tree each, each round's busiest carries one piece. Else,
    from 2 D segments on, a further one adds a round in which every cable of every tree is in use,
    so only schedules up to there are simulated.
    """
    full = 2 * _depth(packing)
    if packing.sharing == 1 and not (graph.channels % CHANNELS).any():
        n_bytes = width(graph.n_boards)
        none = Traffic(0, full - 1, full - 1, n_bytes * (full - 1))
        return [_with_segments(none, n, n_bytes, packing) for n in segments]

    def count(n_segments: int) -> Traffic:
        return simulate(tree_schedule("trees", packing, n_segments), graph, width)

    few = {n: count(n) for n in {min(n, full) for n in segments} | {full}}
    a_round = count(full + 1).busiest - few[full].busiest
    return [_with_segments(few[min(n, full)], max(0, n - full), a_round, packing) for n in segments]


def _with_segments(traffic: Traffic, more: int, busiest: float, packing: Packing) -> Traffic:
    """Return a traffic with more segments, and for each a round with this load."""
    return Traffic(
        n_pieces=traffic.n_pieces + more * len(packing.trees),
        n_rounds=traffic.n_rounds + more,
        crossings=traffic.crossings + more,
        busiest=traffic.busiest + more * busiest,
    )


def _depth(packing: Packing) -> int:
    return max(int(tree.depth.max()) for tree in packing.trees)


def _steps(tree: Tree, i: int, base: int, n_segments: int) -> list[Round]:
    """Return what one tree sends in round i: towards the root, and away from it."""
    deepest = int(tree.depth.max())
    boards = np.flatnonzero(tree.parent >= 0)
    parent, link, depth = tree.parent[boards], tree.link[boards], tree.depth[boards]
    n = len(tree.parent)
    steps = []
    for segment, towards_root in ((i - deepest + depth, True), (i - deepest - depth + 1, False)):
        now = (segment >= 0) & (segment < n_segments)
        ends = (boards, parent) if towards_root else (parent, boards)
        steps.append(
            make_round(
                ends[0][now],
                ends[1][now],
                base + segment[now],
                addends=n,
                reduce=towards_root,
                link=link[now] if towards_root else (link[now] + 3) % 6,
            )
        )
    return steps
