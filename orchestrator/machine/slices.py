"""Sub-machines: the slices of a machine that ranks work on."""

from collections.abc import Iterable

import numpy as np

from orchestrator.errors import ArgumentError
from orchestrator.machine.build import triads
from orchestrator.machine.geometry import TRIAD, triad_path
from orchestrator.machine.machine import Board, Machine, links_between


def take(machine: Machine, boards: Iterable[Board]) -> Machine:
    """Return the sub-machine of these boards, in the coordinates of the whole.

    Links to other boards are gone; where the boards reach around the torus, they stay linked.

    Raises
    ------
    ArgumentError
        No board, one that the machine does not have, or one twice.
    """
    kept = [machine.board_number(board) for board in boards]
    if not kept or len(set(kept)) < len(kept):
        raise ArgumentError(
            f"a sub-machine has at least one board and each once, not {len(kept)} with "
            f"{len(kept) - len(set(kept))} repeated"
        )
    numbers = np.full(machine.n_boards + 1, -1, np.int16)
    numbers[kept] = np.arange(len(kept))
    board_at = numbers[machine.board_at]
    cores = np.where(board_at >= 0, machine.cores, 0).astype(np.uint8)
    return Machine(
        boards=machine.boards[kept],
        wraps=machine.wraps,
        board_at=board_at,
        cores=cores,
        links=machine.links & links_between(cores, machine.wraps),
    )


def rectangle(machine: Machine, x: int, y: int, width: int, height: int) -> Machine:
    """Return the sub-machine of width x height triads from triad (x, y), moved to the origin.

    It closes in a direction only where it takes the whole of a machine that does. This is what
    spalloc hands out for a number of boards.

    Raises
    ------
    ArgumentError
        The rectangle does not fit the machine, or has no working board.
    """
    sizes = machine.n_triads
    fits = [
        0 <= start and 1 <= size and (start + size <= whole)
        for start, size, whole in zip((x, y), (width, height), sizes, strict=True)
    ]
    if not all(fits):
        raise ArgumentError(
            f"{width} x {height} triads from ({x}, {y}) do not lie in {sizes[0]} x {sizes[1]}"
        )
    wrap_x, wrap_y = (
        wrap and size == whole
        for wrap, size, whole in zip(machine.wraps, (width, height), sizes, strict=True)
    )
    whole = triads(width, height, (wrap_x, wrap_y))
    # The chips of the whole rectangle, and where each lies in the machine.
    columns, rows = np.nonzero(whole.board_at >= 0)
    there = (
        (columns + TRIAD * x) % machine.width,
        (rows + TRIAD * y) % machine.height,
    )
    alive = np.unique(whole.board_at[columns, rows][machine.board_at[there] >= 0])
    if not alive.size:
        raise ArgumentError(f"{width} x {height} triads from ({x}, {y}) have no working board")
    numbers = np.full(whole.n_boards + 1, -1, np.int16)
    numbers[alive] = np.arange(alive.size)
    cores = np.zeros_like(whole.cores)
    links = np.zeros_like(whole.links)
    cores[columns, rows] = machine.cores[there]
    links[columns, rows] = machine.links[there]
    return Machine(
        boards=whole.boards[alive],
        wraps=(wrap_x, wrap_y),
        board_at=numbers[whole.board_at],
        cores=cores,
        links=links & links_between(cores, (wrap_x, wrap_y)),
    )


def run_of_boards(machine: Machine, first: int, n: int) -> Machine:
    """Return the sub-machine of n working boards along `triad_path`, from the first-th on.

    Consecutive boards of the path adjoin, so a run without dead boards is connected, and runs of n
    boards cut a machine into slices for several ranks.

    Raises
    ------
    ArgumentError
        The machine has fewer boards on the path.
    """
    alive = {tuple(board) for board in machine.boards.tolist()}
    path = [board for board in triad_path(*machine.n_triads) if board in alive]
    if first < 0 or n < 1 or first + n > len(path):
        raise ArgumentError(f"boards {first} to {first + n - 1} of {len(path)} do not exist")
    return take(machine, path[first : first + n])


def single_chip(machine: Machine, x: int, y: int) -> Machine:
    """Return the sub-machine of one chip of the machine, in its coordinates.

    Raises
    ------
    ArgumentError
        There is no such chip, or it does not work.
    """
    if not (0 <= x < machine.width and 0 <= y < machine.height and machine.cores[x, y]):
        raise ArgumentError(f"there is no working chip ({x}, {y})")
    kept = np.zeros_like(machine.cores)
    kept[x, y] = machine.cores[x, y]
    return Machine(
        boards=machine.boards[[machine.board_at[x, y]]],
        wraps=machine.wraps,
        board_at=np.where(kept > 0, 0, -1).astype(np.int16),
        cores=kept,
        links=np.zeros_like(machine.links),
    )
