"""Drawing chips: where a chip lies on paper, and its share of the plane, a hexagon."""

from collections.abc import Container
from math import cos, radians, sin

from matplotlib.axes import Axes

from orchestrator.machine import Link

INK = "#333333"


def place(x: float, y: float) -> tuple[float, float]:
    """Return where a chip is drawn: links east, north-east and north at 60 degrees."""
    return x - y / 2, y * 3**0.5 / 2


def corners(x: float, y: float) -> list[tuple[float, float]]:
    """Return the corners of a chip's hexagon, the first one again at the end.

    The side towards the neighbour in direction `link` lies between corners link and link + 1.
    """
    east, north = place(x, y)
    return [
        (
            east + cos(radians(60 * k - 30)) / 3**0.5,
            north + sin(radians(60 * k - 30)) / 3**0.5,
        )
        for k in range(7)
    ]


def cell(
    axes: Axes, x: int, y: int, board: Container[tuple[int, int]], colour: str, ink: str = INK
) -> None:
    """Draw a chip's share of the plane, with a line where its board ends.

    Parameters
    ----------
    board : chips of its board, in the same coordinates.
    """
    outline = corners(x, y)
    axes.fill(*zip(*outline, strict=True), color=colour, linewidth=0, zorder=0)
    for link in Link:
        if (x + link.step[0], y + link.step[1]) not in board:
            side = outline[link : link + 2]
            axes.plot(*zip(*side, strict=True), color=ink, linewidth=1, zorder=1)
