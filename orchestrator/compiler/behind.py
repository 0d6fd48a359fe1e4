"""Chooses the phases behind whose work weights, gradients and the next images travel.

Each such exchange has a window of phases, and is cut into slices. Those with the shortest windows
choose first; each takes the phase that it makes least longer, among equals the one with most time
to spare. Then each chooses again, knowing all others.
"""

from dataclasses import dataclass, replace

import numpy as np

from orchestrator.compiler.draft import Draft, Job, present
from orchestrator.compiler.phase_time import (
    ExchangeLoad,
    PhaseLoad,
    Slice,
    exchange_load,
    exchange_time,
    phase_load,
    phase_time,
)
from orchestrator.compiler.program import Exchange, Floats, Gradient, Overlap, Pass
from orchestrator.compiler.transfers import sliced
from orchestrator.perf.rates import Rates, handling_seconds

SLICE = 4e-3
"""Seconds that a slice of an exchange is to take about: phases take a few to a hundred ms."""
MOST_SLICES = 16
SWEEPS = 5
"""How often all choose; the last ones change little."""


def assign(draft: Draft, n_chips: int, n_cores: int, slice_: Slice, rates: Rates) -> None:
    """Put every exchange of a draft into a phase, and set when its region is in use."""
    loads = [phase_load(stage.phase(), n_chips, n_cores) for stage in draft.stages]
    update = next(i for i, s in enumerate(draft.stages) if s.step_pass is Pass.UPDATE)
    spare = _Spare(loads, slice_, rates)
    moving: list[_Moving] = []
    for job in sorted(draft.jobs, key=lambda j: min(j.last, update - 1) - j.first):
        last = min(job.last, update - 1)
        if job.exchange is None:
            at = job.first if job.fills else min(job.first, update) - 1
            _settle(draft, job, at, at)
        elif job.first > last:
            at = min(job.first, update)
            _add(draft, job, replace(job.exchange, overlap=Overlap.BEFORE), at)
            _settle(draft, job, at, at)
        else:
            alone = spare.alone(exchange_load([job.exchange], n_chips))
            for part in _slices(job.exchange, alone):
                moving.append(_Moving(job, part, exchange_load([part], n_chips), job.first, last))
    for sweep in range(SWEEPS):
        for one in moving:
            if sweep:
                spare.add(one.at, one.load, -1)
            one.at = spare.best(one.load, one.first, one.last)
            spare.add(one.at, one.load, 1)
    for one in moving:
        _add(draft, one.job, one.exchange, one.at)
    for job in draft.jobs:
        phases = [one.at for one in moving if one.job is job]
        if phases:
            _settle(draft, job, min(phases), max(phases))
    draft.gradients.sort(key=lambda gradient: gradient.phase)


def _slices(exchange: Exchange, seconds: float) -> list[Exchange]:
    """Cut an exchange so that each slice fits the time that phases have to spare."""
    n = min(MOST_SLICES, max(1, round(seconds / SLICE)))
    if n == 1:
        return [exchange]
    return present(*(sliced(exchange, 1, i, n) for i in range(n)))


def _add(draft: Draft, job: Job, exchange: Exchange, at: int) -> None:
    stage = draft.stages[at]
    stage.exchanges.append(exchange)
    if job.work_of is not None:
        stage.work += job.work_of(exchange)


def _settle(draft: Draft, job: Job, first: int, last: int) -> None:
    """Set the region's life and the gradient's phase."""
    if job.claim is not None and job.fills:
        job.claim.first = first
    elif job.claim is not None:
        job.claim.last = max(last, job.claim.last)
    if job.gradient is not None:
        name, elements = job.gradient
        draft.gradients.append(Gradient(name=name, elements=elements, phase=last))


@dataclass
class _Moving:
    """A slice of a job's exchange, and the phase it is behind."""

    job: Job
    exchange: Exchange
    load: ExchangeLoad
    first: int
    last: int
    at: int = -1


class _Spare:
    """How long phases take, and how long what is sent in them."""

    def __init__(self, loads: list[PhaseLoad], slice_: Slice, rates: Rates) -> None:
        self._slice, self._rates = slice_, rates
        times = [phase_time(load, slice_, rates) for load in loads]
        self._covered = np.array([max(time.compute, time.sdram) for time in times])
        beside = [self._seconds(load.beside) for load in loads]
        self._seconds_by = [np.array(each) for each in zip(*beside, strict=True)]

    def alone(self, load: ExchangeLoad) -> float:
        """Return the seconds that a load takes where nothing else is sent."""
        return exchange_time(load, self._slice, self._rates).total

    def best(self, load: ExchangeLoad, first: int, last: int) -> int:
        """Return the phase from first to last that a load lengthens least."""
        window = slice(first, last + 1)
        before, after = np.zeros((2, last + 1 - first))
        for held, more in zip(self._seconds_by, self._seconds(load), strict=True):
            np.maximum(before, held[window].max(axis=1), out=before)
            np.maximum(after, (held[window] + more).max(axis=1), out=after)
        covered = self._covered[window]
        longer = np.maximum(after - covered, 0) - np.maximum(before - covered, 0)
        return first + int(np.lexsort((after - covered, np.round(longer, 6)))[0])

    def add(self, at: int, load: ExchangeLoad, sign: int) -> None:
        """Add a load to a phase, or take it away."""
        for held, more in zip(self._seconds_by, self._seconds(load), strict=True):
            held[at] += sign * more

    def _seconds(self, load: ExchangeLoad) -> tuple[Floats, Floats]:
        """Return the seconds that packet-handling cores and links are busy with a load."""
        rate = np.where(self._slice.between_boards, self._rates.cable_link, self._rates.link)
        cores = self._slice.packet_cores
        return handling_seconds(load.sent, load.received, cores, self._rates), load.links / rate
