"""Counts what a schedule puts on every cable, and what that takes.

The model: rounds follow each other; in a round every transfer is under way at once, and the round
ends when the busiest cable has carried its bytes. Transfers over several cables load each of them
in the round in which they start, so transfers that share a cable wait for each other. A round costs
a start, and the latency of the longest way in it. Each cable carries its two directions
independently, at a rate in proportion to its working chip links.

Inside a board nothing is counted here: 120 links join its chips, 48 leave it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from orchestrator.collectives.plan.schedule import SHORTEST, Round, Schedule
from orchestrator.collectives.plan.wire import piece_elements
from orchestrator.errors import ArgumentError
from orchestrator.machine.boards import CHANNELS, BoardGraph
from orchestrator.machine.constants import Level, constant
from orchestrator.machine.geometry import Ints

Width = Callable[[int], int]
"""Bytes of an element that sums a number of boards, as `Wire.element_bytes`."""

CHIPS_ACROSS = 8
"""Chip links along a way across a board, of which the cable's is one."""


@dataclass(frozen=True, slots=True)
class LinkRates:
    """What the cables between boards do.

    Attributes
    ----------
    cable : bytes/s of payload over a cable of eight working links, each way.
    round_start : seconds that a round takes beside its transfers.
    crossing : seconds of latency for each cable on a way, with the board behind it.
    """

    cable: float
    round_start: float
    crossing: float


def link_rates(level: Level = Level.TYPICAL) -> LinkRates:
    """Return the rates of a slow (low), typical or fast (high) machine.

    A link is used up to the share of its rate that is taken to be free of drops.
    """
    rate = constant("cable_channel_rate").at(level) * constant("link_share").at(level)
    return LinkRates(
        cable=CHANNELS * rate,
        round_start=constant("round_start").at(level.opposite),
        crossing=CHIPS_ACROSS * constant("hop_latency").at(level.opposite),
    )


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a schedule needs on one machine, for any size of buffer.

    Attributes
    ----------
    n_pieces : pieces that the buffer is cut into.
    n_rounds : number of rounds.
    crossings : the longest way of each round in cables, summed over rounds.
    busiest : bytes that the busiest cable carries one way in a round, for each element of a piece,
        summed over rounds; a cable with fewer working links counts for more.
    """

    n_pieces: int
    n_rounds: int
    crossings: int
    busiest: float

    def seconds(self, n_elements: int, rates: LinkRates) -> float:
        """Return the time to sum n_elements."""
        latency = self.n_rounds * rates.round_start + self.crossings * rates.crossing
        return latency + piece_elements(n_elements, self.n_pieces) * self.busiest / rates.cable

    @property
    def busiest_share(self) -> float:
        """Return busiest over the pieces: bytes on the busiest cable for each element summed."""
        return self.busiest / self.n_pieces


def one(_: int) -> int:
    """Return 1: the width that makes `simulate` count elements."""
    return 1


def simulate(
    schedule: Schedule, graph: BoardGraph, width: Width, carried: Ints | None = None
) -> Traffic:
    """Return the traffic of a schedule, counted cable by cable and round by round.

    Parameters
    ----------
    width : bytes of an element.
    carried : int64 [n_boards, 6]; what each cable carries from a board, in bytes for each element
        of a piece, is added to it.

    Raises
    ------
    ArgumentError
        A transfer takes a cable that does not work or leads elsewhere, or boards are cut off.
    """
    bytes_of = np.array([0, *(width(n + 1) for n in range(len(schedule.boards)))])
    share = np.maximum(graph.channels, 1).ravel() / CHANNELS
    crossings, busiest = 0, 0.0
    for transfers, times, element_bytes in _distinct(schedule, bytes_of):
        load = np.zeros(graph.channels.size, np.int64)
        crossings += times * _spread(transfers, transfers.count * element_bytes, graph, load)
        busiest += float((load / share).max())
        if carried is not None:
            carried += load.reshape(carried.shape)
    return Traffic(schedule.n_pieces, schedule.n_rounds, crossings, busiest)


def _distinct(schedule: Schedule, bytes_of: Ints) -> Iterator[tuple[Round, int, Ints | np.int64]]:
    """Yield rounds, how many alike each stands for, and the bytes of an element over those."""
    for phase in schedule.phases:
        if phase.addends and phase.n_rounds:
            addends = [phase.addends(i) for i in range(phase.n_rounds)]
            yield phase.at(0), phase.n_rounds, bytes_of[addends].sum()
        else:
            for i in range(phase.n_rounds):
                transfers = phase.at(i)
                yield transfers, 1, bytes_of[transfers.addends]


def _spread(transfers: Round, amount: Ints, graph: BoardGraph, load: Ints) -> int:
    """Add a round's bytes to the load of each cable; return the longest way in cables."""
    n_links = graph.channels.shape[1]
    direct = transfers.link != SHORTEST
    if direct.any():
        source, link = transfers.source[direct], transfers.link[direct]
        if (graph.neighbour[source, link] != transfers.destination[direct]).any():
            raise ArgumentError("the schedule uses cables that this machine does not have")
        np.add.at(load, source * n_links + link, amount[direct])
    at, end = transfers.source[~direct], transfers.destination[~direct]
    amount = amount[~direct]
    longest = int(direct.any())
    steps = 0
    while at.size:
        link = graph.next_link[at, end].astype(np.int64)
        if (link < 0).any():
            raise ArgumentError(
                f"board {int(at[link < 0][0])} cannot reach board {int(end[link < 0][0])}: "
                "dead cables cut the machine in two"
            )
        np.add.at(load, at * n_links + link, amount)
        at = graph.neighbour[at, link]
        steps += 1
        under_way = at != end
        at, end, amount = at[under_way], end[under_way], amount[under_way]
    return max(longest, steps)


def link_bound(graph: BoardGraph) -> float:
    """Return the least elements that the busiest full cable carries, for each element summed.

    An element is in p - 1 sums of two parts, and must reach p - 1 more boards: 2 (p - 1) moves,
    over cables that carry both ways, so no schedule is below (p - 1) / (number of cables). And each
    board must send at least what it holds: not below 1 / (its cables). Cables count in proportion
    to their working links. For p boards with six cables each, the first is (p - 1) / (3 p).
    """
    p = graph.n_boards
    if p == 1:
        return 0.0
    if not graph.is_connected:
        raise ArgumentError("dead cables cut the machine in two: its boards cannot be summed over")
    degree = graph.channels.sum(axis=1) / CHANNELS
    return max(2 * (p - 1) / float(degree.sum()), 1 / float(degree.min()))
