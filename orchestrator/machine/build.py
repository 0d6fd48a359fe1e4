"""Machines as they are built: tori and open rectangles of triads, single boards."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ArgumentError
from orchestrator.machine.geometry import (
    BOARD_CHIPS,
    CABLE_LINKS,
    OVERHANG,
    TRIAD,
    Ints,
    ethernet_chips,
)
from orchestrator.machine.links import Link
from orchestrator.machine.machine import NO_FAULTS, Board, Faults, Machine, links_between

CORES = 18
"""Cores of a chip."""

CHIPS_OF_17_CORES = frozenset({(1, 1), (1, 3), (3, 1), (3, 3), (3, 5), (5, 2), (5, 4), (5, 6)})
"""Chips of a board fitted with one working core fewer, by the map that SpiNNMachine assumes
(``version_5.py``); real boards vary."""

LARGEST = 256
"""Chips along a side that a chip's 16-bit address (8 bits each way) allows."""


def torus(width: int, height: int, faults: Faults = NO_FAULTS) -> Machine:
    """Return width x height triads of 48-chip boards that close in both directions.

    Raises
    ------
    ArgumentError
        No triad, or more chips along a side than a chip's address allows.

    Examples
    --------
    >>> torus(20, 20).n_chips  # the million-core machine
    57600
    """
    return triads(width, height, (True, True), faults)


def triads(
    width: int, height: int, wraps: tuple[bool, bool], faults: Faults = NO_FAULTS
) -> Machine:
    """Return width x height triads of 48-chip boards.

    Parameters
    ----------
    wraps : whether the machine closes in x and in y.
    faults : parts that do not work.

    Raises
    ------
    ArgumentError
        No triad, too many, a fault outside the machine, or no board that works.
    """
    chips = (
        TRIAD * width + (0 if wraps[0] else OVERHANG),
        TRIAD * height + (0 if wraps[1] else OVERHANG),
    )
    if width < 1 or height < 1 or max(chips) > LARGEST:
        raise ArgumentError(
            f"{width} x {height} triads: a machine has at least one triad, and at most {LARGEST} "
            "chips along a side"
        )
    boards = [(x, y, z) for x in range(width) for y in range(height) for z in range(3)]
    return _place(boards, chips, wraps, faults)


def single_board(faults: Faults = NO_FAULTS) -> Machine:
    """Return one 48-chip board with its Ethernet chip at (0, 0)."""
    return _place([(0, 0, 0)], (8, 8), (False, False), faults)


def spinn3(faults: Faults = NO_FAULTS) -> Machine:
    """Return a SpiNN-3 board: 2 x 2 chips.

    Links close northward and southward only; of the eight chip links that would close eastward and
    westward two go to sockets and the others nowhere (SpiNNMachine 7.4, ``version_3.py`` and the
    machine it builds).
    """
    boards = np.zeros((1, 3), np.int64)
    board_at = np.zeros((2, 2), np.int16)
    cores = np.full((2, 2), CORES, np.uint8)
    return _with_faults(boards, (False, True), board_at, cores, faults)


def _place(
    boards: list[Board], chips: tuple[int, int], wraps: tuple[bool, bool], faults: Faults
) -> Machine:
    """Return the machine of those of these 48-chip boards that work, in a box of chips."""
    for board in (*faults.boards, *(cable[:3] for cable in faults.cables)):
        if board not in boards:
            raise ArgumentError(f"dead parts: there is no board {board}")
    alive = np.array([board for board in boards if board not in faults.boards], np.int64)
    if not alive.size:
        raise ArgumentError(f"dead parts: none of {len(boards)} boards works")
    board_at = np.full(chips, -1, np.int16)
    cores = np.zeros(chips, np.uint8)
    places = ethernet_chips(alive)[:, None, :] + np.array(BOARD_CHIPS)  # [n_boards, 48, 2]
    x, y = np.moveaxis(np.mod(places, chips), -1, 0)
    board_at[x, y] = np.arange(len(alive))[:, None]
    cores[x, y] = [CORES - (chip in CHIPS_OF_17_CORES) for chip in BOARD_CHIPS]
    return _with_faults(alive, wraps, board_at, cores, faults)


def _with_faults(
    boards: Ints,
    wraps: tuple[bool, bool],
    board_at: NDArray[np.int16],
    cores: NDArray[np.uint8],
    faults: Faults,
) -> Machine:
    """Return the machine without its dead parts; board_at and cores are changed in place."""
    for part in (*faults.chips, *faults.cores, *faults.links):
        if not (0 <= part[0] < cores.shape[0] and 0 <= part[1] < cores.shape[1]):
            raise ArgumentError(
                f"dead parts: chip {part[:2]} is outside {cores.shape[0]} x {cores.shape[1]} chips"
            )
    for x, y, _ in faults.cores:
        cores[x, y] -= cores[x, y] > 0
    for x, y in faults.chips:
        cores[x, y] = 0
    links = links_between(cores, wraps)
    for x, y, link in (*faults.links, *_links_of_cables(faults, cores.shape)):
        links[x, y, link] = False
    for link in Link:  # a link that fails one way is out of use both ways
        back = np.roll(links[..., link.opposite], (-link.step[0], -link.step[1]), axis=(0, 1))
        links[..., link] &= back
    return Machine(boards=boards, wraps=wraps, board_at=board_at, cores=cores, links=links)


def _links_of_cables(faults: Faults, chips: tuple[int, int]) -> Iterator[tuple[int, int, Link]]:
    """Yield the chip links of the dead cables."""
    for *board, direction in faults.cables:
        east, north = ethernet_chips(np.array([board]))[0]
        for x, y, link in CABLE_LINKS[direction]:
            yield int(east + x) % chips[0], int(north + y) % chips[1], link
