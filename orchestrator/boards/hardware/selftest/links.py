"""Tries every link: who is at its other end, and whether patterns come back as they were sent."""

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from orchestrator.boards.hardware.failures import BoardDead, JobLost, Refused, ServerAway
from orchestrator.boards.hardware.selftest.cases import SEED
from orchestrator.boards.hardware.selftest.door import Door
from orchestrator.boards.hardware.selftest.report import Fault, Finding, count
from orchestrator.boards.hardware.selftest.silence import Silence
from orchestrator.machine.links import Link
from orchestrator.machine.machine import Chip
from orchestrator.wire.layout import SYSTEM_VARIABLES

_PATTERN_BYTES: Final = 256
"""What one command carries over a link."""


def try_links(
    door: Door, chips: frozenset[Chip], silence: Silence, note: Callable[[str], None]
) -> tuple[int, list[Finding]]:
    """Return how many links were tried, each from both ends, and what is wrong with them.

    A link is tried with commands that a monitor hands to its neighbour over that link alone: the
    neighbour's coordinates are read, then words that alternate, their complement and random ones
    are written to its memory and read back.

    Parameters
    ----------
    door : to the machine.
    chips : whose links are tried, where the machine says that they work.
    silence : what is known not to answer; more is added.
    note : told what is being done.
    """
    places: dict[Chip, int] = {}
    tried, findings = 0, []
    note(f"trying the links of {count(len(chips), 'chip')}")
    for x, y in sorted(chips):
        for link in Link:
            neighbour = door.machine.neighbour(x, y, link)
            if neighbour is None or silence.covers((x, y)):
                continue
            tried += 1
            try:
                found = _first_fault(door, (x, y), link, neighbour, places)
            except (BoardDead, JobLost, ServerAway) as error:
                silence.note((x, y), "trying its links", error)
                continue
            if found is not None:
                fault, test, text = found
                findings.append(Finding(x=x, y=y, link=link, fault=fault, test=test, text=text))
    return tried, findings


def _first_fault(
    door: Door, chip: Chip, link: Link, neighbour: Chip, places: dict[Chip, int]
) -> tuple[Fault, str, str] | None:
    """Return what is wrong, what was tried and what was found; None if nothing is wrong."""
    doing = "reading the neighbour's coordinates"
    try:
        y, x = door.link_read(*chip, link, SYSTEM_VARIABLES, 4)[:2]
        if (x, y) != neighbour:
            return Fault.WRONG, doing, f"it leads to chip ({x}, {y}), should lead to {neighbour}"
        doing = "patterns to the neighbour's memory"
        if neighbour not in places:
            places[neighbour] = door.take(*neighbour, _PATTERN_BYTES)
        for pattern in _patterns():
            door.link_write(*chip, link, places[neighbour], pattern)
            back = bytes(door.link_read(*chip, link, places[neighbour], _PATTERN_BYTES))
            if back != pattern:
                return Fault.WRONG, doing, _difference(back, pattern)
    except Refused as error:
        return Fault.SILENT, doing, str(error)
    return None


def _patterns() -> Iterator[bytes]:
    alternating = bytes([0x55, 0xAA] * (_PATTERN_BYTES // 2))
    yield alternating
    yield bytes(byte ^ 0xFF for byte in alternating)
    yield np.random.default_rng(SEED).bytes(_PATTERN_BYTES)


def _difference(back: bytes, sent: bytes) -> str:
    at = next(i for i, (a, b) in enumerate(zip(back, sent, strict=True)) if a != b)
    return f"byte {at} of {len(sent)} came back as 0x{back[at]:02x}, was sent as 0x{sent[at]:02x}"
