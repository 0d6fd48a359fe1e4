r"""Coordinates of chips, boards and triads. Pure functions; nothing here knows of dead parts.

A chip is (x, y) in a triangular mesh: links go to (+1, 0), (+1, +1), (0, +1) and back. A board is a
hexagon of 48 chips, named by its south-west chip, which carries the Ethernet socket. Three boards
make a *triad* of 12 x 12 chips, the unit that tiles the plane as squares do; spalloc names a board
(x, y, z), the triad's column and row and the board in it::

     ___
    / 2 \___        z = 0: Ethernet chip (12 x,     12 y)
    \___/ 1 \       z = 1:               (12 x + 8, 12 y + 4)
    / 0 \___/       z = 2:               (12 x + 4, 12 y + 8)
    \___/

W x H triads close to a torus of 12 W x 12 H chips. Where they do not close, boards stick out and
the chips fill a box of 12 W + 4 by 12 H + 4.

References
----------
SpiNNMachine ``version_48_chips.py`` (shape); rig ``geometry.py`` (triads, distances);
spalloc_server ``coordinates.py`` (board coordinates); tests compare with SpiNNMachine.
"""

import numpy as np
from numpy.typing import NDArray

from orchestrator.machine.links import Link

Ints = NDArray[np.int64]

TRIAD = 12
"""Chips along each side of a triad."""

OVERHANG = 4
"""Chips by which boards stick out of a row or column of triads that does not close."""

ETHERNET_IN_TRIAD = ((0, 0), (8, 4), (4, 8))
"""Ethernet chips of a triad's boards, by z."""

_ROWS = ((0, 5), (0, 6), (0, 7), (0, 8), (1, 8), (2, 8), (3, 8), (4, 8))  # x range for each y

BOARD_CHIPS: tuple[tuple[int, int], ...] = tuple(
    sorted((x, y) for y, (first, end) in enumerate(_ROWS) for x in range(first, end))
)
"""The 48 chips of a SpiNN-5 board, relative to its Ethernet chip."""


def ethernet_chips(boards: Ints) -> Ints:
    """Return the Ethernet chips, int64 [n, 2], of boards (x, y, z), int64 [n, 3], unwrapped.

    Examples
    --------
    >>> ethernet_chips(np.array([[0, 0, 1], [2, 1, 2]])).tolist()
    [[8, 4], [28, 20]]
    """
    chips: Ints = TRIAD * boards[:, :2] + np.array(ETHERNET_IN_TRIAD)[boards[:, 2]]
    return chips


def board_of(x: int, y: int) -> tuple[int, int, int]:
    """Return the board (x, y, z) of a chip in the unbounded mesh.

    On a torus take the result's x and y modulo its size in triads.

    Examples
    --------
    >>> board_of(9, 5)
    (0, 0, 1)
    >>> board_of(0, 4)  # west of the triad's own boards: on a board of the triad beside it
    (-1, 0, 1)
    """
    triad_x, triad_y, z = _BOARD_OF[x % TRIAD][y % TRIAD]
    return x // TRIAD + triad_x, y // TRIAD + triad_y, z


def _boards_of_a_triad() -> list[list[tuple[int, int, int]]]:
    """Return for each chip of a triad's square the board that holds it, relative to the triad."""
    table = [[(0, 0, 0)] * TRIAD for _ in range(TRIAD)]
    for z, (east, north) in enumerate(ETHERNET_IN_TRIAD):
        for x, y in BOARD_CHIPS:
            column, row = east + x, north + y
            table[column % TRIAD][row % TRIAD] = (-(column // TRIAD), -(row // TRIAD), z)
    return table


_BOARD_OF = _boards_of_a_triad()


def _cable_links() -> tuple[tuple[tuple[int, int, Link], ...], ...]:
    """Return for each direction the chips and links whose other ends are on the next board."""
    found: list[list[tuple[int, int, Link]]] = [[] for _ in Link]
    for x, y in BOARD_CHIPS:
        for link in Link:
            there = (x + link.step[0], y + link.step[1])
            for direction in Link:
                east, north = direction.board_step
                if (there[0] - east, there[1] - north) in BOARD_CHIPS:
                    found[direction].append((x, y, link))
    return tuple(map(tuple, found))


CABLE_LINKS = _cable_links()
"""For each direction, the eight (x, y, link) of a board that leave it in one cable."""


def hops(dx: int, dy: int) -> int:
    """Return the least number of links between chips that are (dx, dy) apart in the open mesh.

    A diagonal link covers one step in x and one in y of the same sign, so steps of one sign need
    the larger of the two, steps of different signs their sum.

    Examples
    --------
    >>> hops(3, 2), hops(3, -2)
    (3, 5)
    """
    return max(dx, dy, 0) - min(dx, dy, 0)


def torus_hops(dx: int, dy: int, width: int, height: int) -> int:
    """Return the least number of links between chips (dx, dy) apart on a torus of chips.

    The shortest way crosses each seam at most once, so four unwrapped differences cover all.

    Examples
    --------
    >>> torus_hops(11, 1, 12, 12)  # one step west, one north
    2
    """
    dx, dy = dx % width, dy % height
    return min(hops(east, north) for east in (dx, dx - width) for north in (dy, dy - height))


def triad_path(width: int, height: int) -> list[tuple[int, int, int]]:
    """Return all boards of width x height triads in an order where each adjoins the next.

    Rows of triads are walked eastward and westward in turn; no wrap-around is used.

    Examples
    --------
    >>> triad_path(2, 1)
    [(0, 0, 0), (0, 0, 2), (0, 0, 1), (1, 0, 0), (1, 0, 1), (1, 0, 2)]
    """
    path = []
    for y in range(height):
        eastward = y % 2 == 0
        columns = range(width) if eastward else range(width - 1, -1, -1)
        for x in columns:
            if x == columns[-1]:  # leaves northward
                order = (0, 1, 2) if eastward else (1, 0, 2)
            else:
                order = (0, 2, 1) if eastward else (1, 2, 0)
            path += [(x, y, z) for z in order]
    return path
