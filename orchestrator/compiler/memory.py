"""Places regions in the chips' SDRAM: first fit, larger and longer-lived ones first."""

import numpy as np

from orchestrator.compiler.draft import Claim
from orchestrator.compiler.program import Region
from orchestrator.machine.geometry import Ints

SYSTEM = 1 << 16
"""Bytes at the heap's start that stay free for the tapes' directory and the mailboxes."""


def place(claims: list[Claim], n_phases: int, n_chips: int) -> tuple[Region, ...]:
    """Return regions with addresses: two that are in use in the same phase never overlap.

    Chips that have the same regions place them alike, each as large as the largest of its kind, so
    that programs of different chips differ in little.
    """
    first = np.array([claim.first for claim in claims])
    last = np.array([min(claim.last, n_phases - 1) for claim in claims])
    sizes = np.array([claim.bytes for claim in claims]).reshape(-1, n_chips)
    largest = sizes.max(axis=1)
    order = sorted(range(len(claims)), key=lambda i: (-(last[i] - first[i]), -largest[i], i))
    address = np.zeros((len(claims), n_chips), np.int64)
    kinds, kind = np.unique(sizes > 0, axis=1, return_inverse=True)
    for number in range(kinds.shape[1]):
        here = [i for i in order if kinds[i, number]]
        placed = _first_fit(first[here], last[here], largest[here])
        chips = np.flatnonzero(kind.ravel() == number)
        address[np.ix_(np.array(here, np.int64), chips)] = placed[:, None]
    return tuple(
        Region(
            name=claim.name,
            purpose=claim.purpose,
            address=address[i],
            bytes=claim.bytes,
            first_phase=int(first[i]),
            last_phase=int(last[i]),
        )
        for i, claim in enumerate(claims)
    )


def _first_fit(first: Ints, last: Ints, sizes: Ints) -> Ints:
    """Return addresses, each the lowest where a region meets none before it in time and place."""
    placed = np.zeros(len(sizes), np.int64)
    for i, size in enumerate(sizes.tolist()):
        alive = np.flatnonzero((first[:i] <= last[i]) & (last[:i] >= first[i]))
        starts = placed[alive]
        order = np.argsort(starts, kind="stable")
        ends = np.maximum.accumulate(np.append(SYSTEM, (starts + sizes[alive])[order]))
        gaps = np.append(starts[order], np.iinfo(np.int64).max) - ends
        placed[i] = ends[int(np.argmax(gaps >= size))]
    return placed
