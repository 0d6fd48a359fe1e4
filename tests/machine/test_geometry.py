from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.machine.geometry import (
    BOARD_CHIPS,
    CABLE_LINKS,
    board_of,
    ethernet_chips,
    hops,
    torus_hops,
    triad_path,
)
from orchestrator.machine.links import Link


@pytest.mark.parametrize("link", Link)
def test_opposite_links_undo_each_other(link):
    assert link.opposite.opposite == link
    for step in ("step", "board_step"):
        there, back = getattr(link, step), getattr(link.opposite, step)
        assert (there[0] + back[0], there[1] + back[1]) == (0, 0)


@given(st.integers(-100, 100), st.integers(-100, 100))
def test_every_chip_is_on_one_board(x, y):
    board = board_of(x, y)
    east, north = ethernet_chips(np.array([board]))[0]
    assert (x - east, y - north) in BOARD_CHIPS


def test_boards_tile_the_plane():
    """48 chips a board and three boards a triad of 144 chips: no overlap, no gap."""
    assert len(set(BOARD_CHIPS)) == 48
    owners = [board_of(x, y) for x in range(24) for y in range(24)]
    assert len(owners) == 576
    inner = [board for board in set(owners) if owners.count(board) == 48]
    assert (0, 0, 0) in inner and (1, 0, 2) in inner


@pytest.mark.parametrize("direction", Link)
def test_eight_links_leave_in_each_direction(direction):
    assert len(CABLE_LINKS[direction]) == 8
    for x, y, link in CABLE_LINKS[direction]:
        there = (x + link.step[0], y + link.step[1])
        assert there not in BOARD_CHIPS
        assert (there[0] - direction.board_step[0], there[1] - direction.board_step[1]) in (
            BOARD_CHIPS
        )


@given(st.integers(-30, 30), st.integers(-30, 30), st.integers(-30, 30), st.integers(-30, 30))
def test_distances_are_a_metric(ax, ay, bx, by):
    assert hops(ax, ay) == hops(-ax, -ay)
    assert hops(ax + bx, ay + by) <= hops(ax, ay) + hops(bx, by)
    assert torus_hops(ax, ay, 24, 12) == torus_hops(-ax, -ay, 24, 12) <= hops(ax, ay)
    assert torus_hops(ax + 24, ay - 12, 24, 12) == torus_hops(ax, ay, 24, 12)


def test_torus_distance_is_that_of_a_search():
    width, height = 12, 24
    distance = {(0, 0): 0}
    queue = deque(distance)
    while queue:
        x, y = queue.popleft()
        for link in Link:
            there = ((x + link.step[0]) % width, (y + link.step[1]) % height)
            if there not in distance:
                distance[there] = distance[x, y] + 1
                queue.append(there)
    for (x, y), steps in distance.items():
        assert torus_hops(x, y, width, height) == steps


@given(st.integers(1, 7), st.integers(1, 7))
def test_the_path_visits_every_board_and_steps_to_neighbours(width, height):
    path = triad_path(width, height)
    assert len(set(path)) == len(path) == 3 * width * height
    steps = np.diff(ethernet_chips(np.array(path)), axis=0).tolist()
    assert {tuple(step) for step in steps} <= {link.board_step for link in Link}
