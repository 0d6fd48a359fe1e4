"""The whole self-test: missing parts, links, cores."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from orchestrator.boards.hardware.selftest.cases import every_case
from orchestrator.boards.hardware.selftest.cores import CoreTest
from orchestrator.boards.hardware.selftest.door import Door
from orchestrator.boards.hardware.selftest.links import try_links
from orchestrator.boards.hardware.selftest.recording import record
from orchestrator.boards.hardware.selftest.report import Fault, Finding, SelfTestReport
from orchestrator.boards.hardware.selftest.silence import Silence
from orchestrator.errors import ArgumentError
from orchestrator.machine.links import Link
from orchestrator.machine.machine import Chip

_KNOWN: Final = "what the machine says of itself"


def run_selftest(
    door: Door,
    symbols: Mapping[str, int],
    *,
    chips: Collection[Chip] | None = None,
    timeout: float = 600.0,
    note: Callable[[str], None] = lambda _: None,
) -> SelfTestReport:
    """Test cores and links of a machine whose application cores run the image.

    Parameters
    ----------
    door : to the machine.
    symbols : of the image (`Image.symbols`).
    chips : those to test, with all their cores and links; None: all.
    timeout : seconds that the kernels may take on all cores together.
    note : told what is being done, in a few words.

    Raises
    ------
    ArgumentError
        One of the chips does not exist or does not work, or no core is left to test.
    JobLost, ServerAway
        The boards are no longer ours.
    CoreFailed
        Another host has ended the program on all cores.
    """
    start = time.monotonic()
    chosen = _chosen(door, chips)
    cores = [core for core in door.cores if (core.x, core.y) in chosen]
    if not cores:
        raise ArgumentError("self-test: no application core runs on the chips that were named")
    silence = Silence(door.machine)
    missing = _missing(door, None if chips is None else chosen)
    links, broken = try_links(door, chosen, silence, note)
    recording = record(every_case(), symbols)
    sick = CoreTest(door, recording, silence, note).run(cores, timeout)
    return SelfTestReport(
        chips=len(chosen),
        cores=len(cores),
        links=links,
        cases=len(recording.cases),
        findings=(*missing, *silence.findings, *broken, *sick),
        seconds=time.monotonic() - start,
    )


def _chosen(door: Door, chips: Collection[Chip] | None) -> frozenset[Chip]:
    works = door.machine.cores
    width, height = works.shape
    there = frozenset((x, y) for x in range(width) for y in range(height) if works[x, y])
    for chip in chips or ():
        if chip not in there:
            raise ArgumentError(
                f"self-test: there is no working chip {chip} among {len(there)} in a box of "
                f"{width} x {height}"
            )
    return there if chips is None else frozenset(chips)


def _missing(door: Door, chips: frozenset[Chip] | None) -> Iterator[Finding]:
    """Yield the parts that the machine itself reports as dead, of some chips or of all."""
    dead, width, height = door.dead, door.machine.width, door.machine.height
    for x, y in sorted(dead.chips):
        if chips is None:
            yield _gone("the chip does not work", x=x, y=y)
    for x, y, core in sorted(dead.cores):
        if chips is None or (x, y) in chips:
            yield _gone("this core does not work (its physical number)", x=x, y=y, core=core)
    named: set[tuple[int, int, Link]] = set()
    for x, y, link in sorted(dead.links):
        other = ((x + link.step[0]) % width, (y + link.step[1]) % height, link.opposite)
        if other not in named and (chips is None or (x, y) in chips):
            named.add((x, y, link))  # once, though it is dead at both ends
            yield _gone("the link does not work", x=x, y=y, link=link)


def _gone(text: str, **part: Any) -> Finding:
    return Finding(fault=Fault.MISSING, test=_KNOWN, text=text, **part)
