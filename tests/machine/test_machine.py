import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import machines

from orchestrator.errors import ArgumentError
from orchestrator.machine import (
    Faults,
    Link,
    Machine,
    board_graph,
    rectangle,
    run_of_boards,
    single_board,
    single_chip,
    spinn3,
    take,
    torus,
    triads,
)
from orchestrator.machine.machine import links_between


def check(machine: Machine) -> None:
    """Check what holds for every machine."""
    assert ((machine.cores > 0) <= (machine.board_at >= 0)).all()
    assert machine.cores.max() <= 18
    assert not (machine.links & ~links_between(machine.cores, machine.wraps)).any()
    for link in Link:
        there = np.roll(
            machine.links[..., link.opposite], (-link.step[0], -link.step[1]), axis=(0, 1)
        )
        np.testing.assert_array_equal(machine.links[..., link], there)
    numbers = machine.board_at[machine.board_at >= 0]
    assert numbers.max() < machine.n_boards
    for number, (x, y) in enumerate(machine.ethernet):
        assert machine.board_at[x, y] in (number, -1)
        assert machine.has_host_link[number] == (machine.cores[x, y] > 0)


def test_the_million_core_machine():
    machine = torus(20, 20)
    check(machine)
    assert (machine.width, machine.height) == (240, 240)
    assert (machine.n_boards, machine.n_chips) == (1200, 57_600)
    assert machine.n_links == 3 * 57_600
    assert machine.n_application_cores == 1200 * 808
    assert machine.is_connected
    assert board_graph(machine).n_cables == 3600


def test_one_board():
    machine = single_board()
    check(machine)
    assert (machine.n_chips, machine.n_links, machine.n_application_cores) == (48, 120, 808)
    assert board_graph(machine).n_cables == 0


def test_a_spinn3_board():
    machine = spinn3()
    assert (machine.n_boards, machine.n_chips, machine.n_links) == (1, 4, 8)
    assert machine.neighbour(0, 0, Link.WEST) is None
    assert machine.neighbour(0, 1, Link.NORTH_EAST) == (1, 0)
    assert board_graph(machine).n_cables == 0


def test_an_open_rectangle_sticks_out():
    machine = triads(2, 1, (False, False))
    check(machine)
    assert (machine.width, machine.height) == (28, 16)
    assert machine.n_chips == 6 * 48


@settings(deadline=None, max_examples=60)
@given(machines())
def test_dead_parts_are_gone(machine):
    check(machine)
    graph = board_graph(machine)
    assert ((graph.channels > 0) == (graph.neighbour >= 0)).all()
    assert graph.channels.max() <= 8
    for board, link in np.argwhere(graph.channels > 0):
        there = graph.neighbour[board, link]
        back = Link(link).opposite
        assert graph.neighbour[there, back] == board
        assert graph.channels[there, back] == graph.channels[board, link]


def test_each_kind_of_fault():
    whole = torus(2, 2)
    chip = torus(2, 2, Faults(chips=frozenset({(3, 3)})))
    assert (chip.n_chips, chip.n_links) == (whole.n_chips - 1, whole.n_links - 6)
    core = torus(2, 2, Faults(cores=frozenset({(0, 0, 4), (0, 0, 5)})))
    assert core.n_application_cores == whole.n_application_cores - 2
    link = torus(2, 2, Faults(links=frozenset({(0, 0, Link.WEST)})))
    assert link.n_links == whole.n_links - 1
    assert link.neighbour(0, 0, Link.WEST) is link.neighbour(23, 0, Link.EAST) is None
    cable = torus(2, 2, Faults(cables=frozenset({(1, 0, 2, Link.NORTH)})))
    assert cable.n_links == whole.n_links - 8
    assert board_graph(cable).n_cables == board_graph(whole).n_cables - 1
    board = torus(2, 2, Faults(boards=frozenset({(1, 1, 0)})))
    assert (board.n_boards, board_graph(board).n_cables) == (11, 30)
    assert board.n_links == whole.n_links - 120 - 48


def test_a_dead_ethernet_chip_leaves_the_board_in_the_mesh():
    machine = torus(1, 1, Faults(chips=frozenset({(8, 4)})))
    assert machine.has_host_link.tolist() == [True, False, True]
    assert machine.is_connected


def test_a_machine_cut_in_two():
    cables = frozenset((0, 0, 0, link) for link in Link)
    machine = torus(2, 2, Faults(cables=cables))
    assert not machine.is_connected
    assert not board_graph(machine).is_connected
    sizes = np.bincount(machine.parts.ravel())
    assert sizes.tolist() == [48, 11 * 48]


@settings(deadline=None, max_examples=25)
@given(machines(longest=3))
def test_parts_are_those_of_a_search(machine):
    parts = machine.parts
    assert ((parts >= 0) == (machine.cores > 0)).all()
    for x, y, link in np.argwhere(machine.links):
        assert parts[x, y] == parts[machine.neighbour(x, y, Link(link))]
    for part in range(int(parts.max()) + 1):
        start = tuple(np.argwhere(parts == part)[0].tolist())
        seen, todo = {start}, [start]
        while todo:
            x, y = todo.pop()
            near = {machine.neighbour(x, y, link) for link in Link} - {None} - seen
            seen |= near
            todo += near
        assert len(seen) == np.count_nonzero(parts == part)


@settings(deadline=None, max_examples=40)
@given(machines(longest=3), st.data())
def test_a_rectangle_is_the_machine_seen_from_its_corner(machine, data):
    columns, rows = machine.n_triads
    x, y = data.draw(st.tuples(st.integers(0, columns - 1), st.integers(0, rows - 1)))
    width, height = data.draw(st.tuples(st.integers(1, columns - x), st.integers(1, rows - y)))
    try:
        part = rectangle(machine, x, y, width, height)
    except ArgumentError:
        kept = (machine.boards[:, 0] >= x) & (machine.boards[:, 0] < x + width)
        kept &= (machine.boards[:, 1] >= y) & (machine.boards[:, 1] < y + height)
        assert not kept.any()
        return
    check(part)
    for number, board in enumerate(part.boards.tolist()):
        there = machine.board_number((board[0] + x, board[1] + y, board[2]))
        inside = machine.cores[machine.board_at == there]
        assert sorted(part.cores[part.board_at == number]) == sorted(inside)
    boards = [(b[0] + x, b[1] + y, b[2]) for b in part.boards.tolist()]
    same = take(machine, boards)
    if part.wraps == machine.wraps:
        np.testing.assert_array_equal(board_graph(part).channels, board_graph(same).channels)
    assert part.n_links <= same.n_links


def test_runs_cover_a_machine_once():
    machine = torus(3, 2, Faults(boards=frozenset({(1, 1, 2)})))
    runs = [run_of_boards(machine, first, n) for first, n in [(0, 5), (5, 5), (10, 7)]]
    boards = [tuple(board) for run in runs for board in run.boards.tolist()]
    assert len(boards) == 17 and set(boards) == {tuple(b) for b in machine.boards.tolist()}
    for run in runs:
        check(run)
    assert all(board_graph(run).is_connected for run in runs[:2])


def test_one_chip():
    machine = single_chip(single_board(), 1, 1)
    check(machine)
    assert (machine.n_chips, machine.n_boards, machine.n_application_cores) == (1, 1, 16)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: torus(0, 3), "at least one triad"),
        (lambda: torus(22, 1), "at most 256 chips"),
        (lambda: torus(1, 1, Faults(boards=frozenset({(1, 0, 0)}))), "no board"),
        (lambda: torus(1, 1, Faults(chips=frozenset({(12, 0)}))), "outside 12 x 12"),
        (lambda: rectangle(torus(2, 2), 1, 0, 2, 1), "do not lie in 2 x 2"),
        (lambda: run_of_boards(torus(1, 1), 2, 2), "do not exist"),
        (lambda: take(torus(1, 1), []), "at least one board"),
        (lambda: take(torus(1, 1), [(0, 1, 0)]), "no working board"),
        (lambda: take(torus(1, 1), [(0, 0, 0), (0, 0, 0)]), "1 repeated"),
        (lambda: single_board(Faults(boards=frozenset({(0, 0, 0)}))), "none of 1 boards works"),
        (lambda: single_board(Faults(boards=frozenset({(0, 0, 1)}))), "no board"),
        (lambda: single_chip(single_board(), 7, 0), "no working chip"),
    ],
)
def test_bad_input_is_named(make, said):
    with pytest.raises(ArgumentError, match=said):
        make()
