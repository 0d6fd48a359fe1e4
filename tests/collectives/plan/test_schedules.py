"""Every schedule sums exactly, on every board, and counts what it says."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import machines

from orchestrator.collectives.plan.bands import band_grid, band_schedule
from orchestrator.collectives.plan.execute import execute, run_round
from orchestrator.collectives.plan.halving import halving_doubling
from orchestrator.collectives.plan.hamilton import hamilton_cycles
from orchestrator.collectives.plan.hierarchy import hierarchical, triad_groups
from orchestrator.collectives.plan.packing import pack_trees, shallow_tree
from orchestrator.collectives.plan.rings import plain_ring, ring_schedule
from orchestrator.collectives.plan.schedule import Schedule, make_round
from orchestrator.collectives.plan.trees import tree_schedule
from orchestrator.errors import ArgumentError
from orchestrator.machine import Machine, board_graph, torus

FULL = np.iinfo(np.int64)


def ring(boards: np.ndarray) -> Schedule:
    return ring_schedule("ring", [plain_ring(boards)], both_ways=True)


def bands(boards: np.ndarray) -> Schedule:
    return band_schedule(*band_grid(boards, max(1, round(len(boards) ** 0.5))))


def groups_of_three(boards: np.ndarray) -> Schedule:
    return hierarchical(np.array_split(boards, -(-len(boards) // 3)))


ANY_COUNT: list[Callable[[np.ndarray], Schedule]] = [ring, halving_doubling, bands, groups_of_three]


def of_machine(machine: Machine) -> list[Schedule]:
    """Return schedules made for a machine's cables."""
    graph = board_graph(machine)
    found = [hierarchical(triad_groups(machine.boards))]
    for n_segments in (1, 5):
        found.append(tree_schedule("tree", shallow_tree(graph), n_segments))
        found.append(tree_schedule("trees", pack_trees(graph), n_segments))
    cycles = hamilton_cycles(graph)
    if cycles:
        found.append(ring_schedule("Hamilton cycles", cycles, both_ways=True))
    return found


def check_sum(schedule: Schedule, n_boards: int, n_elements: int, seed: int) -> None:
    """Check that 64-bit values, whose sum wraps, are summed on every board that takes part.

    A board's value added twice or left out shows: it would have to be 0 modulo 2^64.
    """
    values = np.random.default_rng(seed).integers(
        FULL.min, FULL.max, (n_boards, n_elements), endpoint=True
    )
    after = execute(schedule, values)
    whole = values[schedule.boards].sum(axis=0)
    np.testing.assert_array_equal(after[schedule.boards], np.tile(whole, (len(schedule.boards), 1)))
    others = np.setdiff1d(np.arange(n_boards), schedule.boards)
    np.testing.assert_array_equal(after[others], values[others])


def check_addends(schedule: Schedule, n_boards: int) -> None:
    """Check that no transfer carries sums of more boards than it says."""
    counts = np.ones((n_boards, schedule.n_pieces, 1), np.int64)
    for transfers in schedule.rounds():
        for source, first, count, addends in zip(
            transfers.source, transfers.first, transfers.count, transfers.addends, strict=True
        ):
            assert counts[source, first : first + count].max() <= addends
        run_round(transfers, counts)
    assert (counts[schedule.boards] == len(schedule.boards)).all()


def check_alike(schedule: Schedule) -> None:
    """Check that rounds said to be alike are."""
    for phase in schedule.phases:
        if phase.addends and phase.n_rounds:
            first = phase.at(0)
            for i in range(phase.n_rounds):
                transfers = phase.at(i)
                for name in ("source", "destination", "link", "count"):
                    np.testing.assert_array_equal(getattr(transfers, name), getattr(first, name))
                assert (transfers.addends == phase.addends(i)).all()


@pytest.mark.parametrize("make", ANY_COUNT)
@given(
    n=st.integers(1, 40), spare=st.integers(0, 3), n_elements=st.integers(1, 300), data=st.data()
)
@settings(max_examples=25)
def test_any_boards_are_summed(make, n, spare, n_elements, data):
    """Any number of boards, in any order, also beside boards that take no part."""
    boards = np.array(data.draw(st.permutations(range(n + spare)))[:n])
    schedule = make(boards)
    assert sorted(schedule.boards) == sorted(boards)
    check_sum(schedule, n + spare, n_elements, n_elements)
    check_addends(schedule, n + spare)
    check_alike(schedule)


@given(machines(longest=3), st.integers(1, 200))
@settings(max_examples=20)
def test_machines_with_dead_parts_are_summed(machine, n_elements):
    assume(machine.n_boards > 1 and board_graph(machine).is_connected)
    for schedule in of_machine(machine):
        assert sorted(schedule.boards) == list(range(machine.n_boards))
        check_sum(schedule, machine.n_boards, n_elements, n_elements)
        check_addends(schedule, machine.n_boards)
        check_alike(schedule)


@pytest.mark.parametrize(("width", "height"), [(2, 4), (4, 4), (5, 8)])
def test_tori_are_summed(width, height):
    for schedule in of_machine(torus(width, height)):
        check_sum(schedule, 3 * width * height, 1000, width)


def test_1200_boards_are_summed_on_hamilton_cycles():
    cycles = hamilton_cycles(board_graph(torus(20, 20)))
    schedule = ring_schedule("Hamilton cycles", cycles, both_ways=True)
    held = np.random.default_rng(0).integers(FULL.min, FULL.max, (1200, schedule.n_pieces, 1))
    whole = held.sum(axis=0)
    for transfers in schedule.rounds():
        run_round(transfers, held)
    assert (held == whole).all()


@pytest.mark.parametrize("make", [halving_doubling, bands])
def test_1200_boards_are_summed_in_few_rounds(make):
    check_sum(make(np.arange(1200)), 1200, 64, 0)


def test_rounds_grow_as_stated():
    boards = np.arange(64)
    assert ring(boards).n_rounds == 126
    assert halving_doubling(boards).n_rounds == 12
    assert bands(boards).n_rounds == 28
    assert halving_doubling(np.arange(65)).n_rounds == 14


def test_a_piece_taken_twice_is_refused():
    held = np.zeros((3, 1, 4), np.int64)
    source, destination = np.array([0, 1]), np.array([2, 2])
    run_round(make_round(source, destination, 0, addends=1, reduce=True), held)
    with pytest.raises(ArgumentError, match="from two boards"):
        run_round(make_round(source, destination, 0, addends=1, reduce=False), held)
