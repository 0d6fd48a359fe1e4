"""Which boards a study computes on.

Up to 1,200 boards are a part of the machine in Manchester, 20 x 20 triads closed to a torus: a
rectangle of triads as spalloc hands it out, closed only where it takes the whole machine, or, on
request, a machine of its own that is closed in both directions. More boards are several machines
of 1,200, whose sums meet in the hosts.
"""

from dataclasses import dataclass
from functools import cache
from math import ceil

from orchestrator.collectives.plan.wire import MOST_GHOST_BATCHES
from orchestrator.errors import ArgumentError
from orchestrator.machine import Machine, rectangle, single_board, take, torus

SIDE = 20
"""Triads along a side of the largest machine."""

LARGEST = 3 * SIDE * SIDE
"""Boards of the largest machine."""

HOST_BOARDS = 24
"""Boards that share a host: those of a frame."""


@dataclass(frozen=True, slots=True)
class Boards:
    """Boards that train together.

    Attributes
    ----------
    machine : one of the machines; all are alike.
    machines : number of machines, which only hosts join.
    """

    machine: Machine
    machines: int

    @property
    def n_boards(self) -> int:
        """Return the boards of all machines."""
        return self.machines * self.machine.n_boards

    @property
    def n_hosts(self) -> int:
        """Return the hosts of one machine."""
        return ceil(self.machine.n_boards / HOST_BOARDS)


def boards_of(n_boards: int, *, closed: bool = False) -> Boards:
    """Return the machine, or machines, that a number of boards stands for.

    Parameters
    ----------
    closed : close rectangles of triads to tori of their own, instead of cutting them from the
        largest machine.

    Raises
    ------
    ArgumentError
        No board, more than 1,200 that are not whole machines, or more than exact sums allow.
    """
    if not 1 <= n_boards <= MOST_GHOST_BATCHES:
        raise ArgumentError(
            f"--boards: {n_boards:,} is not possible; exact sums of 16-bit gradients in int32 "
            f"allow 1 to {MOST_GHOST_BATCHES:,}"
        )
    if n_boards > LARGEST:
        if n_boards % LARGEST:
            raise ArgumentError(
                f"--boards: {n_boards:,} are too many for one machine of {LARGEST:,}; "
                f"give a multiple of {LARGEST:,}, which stands for several machines over hosts"
            )
        return Boards(_machine(LARGEST, closed), n_boards // LARGEST)
    return Boards(_machine(n_boards, closed), 1)


@cache
def _machine(n_boards: int, closed: bool) -> Machine:
    """Return a machine of up to 1,200 boards."""
    if n_boards == 1:
        return single_board()
    width, height = _triads(ceil(n_boards / 3))
    whole = torus(width, height) if closed else rectangle(torus(SIDE, SIDE), 0, 0, width, height)
    if whole.n_boards == n_boards:
        return whole
    return take(whole, [(x, y, z) for x, y, z in whole.boards[:n_boards].tolist()])


def _triads(least: int) -> tuple[int, int]:
    """Return the sides of a rectangle of at least this many triads: few of them, nearly square.

    Sums are slow on long strips, whose boards have few cables.
    """
    choices = [(w, ceil(least / w)) for w in range(1, SIDE + 1) if least <= w * SIDE]
    return min((s for s in choices if s[0] >= s[1]), key=lambda s: s[0] * s[1] + s[0] + s[1])
