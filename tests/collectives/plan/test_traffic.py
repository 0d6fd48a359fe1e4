from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import machines

from orchestrator.collectives.plan.bands import band_grid, band_schedule
from orchestrator.collectives.plan.halving import halving_doubling
from orchestrator.collectives.plan.hamilton import hamilton_cycles
from orchestrator.collectives.plan.packing import pack_trees, shallow_tree
from orchestrator.collectives.plan.planner import link_algorithms
from orchestrator.collectives.plan.rings import plain_ring, ring_schedule
from orchestrator.collectives.plan.schedule import Phase, Schedule, make_round
from orchestrator.collectives.plan.traffic import (
    LinkRates,
    link_bound,
    link_rates,
    one,
    simulate,
)
from orchestrator.collectives.plan.trees import tree_schedule, tree_traffics
from orchestrator.collectives.plan.wire import Wire
from orchestrator.errors import ArgumentError
from orchestrator.machine import Faults, Link, board_graph, torus, triads
from orchestrator.machine.constants import Level

UNIT = LinkRates(cable=1.0, round_start=0.0, crossing=0.0)


@pytest.mark.parametrize(("width", "height"), [(2, 4), (4, 4), (5, 8), (20, 20)])
def test_hamilton_cycles_reach_the_bound(width, height):
    graph = board_graph(torus(width, height))
    schedule = ring_schedule("", hamilton_cycles(graph), both_ways=True)
    carried = np.zeros((graph.n_boards, 6), np.int64)
    traffic = simulate(schedule, graph, one, carried)
    p = graph.n_boards
    assert link_bound(graph) == pytest.approx((p - 1) / (3 * p))
    assert traffic.busiest_share == pytest.approx(link_bound(graph))
    assert (carried == 2 * (p - 1)).all()  # every cable, both ways, in every round
    assert traffic.crossings == traffic.n_rounds == 2 * (p - 1)


@given(machines(longest=3))
@settings(max_examples=15)
def test_nothing_is_below_the_bound(machine):
    graph = board_graph(machine)
    assume(machine.n_boards > 1 and graph.is_connected)
    bound = link_bound(graph)
    for algorithm in link_algorithms(machine, Wire()):
        n_bytes = algorithm.traffic.busiest_share
        assert n_bytes >= 2 * bound, algorithm.name  # an element has at least two bytes
        if algorithm.traffic.n_rounds < 40:
            traffic = simulate(algorithm.schedule(), graph, one)
            assert traffic.busiest_share >= bound * (1 - 1e-9), algorithm.name


@given(machines(longest=3), st.integers(1, 3))
@settings(max_examples=20)
def test_counting_alike_rounds_once_changes_nothing(machine, ghost_batches):
    graph = board_graph(machine)
    assume(machine.n_boards > 1 and graph.is_connected)
    boards = np.arange(machine.n_boards)
    width = Wire(ghost_batches).element_bytes
    for schedule in (
        ring_schedule("", [plain_ring(boards)], both_ways=True),
        band_schedule(*band_grid(boards, 2)),
    ):
        each = replace(
            schedule, phases=tuple(Phase(phase.n_rounds, phase.at) for phase in schedule.phases)
        )
        carried = [np.zeros((machine.n_boards, 6), np.int64) for _ in range(2)]
        once = simulate(schedule, graph, width, carried[0])
        every = simulate(each, graph, width, carried[1])
        assert once == replace(every, busiest=pytest.approx(every.busiest))
        np.testing.assert_array_equal(*carried)


@given(machines(longest=3))
@settings(max_examples=20)
def test_the_short_cut_for_trees_is_exact(machine):
    graph = board_graph(machine)
    assume(machine.n_boards > 1 and graph.is_connected)
    segments = (1, 2, 7, 40)
    for packing in (shallow_tree(graph), pack_trees(graph)):
        counted = tree_traffics(packing, graph, one, segments)
        for n, traffic in zip(segments, counted, strict=True):
            whole = simulate(tree_schedule("", packing, n), graph, one)
            assert traffic == replace(whole, busiest=pytest.approx(whole.busiest))


def test_transfers_that_share_a_cable_wait_for_each_other():
    """Three boards in a row: two transfers over the middle cable take twice as long as one."""
    graph = board_graph(
        triads(1, 1, (False, False), Faults(cables=frozenset({(0, 0, 1, Link.WEST)})))
    )
    source, destination = np.array([1, 1, 0]), np.array([2, 0, 2])

    def schedule(n: int) -> Schedule:
        def at(_: int):
            return make_round(source[:n], destination[:n], 0, addends=1, reduce=True)

        return Schedule("", np.arange(3), 1, (Phase(1, at),))

    times = [simulate(schedule(n), graph, one).seconds(100, UNIT) for n in (1, 2, 3)]
    assert times == [100.0, 200.0, 200.0]
    carried = np.zeros((3, 6), np.int64)
    assert simulate(schedule(3), graph, one, carried).crossings == 2
    assert carried[1, Link.SOUTH_WEST] == 2 and carried[0, Link.NORTH] == 2
    assert carried.sum() == 4


def test_a_cable_with_dead_links_is_slower():
    whole, worn = (
        board_graph(triads(1, 1, (False, False), Faults(links=links)))
        for links in (frozenset(), frozenset({(4, 7, Link.NORTH)}))
    )
    worn = board_graph(
        triads(
            1, 1, (False, False), Faults(links=frozenset({(4, 7, Link.NORTH), (5, 7, Link.NORTH)}))
        )
    )
    schedule = tree_schedule("", shallow_tree(whole), 1)
    times = [simulate(schedule, graph, one).seconds(60, UNIT) for graph in (whole, worn)]
    assert times == pytest.approx([120.0, 160.0])


def test_time_adds_starts_crossings_and_bytes():
    graph = board_graph(torus(2, 2))
    traffic = simulate(halving_doubling(np.arange(12)), graph, Wire().element_bytes)
    rates = LinkRates(cable=1e6, round_start=1e-3, crossing=1e-4)
    expected = 8 * 1e-3 + traffic.crossings * 1e-4 + 4 * traffic.busiest / 1e6
    assert traffic.seconds(8 * 4, rates) == pytest.approx(expected)
    assert traffic.seconds(8 * 4 + 1, rates) > expected


@pytest.mark.parametrize("better", ["cable", "round_start", "crossing"])
def test_a_faster_machine_is_never_slower(better):
    graph = board_graph(torus(2, 2))
    traffic = simulate(halving_doubling(np.arange(12)), graph, one)
    rates = link_rates()
    factor = 2 if better == "cable" else 0.5
    faster = replace(rates, **{better: getattr(rates, better) * factor})
    assert traffic.seconds(10_000, faster) < traffic.seconds(10_000, rates)


def test_low_rates_are_slow():
    graph = board_graph(torus(2, 2))
    traffic = simulate(halving_doubling(np.arange(12)), graph, one)
    slow, typical, fast = (traffic.seconds(10_000, link_rates(level)) for level in Level)
    assert slow > typical > fast


def test_dead_cables_are_not_used():
    schedule = ring_schedule("", hamilton_cycles(board_graph(torus(2, 2))), both_ways=True)
    dead = board_graph(torus(2, 2, Faults(cables=frozenset({(0, 0, 0, Link.EAST)}))))
    with pytest.raises(ArgumentError, match="cables that this machine does not have"):
        simulate(schedule, dead, one)


def test_boards_cut_off_are_named():
    faults = Faults(cables=frozenset((0, 0, 0, link) for link in Link))
    graph = board_graph(torus(2, 2, faults))
    with pytest.raises(ArgumentError, match="cannot reach board"):
        simulate(halving_doubling(np.arange(12)), graph, one)
    with pytest.raises(ArgumentError, match="cut the machine in two"):
        link_bound(graph)
