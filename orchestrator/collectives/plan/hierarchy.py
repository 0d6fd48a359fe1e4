"""Sums by levels: into the first board of each group, around the firsts, and back out.

Jia 2018: with groups of k boards the rounds fall from 2 (p - 1) to 2 (p / k - 1) + 2, but the
firsts carry whole buffers. Here a group is the boards of a triad.
"""

from collections.abc import Sequence

import numpy as np

from orchestrator.collectives.plan.rings import plain_ring, ring_schedule
from orchestrator.collectives.plan.schedule import Phase, Round, Schedule, make_round, with_addends
from orchestrator.machine.geometry import Ints


def hierarchical(groups: Sequence[Ints]) -> Schedule:
    """Return the sum over groups of boards: to each group's first, a ring of firsts, back."""
    firsts = np.array([group[0] for group in groups])
    others = np.concatenate([group[1:] for group in groups])
    their_first = np.concatenate([np.full(len(group) - 1, group[0]) for group in groups])
    p = len(firsts) + len(others)
    largest = max(len(group) for group in groups)
    ring = ring_schedule("hierarchical", [plain_ring(firsts)], both_ways=len(firsts) > 2)

    def to_firsts(_: int) -> Round:
        return make_round(others, their_first, 0, count=ring.n_pieces, addends=1, reduce=True)

    def from_firsts(_: int) -> Round:
        return make_round(their_first, others, 0, count=ring.n_pieces, addends=p, reduce=False)

    edges = 1 if others.size else 0
    inner = (with_addends(phase, largest, p) for phase in ring.phases)
    phases = (Phase(edges, to_firsts), *inner, Phase(edges, from_firsts))
    return Schedule("hierarchical", np.append(firsts, others), ring.n_pieces, phases)


def triad_groups(coordinates: Ints) -> list[Ints]:
    """Return the boards (x, y, z), int64 [n, 3], of each triad, as board numbers."""
    _, triad = np.unique(coordinates[:, :2], axis=0, return_inverse=True)
    return [np.flatnonzero(triad == number) for number in range(int(triad.max()) + 1)]
