"""Runs the numbers of a schedule: every board's buffer in one array."""

import numpy as np
from numpy.typing import NDArray

from orchestrator.collectives.plan.schedule import Round, Schedule
from orchestrator.collectives.plan.wire import piece_elements
from orchestrator.errors import ArgumentError
from orchestrator.machine.geometry import Ints


def execute(schedule: Schedule, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what every board holds after a schedule, int64 [n_boards, n_elements].

    Parameters
    ----------
    values : int64 [n_boards, n_elements], what each board holds before; not changed.

    Raises
    ------
    ArgumentError
        In one round a piece is taken from two boards, or taken and added to.
    """
    n_boards, n = values.shape
    piece = piece_elements(n, schedule.n_pieces)
    held = np.zeros((n_boards, schedule.n_pieces, piece), np.int64)
    flat = held.reshape(n_boards, -1)
    flat[:, :n] = values
    for transfers in schedule.rounds():
        run_round(transfers, held)
    return flat[:, :n]


def run_round(transfers: Round, held: NDArray[np.int64]) -> None:
    """Run one round on buffers held, int64 [n_boards, n_pieces, elements of a piece], in place."""
    transfer = np.repeat(np.arange(transfers.count.size), transfers.count)
    start = np.cumsum(transfers.count) - transfers.count
    piece = transfers.first[transfer] + np.arange(transfer.size) - start[transfer]
    destination, reduce = transfers.destination[transfer], transfers.reduce[transfer]
    sent = held[transfers.source[transfer], piece]  # a copy: what was there before the round
    place = destination * held.shape[1] + piece
    _check_receipts(place, reduce)
    held[destination[~reduce], piece[~reduce]] = sent[~reduce]
    np.add.at(held, (destination[reduce], piece[reduce]), sent[reduce])


def _check_receipts(place: Ints, reduce: NDArray[np.bool_]) -> None:
    """Raise unless each place that is received twice is only added to."""
    order = np.argsort(place)
    twice = place[order[1:]] == place[order[:-1]]
    if (twice & ~(reduce[order[1:]] & reduce[order[:-1]])).any():
        raise ArgumentError("a schedule takes a piece from two boards in one round")
