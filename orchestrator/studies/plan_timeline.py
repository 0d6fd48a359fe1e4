"""The timeline of a predicted step, in the format of a measured run's ``timeline.json``."""

from orchestrator.compiler.phase_time import ExchangeTime, PhaseTime
from orchestrator.compiler.program import Phase
from orchestrator.perf.timing import Walk, bound_of
from orchestrator.train.timeline import Span, Timeline

PROCESS = "slice (predicted)"


def plan_timeline(walk: Walk) -> Timeline:
    """Return a row of phases and one for each resource, on its busiest core, chip or link.

    Exchanges before a phase's work come first; streamed ones and those that a phase only hides lie
    beside it.
    """
    timeline = Timeline()
    start = 0.0
    for phase, time in zip(walk.program.phases, walk.phases, strict=True):
        for span in _spans(phase, time, start):
            if span.duration_s > 0:
                timeline.add(span)
        start += time.total
    return timeline


def _spans(phase: Phase, time: PhaseTime, start: float) -> list[Span]:
    def span(thread: str, begin: float, seconds: float, name: str = phase.name) -> Span:
        return Span(
            name=name,
            start_s=begin,
            duration_s=seconds,
            process=PROCESS,
            thread=thread,
            category=str(phase.step_pass),
            details={"node": phase.node, "held by": str(bound_of(time))},
        )

    def exchange(moved: ExchangeTime, begin: float) -> list[Span]:
        return [
            span("packet cores", begin, moved.handling),
            span("injection", begin, moved.injection),
            span("links", begin, moved.links),
        ]

    work = start + time.before.total + time.first_piece
    return [
        span("phases", start, time.total),
        *exchange(time.before, start),
        *exchange(time.beside, start + time.before.total),
        span("compute", work, time.compute),
        span("SDRAM", work, time.sdram),
        span("barriers", start + time.total - time.barrier, time.barrier),
    ]
