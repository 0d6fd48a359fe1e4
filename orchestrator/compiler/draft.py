"""A program in the making: phases in order, exchanges that may move between phases, regions."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from orchestrator.compiler.program import Exchange, Gradient, Pass, Phase, Work
from orchestrator.machine.geometry import Ints

WHOLE_STEP = 1 << 30
"""As the last phase of a window or a region: the step's last."""


@dataclass
class Stage:
    """A phase to which exchanges and work can still be added."""

    name: str
    node: str
    step_pass: Pass
    work: list[Work] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)

    def phase(self) -> Phase:
        """Return it as it is now."""
        return Phase(
            name=self.name,
            node=self.node,
            step_pass=self.step_pass,
            work=tuple(self.work),
            exchanges=tuple(self.exchanges),
        )


@dataclass
class Claim:
    """A region that has no address yet."""

    name: str
    purpose: str
    bytes: Ints
    first: int
    last: int


@dataclass
class Job:
    """An exchange that may take place behind the work of any phase of a window.

    Attributes
    ----------
    first, last : phases of the window; last < first where it is empty: then it goes before the work
        of phase `first`.
    work_of : makes the work that goes with it: sums that are added.
    claim : the region that it fills or empties; `fills` says which.
    gradient : the parameter whose gradient it completes, and its elements.
    """

    exchange: Exchange | None
    first: int
    last: int
    claim: Claim | None = None
    fills: bool = True
    work_of: Callable[[Exchange], list[Work]] | None = None
    gradient: tuple[str, int] | None = None


@dataclass
class Draft:
    """All of a step, before exchanges are assigned to phases and regions placed."""

    stages: list[Stage] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    gradients: list[Gradient] = field(default_factory=list)

    def stage(self, name: str, node: str, step_pass: Pass) -> Stage:
        """Add a phase behind the last one and return it."""
        self.stages.append(Stage(name, node, step_pass))
        return self.stages[-1]

    @property
    def now(self) -> int:
        """Return the index of the last phase."""
        return len(self.stages) - 1

    def claim(self, name: str, purpose: str, size: Ints, first: int, last: int) -> Claim:
        """Add a region in use from a phase to another; its size is rounded up to words of 8."""
        self.claims.append(Claim(name, purpose, -(-size // 8) * 8, first, last))
        return self.claims[-1]


def present(*exchanges: Exchange | None) -> list[Exchange]:
    """Return the exchanges that there are."""
    return [each for each in exchanges if each is not None]


def overlap_size(one_rows: Ints, one_channels: Ints, rows: Ints, channels: Ints) -> Ints:
    """Return the elements that two rectangles of each chip share, int64 [n_chips]."""
    sides = [
        np.minimum(a[:, 1], b[:, 1]) - np.maximum(a[:, 0], b[:, 0])
        for a, b in ((one_rows, rows), (one_channels, channels))
    ]
    shared: Ints = np.maximum(sides[0], 0) * np.maximum(sides[1], 0)
    return shared
