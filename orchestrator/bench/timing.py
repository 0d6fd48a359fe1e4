"""How everything is timed: sides take turns in one process, figures are medians."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

Work = Callable[[], Any]

SETTLE_S: Final = 0.002
"""Threads of the other side that still wait for work have gone to sleep after this."""


class Times(NamedTuple):
    """Processor seconds of all threads, and wall-clock seconds."""

    cpu: float
    wall: float


def measure(work: Work) -> Times:
    """Return what one call costs."""
    time.sleep(SETTLE_S)
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Times(time.process_time() - cpu, time.perf_counter() - wall)


def alternate(sides: Sequence[Work], rounds: int) -> list[list[Times]]:
    """Return each side's times of so many rounds; every side is called once before, unmeasured."""
    for side in sides:
        side()
    times: list[list[Times]] = [[] for _ in sides]
    for _ in range(rounds):
        for list_, side in zip(times, sides, strict=True):
            list_.append(measure(side))
    return times


def medians(times: Sequence[Times]) -> Times:
    """Return the medians of rounds."""
    return Times(*(statistics.median(values) for values in zip(*times, strict=True)))


def paired_ratios(ours: Sequence[Times], peers: Sequence[Times]) -> list[Times]:
    """Return our speed over the peer's in every round; neighbours' load changes between rounds."""
    return [
        Times(peer.cpu / our.cpu, peer.wall / our.wall)
        for our, peer in zip(ours, peers, strict=True)
    ]
