from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from strategies import machines

from orchestrator.collectives.plan.packing import Packing, pack_trees, shallow_tree
from orchestrator.collectives.plan.planner import link_algorithms
from orchestrator.collectives.plan.traffic import link_bound
from orchestrator.collectives.plan.wire import Wire
from orchestrator.errors import ArgumentError
from orchestrator.machine import BoardGraph, Faults, Link, board_graph, torus, triads
from orchestrator.machine.boards import CHANNELS
from orchestrator.machine.geometry import CABLE_LINKS


def check(packing: Packing, graph: BoardGraph) -> None:
    """Check that trees span the boards and share cables no more than stated."""
    uses = np.zeros(graph.channels.shape)
    for tree in packing.trees:
        (root,) = np.flatnonzero(tree.parent < 0)
        assert tree.depth[root] == 0
        boards = np.flatnonzero(tree.parent >= 0)
        assert boards.size == graph.n_boards - 1
        np.testing.assert_array_equal(
            graph.neighbour[boards, tree.link[boards]], tree.parent[boards]
        )
        np.testing.assert_array_equal(tree.depth[boards], tree.depth[tree.parent[boards]] + 1)
        uses[boards, tree.link[boards]] += 1
        uses[tree.parent[boards], (tree.link[boards] + 3) % 6] += 1
    assert (uses <= packing.sharing * graph.channels / CHANNELS).all()


def most_trees(graph: BoardGraph) -> int:
    """Return how many disjoint spanning trees there are, by Tutte and Nash-Williams.

    The least over all partitions of the boards of the cables between parts over parts less one.
    """
    cables = [(one, two) for one, two, _ in graph.cables()]

    def partitions(boards: list[int]):
        if not boards:
            yield []
            return
        first, *rest = boards
        for n in range(len(rest) + 1):
            for others in combinations(rest, n):
                for parts in partitions([board for board in rest if board not in others]):
                    yield [{first, *others}, *parts]

    return min(
        sum(not any({one, two} <= part for part in parts) for one, two in cables)
        // (len(parts) - 1)
        for parts in partitions(list(range(graph.n_boards)))
        if len(parts) > 1
    )


@given(machines(longest=3))
@settings(max_examples=40)
def test_trees_span_and_are_never_below_the_bound(machine):
    graph = board_graph(machine)
    whole = set(graph.channels.ravel().tolist()) <= {0, CHANNELS}
    assume(machine.n_boards > 1 and graph.is_connected and whole)
    bound = link_bound(graph)
    packing = pack_trees(graph, bound)
    check(packing, graph)
    assert packing.busiest_share >= bound * (1 - 1e-9)


@given(machines(longest=2, most_faults=2))
@settings(max_examples=15)
def test_no_packing_has_more_trees(machine):
    graph = board_graph(machine)
    whole = set(graph.channels.ravel().tolist()) <= {0, CHANNELS}
    assume(2 <= machine.n_boards <= 6 and graph.is_connected and whole)
    assert len(pack_trees(graph, most_copies=1).trees) == most_trees(graph)


@pytest.mark.parametrize(("width", "height"), [(2, 4), (4, 4), (5, 8), (10, 8)])
def test_open_rectangles_reach_the_bound(width, height):
    graph = board_graph(triads(width, height, (False, False)))
    packing = pack_trees(graph, link_bound(graph))
    check(packing, graph)
    assert packing.busiest_share == link_bound(graph) == 1 / 2


@pytest.mark.parametrize(("width", "height"), [(2, 4), (4, 4), (5, 8)])
def test_a_torus_without_one_board_reaches_the_bound(width, height):
    graph = board_graph(torus(width, height, Faults(boards=frozenset({(1, 1, 0)}))))
    packing = pack_trees(graph, link_bound(graph))
    check(packing, graph)
    assert packing.busiest_share == pytest.approx(link_bound(graph))


def test_cables_with_dead_links_carry_fewer_trees():
    faults = Faults(links=frozenset({(4, 7, Link.NORTH), (4, 7, Link.NORTH_EAST)}))
    graph = board_graph(torus(2, 2, faults))
    assert sorted(set(graph.channels.ravel().tolist())) == [6, 8]
    check(pack_trees(graph, link_bound(graph)), graph)


def test_the_shallow_tree_takes_shortest_ways():
    graph = board_graph(triads(4, 3, (False, True)))
    packing = shallow_tree(graph)
    check(packing, graph)
    (tree,) = packing.trees
    root = int(np.flatnonzero(tree.parent < 0)[0])
    np.testing.assert_array_equal(tree.depth, graph.distances[root])
    assert tree.depth.max() == graph.distances.max(axis=1).min()


def test_a_machine_cut_in_two_has_none():
    faults = Faults(cables=frozenset((0, 0, 0, link) for link in Link))
    with pytest.raises(ArgumentError, match="cut the machine in two"):
        pack_trees(board_graph(torus(2, 2, faults)))


def test_a_board_on_a_single_link_is_still_reached():
    """Of the cables of board (0, 0, 0) one link is left."""
    dead = [(x, y, link) for d in (Link.NORTH, Link.NORTH_EAST) for x, y, link in CABLE_LINKS[d]]
    machine = triads(1, 1, (False, False), Faults(links=frozenset(dead[1:])))
    graph = board_graph(machine)
    assert graph.channels[0].sum() == 1
    (tree,) = pack_trees(graph, link_bound(graph)).trees
    assert (tree.parent >= 0).sum() == 2
    traffic = [each.traffic for each in link_algorithms(machine, Wire()) if "tree" in each.name]
    assert all(each.busiest_share >= 8 * 2 for each in traffic)
