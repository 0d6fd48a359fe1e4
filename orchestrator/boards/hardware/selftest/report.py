"""What a self-test found."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from orchestrator.machine import Link


class Fault(StrEnum):
    """What is wrong with a part."""

    WRONG = "wrong result"
    STOPPED = "stopped"
    LATE = "not finished"
    SILENT = "no answer"
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A sick part of a machine.

    Attributes
    ----------
    x, y : of its chip.
    core : virtual number of the core; None where the whole chip or a link is sick.
    link : of the chip, outward; None where it is not a link.
    fault : what is wrong.
    test : the kernel and its data, or what else was tried.
    text : first wrong element, cause of a stop.
    detail : registers and IOBUF of a core that stopped; empty otherwise.
    """

    x: int
    y: int
    core: int | None = None
    link: Link | None = None
    fault: Fault
    test: str
    text: str
    detail: str = ""

    @property
    def part(self) -> str:
        """The part's name, as ``core 3 of chip (1, 0)``."""
        chip = f"chip ({self.x}, {self.y})"
        if self.core is not None:
            return f"core {self.core} of {chip}"
        if self.link is not None:
            return f"link {self.link.value} ({words(self.link)}) of {chip}"
        return chip

    def as_json(self) -> dict[str, Any]:
        """Return the finding as JSON values."""
        return {
            "part": self.part,
            "x": self.x,
            "y": self.y,
            "core": self.core,
            "link": None if self.link is None else int(self.link),
            "fault": self.fault.value,
            "test": self.test,
            "text": self.text,
            "detail": self.detail,
        }


def words(link: Link) -> str:
    """Return a direction in words.

    Examples
    --------
    >>> words(Link.NORTH_EAST)
    'north-east'
    """
    return link.name.lower().replace("_", "-")


def count(n: int, thing: str) -> str:
    """Return a number of things in words.

    Examples
    --------
    >>> count(1, "core"), count(2400, "core")
    ('1 core', '2,400 cores')
    """
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


@dataclass(frozen=True, kw_only=True)
class SelfTestReport:
    """What was tried and what is sick.

    Attributes
    ----------
    chips, cores, links : that were tried; a link counts at each of its ends.
    cases : calls of kernels on each core.
    findings : sick parts, in the order of chips.
    seconds : it took.
    """

    chips: int
    cores: int
    links: int
    cases: int
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def well(self) -> bool:
        """Whether nothing is sick."""
        return not self.findings

    def counts(self) -> Iterator[tuple[str, int]]:
        """Yield the kinds of parts, and how many of each are sick."""
        parts = {(f.x, f.y, f.core, f.link) for f in self.findings}
        yield "core", sum(core is not None for _, _, core, _ in parts)
        yield "chip", sum(core is None and link is None for _, _, core, link in parts)
        yield "link", sum(link is not None for _, _, _, link in parts)

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "chips": self.chips,
            "cores": self.cores,
            "links": self.links,
            "cases": self.cases,
            "seconds": round(self.seconds, 3),
            "sick": {f"{part}s": n for part, n in self.counts()},
            "findings": [finding.as_json() for finding in self.findings],
        }
