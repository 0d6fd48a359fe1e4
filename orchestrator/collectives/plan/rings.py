"""Sums around rings: reduce-scatter, then all-gather.

On each ring a piece travels once round while boards add theirs, and once more so that all get the
sum: 2 (p - 1) rounds in which every board sends one piece (Patarasuk and Yuan 2009). Rings over
Hamilton cycles that share no cable, each run both ways, use every cable of a closed machine in
every round: 2 (p - 1) / p * S / 6 bytes on each, which is the least possible.
"""

from collections.abc import Sequence

import numpy as np

from orchestrator.collectives.plan.hamilton import Cycle
from orchestrator.collectives.plan.schedule import SHORTEST, Phase, Round, Schedule, make_round
from orchestrator.machine.geometry import Ints


def ring_schedule(name: str, cycles: Sequence[Cycle], *, both_ways: bool) -> Schedule:
    """Return the sum over the boards of cycles, which all visit the same boards.

    The buffer is split evenly over the cycles, and over the two ways round each.
    """
    if both_ways:
        cycles = [way for cycle in cycles for way in (cycle, cycle.reverse)]
    source = np.stack([cycle.boards for cycle in cycles])
    link = np.stack([cycle.links for cycle in cycles])
    destination = np.roll(source, -1, axis=1)
    n_rings, p = source.shape
    base = p * np.arange(n_rings)[:, None]
    place = np.arange(p)

    def scatter(i: int) -> Round:
        first = base + (place - i) % p
        return make_round(source, destination, first, addends=i + 1, reduce=True, link=link)

    def gather(i: int) -> Round:
        first = base + (place + 1 - i) % p
        return make_round(source, destination, first, addends=p, reduce=False, link=link)

    phases = (Phase(p - 1, scatter, lambda i: i + 1), Phase(p - 1, gather, lambda _: p))
    return Schedule(name, np.sort(source[0]), n_rings * p, phases)


def plain_ring(boards: Ints) -> Cycle:
    """Return boards in the order given as a ring whose steps may need several cables."""
    return Cycle(boards, np.full(len(boards), SHORTEST))
