"""Chooses the phases behind whose work weights, gradients and the next images travel.

Each such exchange has a window of phases. The one whose window is shortest chooses first, and takes
the phase that it makes least longer; among equals the one with most time to spare.
"""

from dataclasses import replace

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
from orchestrator.compiler.program import Exchange, Gradient, Overlap, Pass
from orchestrator.compiler.transfers import sliced
from orchestrator.perf.rates import Rates

SLICE = 10e-3
"""Seconds that a slice of an exchange is to take about: phases take a few to a hundred ms."""
MOST_SLICES = 8


def assign(draft: Draft, n_chips: int, n_cores: int, slice_: Slice, rates: Rates) -> None:
    """Put every exchange of a draft into a phase, and set when its region is in use."""
    loads = [phase_load(stage.phase(), n_chips, n_cores) for stage in draft.stages]
    update = next(i for i, s in enumerate(draft.stages) if s.step_pass is Pass.UPDATE)
    spare = _Spare(loads, slice_, rates)
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
            slices = _slices(job.exchange, spare.alone(exchange_load([job.exchange], n_chips)))
            chosen = [
                spare.take(exchange_load([each], n_chips), job.first, last) for each in slices
            ]
            for at, each in zip(chosen, slices, strict=True):
                _add(draft, job, each, at)
            _settle(draft, job, min(chosen), max(chosen))
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
        stage.work.append(job.work_of(exchange))


def _settle(draft: Draft, job: Job, first: int, last: int) -> None:
    """Set the region's life and the gradient's phase."""
    if job.claim is not None and job.fills:
        job.claim.first = first
    elif job.claim is not None:
        job.claim.last = max(last, job.claim.last)
    if job.gradient is not None:
        name, elements = job.gradient
        draft.gradients.append(Gradient(name=name, elements=elements, phase=last))


class _Spare:
    """How long phases take, and how long their exchanges."""

    def __init__(self, loads: list[PhaseLoad], slice_: Slice, rates: Rates) -> None:
        self._slice, self._rates = slice_, rates
        self._beside = [load.beside for load in loads]
        times = [phase_time(load, slice_, rates) for load in loads]
        self._covered = np.array([max(time.compute, time.sdram) for time in times])
        self._busy = np.array([time.beside.total for time in times])

    def alone(self, load: ExchangeLoad) -> float:
        """Return the seconds that a load takes where nothing else is sent."""
        return exchange_time(load, self._slice, self._rates).total

    def take(self, load: ExchangeLoad, first: int, last: int) -> int:
        """Return the phase from first to last that a load lengthens least, and add it there."""
        alone = self.alone(load)
        window = slice(first, last + 1)
        # An upper bound, exact where the same chip or link is the slowest in both.
        excess = np.maximum(self._busy[window] + alone - self._covered[window], 0)
        excess -= np.maximum(self._busy[window] - self._covered[window], 0)
        slack = self._covered[window] - self._busy[window]
        at = first + int(np.lexsort((-slack, np.round(excess, 6)))[0])
        self._beside[at] = self._beside[at] + load
        self._busy[at] = exchange_time(self._beside[at], self._slice, self._rates).total
        return at
