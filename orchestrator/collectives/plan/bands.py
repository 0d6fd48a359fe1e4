"""Sums over bands: around the rows of a grid of boards, then around its columns.

Reduce-scatter in rows, then the whole sum of what is left in columns, then all-gather in rows:
2 (columns - 1) + 2 (rows - 1) rounds instead of a ring's 2 (p - 1), for the same bytes from each
board (Mikami 2018; Jain and Sabharwal 2010). Both halves of the buffer go opposite ways round.
"""

import numpy as np

from orchestrator.collectives.plan.schedule import (
    Phase,
    Round,
    Schedule,
    folded,
    make_round,
    merge,
)
from orchestrator.machine.geometry import Ints


def band_schedule(grid: Ints, extra: Ints) -> Schedule:
    """Return the sum over a grid of boards, int64 [rows, columns], and extra boards.

    Each extra board, fewer than the grid's, folds onto one of the grid's first.
    """
    rows, columns = grid.shape
    # The two halves of the buffer, and the grids on which each goes forward.
    ways = ((0, grid), (rows * columns, grid[::-1, ::-1]))
    row, column = np.arange(rows)[:, None], np.arange(columns)[None, :]
    p = rows * columns + len(extra)

    def along(axis: int, first: Ints, count: int, addends: int, reduce: bool) -> Round:
        return merge(
            [
                make_round(
                    boards,
                    np.roll(boards, -1, axis),
                    base + first,
                    count=count,
                    addends=addends,
                    reduce=reduce,
                )
                for base, boards in ways
            ]
        )

    block = (column + 1) % columns * rows  # what a board's row has left it with

    def scatter_rows(i: int) -> Round:
        first = (column - i) % columns * rows + 0 * row
        return along(1, first, rows, i + 1, True)

    def scatter_columns(i: int) -> Round:
        return along(0, block + (row - i) % rows, 1, columns * (i + 1), True)

    def gather_columns(i: int) -> Round:
        return along(0, block + (row + 1 - i) % rows, 1, p, False)

    def gather_rows(i: int) -> Round:
        first = (column + 1 - i) % columns * rows + 0 * row
        return along(1, first, rows, p, False)

    phases = (
        Phase(columns - 1, scatter_rows, lambda i: i + 1),
        Phase(rows - 1, scatter_columns, lambda i: columns * (i + 1)),
        Phase(rows - 1, gather_columns, lambda _: p),
        Phase(columns - 1, gather_rows, lambda _: p),
    )
    inner = Schedule("bands", grid.ravel(), 2 * rows * columns, phases)
    return folded(inner, extra, grid.ravel()[: len(extra)])


def band_grid(boards: Ints, columns: int) -> tuple[Ints, Ints]:
    """Return boards in the order given as a grid of rows, and those that fill no row.

    The rest is fewer boards than a row, and never more than the grid.
    """
    rows = len(boards) // columns
    return boards[: rows * columns].reshape(rows, columns), boards[rows * columns :]
