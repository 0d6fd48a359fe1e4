"""``timeline.json``: what every part of a run, or of a prediction, did when.

The file is a Chrome trace (the JSON object format of the Trace Event specification), which
Perfetto (ui.perfetto.dev) and chrome://tracing open. A measured run and a predicted one write the
same format, so that the two can be laid side by side.
"""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from orchestrator.train.disk import replace_text

KEPT_SPANS = 50_000
"""Spans kept: the first half of them from the start of the run, the rest its latest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """One stretch of time in which one part was busy with one thing.

    Attributes
    ----------
    name : what was done: a phase (``forward``), a layer, a transfer.
    start_s : seconds since the start of the timeline.
    duration_s : seconds.
    process : the row group: ``rank 0``, ``chip (1, 2)``.
    thread : the row inside the group: ``step``, ``core 5``, ``link 2``.
    category : what Perfetto can filter by.
    details : numbers and texts shown when the span is chosen (step, bytes, ...).
    """

    name: str
    start_s: float
    duration_s: float
    process: str = "rank 0"
    thread: str = "step"
    category: str = "train"
    details: Mapping[str, int | float | str] = field(default_factory=dict)


class Timeline:
    """Collects spans; a long run keeps its start and its latest part.

    Parameters
    ----------
    kept : number of spans kept.

    Attributes
    ----------
    dropped : spans of the middle of the run that were let go.
    """

    def __init__(self, kept: int = KEPT_SPANS) -> None:
        self._first: list[Span] = []
        self._n_first = kept // 2
        self._latest: deque[Span] = deque(maxlen=kept - self._n_first)
        self.dropped = 0

    def add(self, span: Span) -> None:
        """Add a span; the order does not matter."""
        if len(self._first) < self._n_first:
            self._first.append(span)
            return
        if len(self._latest) == self._latest.maxlen:
            self.dropped += 1
        self._latest.append(span)

    def spans(self) -> list[Span]:
        """Return the kept spans in the order they were added."""
        return [*self._first, *self._latest]

    def trace(self) -> dict[str, Any]:
        """Return the trace as the JSON object that Perfetto reads, times in microseconds."""
        rows = _Rows()
        complete = [
            {
                "name": span.name,
                "cat": span.category,
                "ph": "X",
                "ts": round(span.start_s * 1e6, 3),
                "dur": round(span.duration_s * 1e6, 3),
                **rows.place(span.process, span.thread),
                "args": dict(span.details),
            }
            for span in chain(self._first, self._latest)
        ]
        return {
            "traceEvents": rows.names() + complete,
            "displayTimeUnit": "ms",
            "otherData": {"dropped_spans": self.dropped},
        }

    def write(self, path: Path) -> None:
        """Write the trace as a whole.

        Raises
        ------
        RunError
            If the disk is full or the file cannot be written; an older one stays.
        """
        replace_text(path, json.dumps(self.trace(), separators=(",", ":")))


class _Rows:
    """Numbers processes and threads in the order they appear."""

    def __init__(self) -> None:
        self._processes: dict[str, int] = {}
        self._threads: dict[tuple[str, str], int] = {}

    def place(self, process: str, thread: str) -> dict[str, int]:
        """Return the numbers of a row."""
        pid = self._processes.setdefault(process, len(self._processes) + 1)
        tid = self._threads.setdefault((process, thread), len(self._threads) + 1)
        return {"pid": pid, "tid": tid}

    def names(self) -> list[dict[str, Any]]:
        """Return the metadata events that give the rows their names."""
        named: list[dict[str, Any]] = [
            {"name": "process_name", "ph": "M", "pid": pid, "tid": 0, "args": {"name": process}}
            for process, pid in self._processes.items()
        ]
        for (process, thread), tid in self._threads.items():
            pid = self._processes[process]
            named.append(
                {"name": "thread_name", "ph": "M", "pid": pid, "tid": tid, "args": {"name": thread}}
            )
        return named
