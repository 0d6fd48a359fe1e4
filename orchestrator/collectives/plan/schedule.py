"""A sum over boards as a value: rounds of transfers over the cables between boards.

A buffer of the same size on every board is cut into equal pieces. In a round, boards send runs of
pieces to boards; all of a round's transfers read what was there before the round. The receiver
adds what comes to its own (*reduce*) or takes it instead (*copy*). After the last round every
board holds the sum.

Nothing here knows times or bytes: `traffic` counts them, `execute` runs the numbers.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from orchestrator.machine.geometry import Ints

SHORTEST = -1
"""In place of a direction: the transfer takes a shortest way over any cables."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Round:
    """Transfers that go on at the same time; all arrays have one entry for each.

    Attributes
    ----------
    source, destination : int64, boards.
    link : int64, the direction of the one cable that the transfer takes, or `SHORTEST`.
    first, count : int64, the run of pieces that is sent.
    addends : int64, at most how many boards' values each sent element is the sum of.
    reduce : bool, whether the receiver adds.
    """

    source: Ints
    destination: Ints
    link: Ints
    first: Ints
    count: Ints
    addends: Ints
    reduce: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Phase:
    """Rounds of one kind.

    Attributes
    ----------
    n_rounds : how many.
    at : returns the round of a number from 0; rounds are made when asked for, since those of a
        large machine hold millions of transfers.
    addends : where all rounds send as many pieces over the same ways, and all elements of a round
        are sums of as many boards: returns how many, for the round of a number. Such rounds need
        to be counted only once.
    """

    n_rounds: int
    at: Callable[[int], Round]
    addends: Callable[[int], int] | None = None


@dataclass(frozen=True, eq=False)
class Schedule:
    """A way to sum a buffer over boards.

    Attributes
    ----------
    name : the algorithm.
    boards : int64 [p], the boards that take part.
    n_pieces : pieces that the buffer is cut into.
    phases : in order.
    """

    name: str
    boards: Ints
    n_pieces: int
    phases: tuple[Phase, ...]

    @property
    def n_rounds(self) -> int:
        """Return the number of rounds."""
        return sum(phase.n_rounds for phase in self.phases)

    def rounds(self) -> Iterator[Round]:
        """Yield the rounds in order."""
        for phase in self.phases:
            yield from (phase.at(i) for i in range(phase.n_rounds))


def make_round(
    source: Ints,
    destination: Ints,
    first: Ints | int,
    *,
    addends: Ints | int,
    reduce: bool,
    count: Ints | int = 1,
    link: Ints | int = SHORTEST,
) -> Round:
    """Return a round; arrays of any equal shape are flattened, single values repeated."""
    shape = np.broadcast_shapes(*map(np.shape, (source, destination, first)))
    columns = [
        np.array(np.broadcast_to(value, shape), np.int64).ravel()
        for value in (source, destination, first, addends, count, link)
    ]
    return Round(
        source=columns[0],
        destination=columns[1],
        first=columns[2],
        addends=columns[3],
        count=columns[4],
        link=columns[5],
        reduce=np.full(columns[0].size, reduce),
    )


def merge(rounds: list[Round]) -> Round:
    """Return one round with the transfers of several."""
    names = ("source", "destination", "link", "first", "count", "addends", "reduce")
    return Round(**{name: np.concatenate([getattr(r, name) for r in rounds]) for name in names})


def with_addends(phase: Phase, times: int, most: int) -> Phase:
    """Return a phase whose boards began with sums of several boards, of `most` in all."""

    def at(i: int) -> Round:
        r = phase.at(i)
        return replace(r, addends=np.minimum(times * r.addends, most))

    inner = phase.addends
    addends = (lambda i: min(times * inner(i), most)) if inner else None
    return Phase(phase.n_rounds, at, addends)


def folded(schedule: Schedule, extra: Ints, partner: Ints) -> Schedule:
    """Return the schedule with more boards: each first gives its buffer to a partner.

    The partners run the schedule and give the sum back. That brings algorithms for some counts of
    boards (powers of two, rectangles) to any count.

    Parameters
    ----------
    extra : boards that the schedule does not have.
    partner : for each, a board of the schedule; no board twice.
    """
    if not extra.size:
        return schedule
    n, whole = schedule.n_pieces, len(schedule.boards) + len(extra)

    def give(_: int) -> Round:
        return make_round(extra, partner, 0, count=n, addends=1, reduce=True)

    def take(_: int) -> Round:
        return make_round(partner, extra, 0, count=n, addends=whole, reduce=False)

    inner = (with_addends(phase, 2, whole) for phase in schedule.phases)
    phases = (Phase(1, give), *inner, Phase(1, take))
    return Schedule(schedule.name, np.append(schedule.boards, extra), n, phases)
