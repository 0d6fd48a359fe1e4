"""The boards of a study, and what they exchange."""

import json
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.collectives.plan import Planner, Wire, link_algorithms, link_rates
from orchestrator.collectives.plan.host import host_rates
from orchestrator.errors import ArgumentError
from orchestrator.machine import board_graph
from orchestrator.machine.constants import Level
from orchestrator.studies.scaling_machine import boards_of
from orchestrator.studies.scaling_sums import BoardSums, cable_rates, hosts_at, traffics_of

RESNET50 = 25_557_032


@pytest.mark.parametrize(
    ("n_boards", "triads", "wraps"),
    [
        (3, (1, 1), (False, False)),
        (24, (4, 2), (False, False)),
        (120, (8, 5), (False, False)),
        (600, (20, 10), (True, False)),
        (1200, (20, 20), (True, True)),
    ],
)
def test_parts_of_the_largest_machine(n_boards, triads, wraps):
    machine = boards_of(n_boards).machine
    assert (machine.n_boards, machine.n_triads, machine.wraps) == (n_boards, triads, wraps)


def test_parts_can_be_closed_machines_of_their_own():
    assert boards_of(24, closed=True).machine.wraps == (True, True)
    assert boards_of(1, closed=True).machine.wraps == (False, False)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 1200))
def test_any_number_of_boards_is_connected(n_boards):
    boards = boards_of(n_boards)
    assert boards.n_boards == boards.machine.n_boards == n_boards
    assert boards.n_hosts == ceil(n_boards / 24)
    assert board_graph(boards.machine).is_connected


def test_more_boards_are_several_machines():
    boards = boards_of(3600)
    assert (boards.machines, boards.machine.n_boards, boards.n_boards) == (3, 1200, 3600)


@pytest.mark.parametrize(
    ("n_boards", "message"),
    [
        (0, r"--boards: 0 is not possible.*1 to 65,536"),
        (-3, r"-3 is not possible"),
        (1201, r"too many for one machine of 1,200; give a multiple"),
        (66_000, r"66,000 is not possible"),
    ],
)
def test_impossible_numbers_are_refused(n_boards, message):
    with pytest.raises(ArgumentError, match=message):
        boards_of(n_boards)


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize("n_boards", [2, 6, 24])
def test_sums_are_the_planners(n_boards, level):
    boards = boards_of(n_boards)
    planner = Planner(link_algorithms(boards.machine, Wire(4)), link_rates(level))
    sums = BoardSums(boards, 4, level, {})
    for n_elements in (1, 1000, 10**5, RESNET50):
        algorithm, seconds = planner.fastest(n_elements)
        assert sums.fastest(n_elements) == (algorithm.name, pytest.approx(seconds))


def test_a_board_alone_sums_nothing():
    assert BoardSums(boards_of(1), 1, Level.TYPICAL, {}).fastest(RESNET50) == ("", 0.0)
    assert BoardSums(boards_of(6), 1, Level.TYPICAL, {}).fastest(0) == ("", 0.0)


def test_machines_sum_over_hosts_what_each_has_summed():
    one, two, four = (
        BoardSums(boards_of(n), 1, Level.TYPICAL, {}).fastest(RESNET50)[1]
        for n in (1200, 2400, 4800)
    )
    at = host_rates()
    board, host = RESNET50 * 4 / 1200, RESNET50 * 4 / 50
    ethernet = max(board / at.read, host / at.boards) + max(board / at.write, host / at.boards)
    latency = 2 * at.round_trip + 2 * at.latency
    assert two - one == pytest.approx(ethernet + latency + host / at.network)
    assert four - two == pytest.approx(2 * at.latency + 0.5 * host / at.network)


def test_sums_beyond_int32_are_refused():
    with pytest.raises(ArgumentError, match="65536"):
        BoardSums(boards_of(1200), 60, Level.TYPICAL, {})


def test_overrides_reach_cables_and_hosts():
    twice = cable_rates(Level.TYPICAL, {"cable_channel_rate": 21e6})
    assert twice.cable == pytest.approx(2 * link_rates().cable)
    assert cable_rates(Level.LOW, {}) == link_rates(Level.LOW)
    assert hosts_at(Level.HIGH, {"host_write": 9e6}).write == 9e6
    assert hosts_at(Level.HIGH, {}) == host_rates(Level.HIGH)


def test_counts_are_kept_and_taken_from_the_folder(tmp_path):
    machine = boards_of(3).machine
    found = traffics_of(machine, 1, tmp_path)
    (path,) = tmp_path.iterdir()
    content = json.loads(path.read_text())
    content[0][0] = "from the folder"
    path.write_text(json.dumps(content))
    traffics_of.cache_clear()
    again = traffics_of(machine, 1, tmp_path)
    assert again[0] == ("from the folder", found[0][1]) and again[1:] == found[1:]
    traffics_of.cache_clear()
    path.write_text("{")
    assert traffics_of(machine, 1, tmp_path) == found
    assert json.loads(path.read_text())[0][0] == found[0][0]
