"""A machine as text for a terminal of 80 columns: chips if they fit, else boards.

Every state has a sign of its own; colour only helps.
"""

from typing import Final

from rich.text import Text

from orchestrator.machine import Link
from orchestrator.machine.geometry import TRIAD
from orchestrator.machine.machine import Board, Chip
from orchestrator.studies.machine_view import BoardView, ChipState, MachineView

SIGNS: Final = {
    ChipState.WORKS: ("○", ""),
    ChipState.IDLE: ("○", ""),
    ChipState.WAITING: ("◇", "yellow"),
    ChipState.RUNNING: ("●", "blue"),
    ChipState.FAILED: ("▲", "bold red"),
    ChipState.DEAD: ("✕", "red"),
}
_DIM: Final = "dim"
_BROKEN: Final = "×"
_STROKE_PLACES: Final = {Link.EAST: (0, 3), Link.NORTH_EAST: (1, 2), Link.NORTH: (1, 0)}
"""Lines up and columns to the right from a chip's sign to the middle of a link."""

_STROKES: Final = {Link.EAST: "─┄", Link.NORTH_EAST: "╱⋰", Link.NORTH: "╲⋱"}
"""A link inside a board, and one to another board."""
_BOARD_OFF: Final = "◌"
_FULL_CELL, _SMALL_CELL, _BOARD_CELL, _SMALL_BOARD_CELL = 4, 2, 4, 3
"""Columns of a chip with its links, of one without, and of a board."""
_MOST_BOARDS: Final = 12
"""Boards whose chips may fit a terminal."""

_Canvas = dict[tuple[int, int], tuple[str, str]]
"""Character and style by line, counted upward, and column."""


def draw_text(view: MachineView, width: int = 80) -> Text:
    """Return the map of a machine, at most so many columns wide if its boards fit there."""
    few = len(view.boards) <= _MOST_BOARDS
    for draw in (_chips_and_links, _chips_alone) if few else ():
        found = _as_text(draw(view))
        if all(line.cell_len <= width for line in found.split("\n")):
            return found
    columns = view.machine.n_triads[0] * _BOARD_CELL + _BOARD_CELL // 2
    return _as_text(_boards(view, _BOARD_CELL if columns <= width else _SMALL_BOARD_CELL))


def legend(view: MachineView) -> Text:
    """Return what the signs stand for, and how many chips are in each state."""
    parts = []
    for state, count in sorted(
        view.chip_counts().items(), key=lambda item: [*SIGNS].index(item[0])
    ):
        sign, style = SIGNS[state]
        parts.append(Text.assemble((sign, style), f" {count} {state}"))
    for owner, letter in view.owners().items():
        parts.append(Text.assemble((letter, "bold"), f" {owner}"))
    return Text("   ").join(parts)


def _as_text(canvas: _Canvas) -> Text:
    """Return a canvas's lines, the highest first, shifted to the left edge."""
    left = min(column for _, column in canvas)
    lines = []
    for row in range(max(r for r, _ in canvas), min(r for r, _ in canvas) - 1, -1):
        there = {c - left: canvas[r, c] for r, c in canvas if r == row}
        line = Text()
        for column in range(max(there, default=-1) + 1):
            line.append(*there.get(column, (" ", "")))
        line.rstrip()
        lines.append(line)
    return Text("\n").join(lines)


# ---- chips ----


def _chips_and_links(view: MachineView) -> _Canvas:
    """Draw each chip as its sign and how many application cores work, with links between.

    Ethernet chips are underlined; at the left of a row stand the coordinates of its first chip.
    """
    canvas: _Canvas = {}
    drawn = {p: (chip, v.board) for v in view.boards for p, chip in view.chips_of(v.board)}
    ethernet = {next(view.chips_of(v.board))[0] for v in view.boards}
    for place, (chip, _) in drawn.items():
        row, column = 2 * place[1], _FULL_CELL * place[0] - 2 * place[1]
        sign, style = SIGNS[view.state(chip)]
        cores = view.application_cores(chip)
        style = f"{style} underline" if place in ethernet else style
        _write(canvas, row, column, sign + (f"{cores:2d}" if cores else "  "), style)
        if (place[0] - 1, place[1]) not in drawn:
            label = f"{chip[0]},{chip[1]} "
            _write(canvas, row, column - len(label), label, _DIM)
        for link, (up, right) in _STROKE_PLACES.items():
            other = (place[0] + link.step[0], place[1] + link.step[1])
            if other in drawn:
                within = drawn[other][1] == drawn[place][1]
                stroke = _stroke(view, chip, drawn[other][0], link, within)
                canvas[row + up, column + right] = stroke
    return canvas


def _write(canvas: _Canvas, row: int, column: int, text: str, style: str) -> None:
    for i, character in enumerate(text):
        canvas[row, column + i] = (character, style)


def _stroke(
    view: MachineView, chip: Chip, other: Chip, link: Link, within: bool
) -> tuple[str, str]:
    """Return how a link is drawn, inside a board or between two."""
    if view.machine.links[(*chip, link)]:
        return _STROKES[link][0 if within else 1], _DIM
    if ChipState.DEAD in (view.state(chip), view.state(other)):
        return " ", ""
    return _BROKEN, "bold red"


def _chips_alone(view: MachineView) -> _Canvas:
    """Draw each chip as its sign; each board's Ethernet chip as the board's z."""
    canvas: _Canvas = {}
    for v in view.boards:
        for i, (place, chip) in enumerate(view.chips_of(v.board)):
            sign, style = SIGNS[view.state(chip)]
            if i == 0 and view.machine.cores[chip]:
                sign, style = str(v.board[2]), f"reverse {style}"
            canvas[place[1], _SMALL_CELL * place[0] - place[1]] = (sign, style)
    return canvas


# ---- boards ----


def _boards(view: MachineView, cell: int) -> _Canvas:
    """Draw each board as its sign and its owner's letter, three lines to a row of triads.

    Odd lines are half a cell to the right: boards are a triangular mesh as chips are. The mesh's
    slant is undone, so that a torus fills a rectangle.
    """
    canvas: _Canvas = {}
    letters = view.owners()
    for v in view.boards:
        row, column = _board_place(v.board, view.machine.n_triads[0])
        at = column * cell // 2
        canvas[row, at] = board_sign(view, v)
        canvas[row, at + 1] = (letters.get(v.owner, " "), "bold")
    return canvas


def _board_place(board: Board, columns: int) -> tuple[int, int]:
    """Return a board's line and half column, of `columns` triads.

    A line of boards is 4 chips high; east by one triad is 12 chips, and each line up leans 2 chips
    to the left.
    """
    x, y, z = board
    east, north = ((0, 0), (8, 4), (4, 8))[z]
    row = (TRIAD * y + north) // 4
    halves = (2 * (TRIAD * x + east) - (TRIAD * y + north)) // TRIAD
    return row, halves % (2 * columns)


def board_sign(view: MachineView, board: BoardView) -> tuple[str, str]:
    """Return a board's sign and style: its worst chip's, or that it is dead or off."""
    if board.board in view.dead.boards:
        return SIGNS[ChipState.DEAD]
    if board.state == "off":
        return _BOARD_OFF, _DIM
    states = {view.state(chip) for _, chip in view.chips_of(board.board)}
    for state in (ChipState.FAILED, ChipState.RUNNING, ChipState.WAITING):
        if state in states:
            return SIGNS[state]
    return ("◐", "red") if ChipState.DEAD in states else SIGNS[ChipState.IDLE]
