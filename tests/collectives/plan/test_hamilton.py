import numpy as np
import pytest

from orchestrator.collectives.plan.hamilton import hamilton_cycles
from orchestrator.machine import Faults, Link, board_graph, torus, triads

TORI = [(w, h) for w in range(1, 7) for h in range(1, 7)] + [(5, 8), (10, 4), (8, 10), (20, 20)]


@pytest.mark.parametrize(("width", "height"), TORI)
def test_three_cycles_use_every_cable_once(width, height):
    graph = board_graph(torus(width, height))
    cycles = hamilton_cycles(graph)
    used = set()
    for cycle in cycles:
        assert sorted(cycle.boards) == list(range(graph.n_boards))
        there = graph.neighbour[cycle.boards, cycle.links]
        np.testing.assert_array_equal(there, np.roll(cycle.boards, -1))
        back = cycle.reverse
        np.testing.assert_array_equal(
            graph.neighbour[back.boards, back.links], np.roll(back.boards, -1)
        )
        for way in (cycle, back):
            used |= set(zip(way.boards.tolist(), way.links.tolist(), strict=True))
    assert len(used) == 6 * graph.n_boards


def test_the_search_always_finds_the_same():
    first, second = (hamilton_cycles(board_graph(torus(4, 6))) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.boards, other.boards)


@pytest.mark.parametrize(
    "machine",
    [
        triads(2, 2, (True, False)),
        triads(3, 3, (False, False)),
        torus(3, 3, Faults(boards=frozenset({(1, 1, 1)}))),
        torus(3, 3, Faults(cables=frozenset({(1, 1, 1, Link.EAST)}))),
    ],
)
def test_machines_that_lack_cables_have_none(machine):
    assert hamilton_cycles(board_graph(machine)) is None
