"""Who writes down what happens in a training: one recorder on rank 0, a silent one elsewhere."""

import contextlib
import dataclasses
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Protocol

from rich.console import Console

from orchestrator.config import RunConfig
from orchestrator.errors import RegattaError
from orchestrator.train.info import INTERRUPTED, RunInfo, RunSummary
from orchestrator.train.metrics import EvaluationRecord, MetricsFile, StepRecord
from orchestrator.train.mlperf import MlperfLog
from orchestrator.train.progress import ConsoleProgress
from orchestrator.train.rundir import RunFolder
from orchestrator.train.state import ResumePoint
from orchestrator.train.tensorboard import TensorBoardFile
from orchestrator.train.timeline import Span, Timeline

_TIMELINE_EVERY_S = 30.0


class RunRecorder(Protocol):
    """What the trainer tells about a run, in the order of the methods.

    ``run_start``, then for every epoch ``epoch_start``, the steps, ``epoch_stop`` and, where one
    is due, ``evaluation_start`` and ``evaluation``; ``checkpoint`` after one was written; last
    ``finish`` or ``fail``. All epochs count from 0, steps are updates done so far.
    """

    def run_start(self, info: RunInfo) -> None:
        """Tell what runs, before any data is touched."""

    def epoch_start(self, epoch: int, step: int) -> None:
        """Tell that an epoch begins, or goes on after a resume."""

    def phase(self, name: str, **details: int | float | str) -> AbstractContextManager[None]:
        """Time the block as a phase of the step (or evaluation) under way."""

    def step(self, record: StepRecord) -> None:
        """Tell what a step did; times left out of the record are filled in."""

    def epoch_stop(self, epoch: int, step: int) -> None:
        """Tell that an epoch is complete."""

    def evaluation_start(self, epoch: int, step: int) -> None:
        """Tell that an evaluation begins."""

    def evaluation(self, record: EvaluationRecord) -> None:
        """Tell the result of an evaluation."""

    def checkpoint(self, path: Path, step: int) -> None:
        """Tell that a checkpoint was written since the last event."""

    def note(self, message: str) -> None:
        """Tell the user something worth reading."""

    def finish(self, summary: RunSummary) -> None:
        """Tell that the run has ended as it should, or was interrupted with a checkpoint."""

    def fail(self, step: int) -> None:
        """Tell that the run ends with an error, which the caller reports; raises nothing."""


class NullRecorder:
    """Records nothing: for every rank but 0."""

    def run_start(self, info: RunInfo) -> None:
        """Do nothing."""

    def epoch_start(self, epoch: int, step: int) -> None:
        """Do nothing."""

    def phase(self, name: str, **details: int | float | str) -> AbstractContextManager[None]:
        """Return a block that is not timed."""
        return nullcontext()

    def step(self, record: StepRecord) -> None:
        """Do nothing."""

    def epoch_stop(self, epoch: int, step: int) -> None:
        """Do nothing."""

    def evaluation_start(self, epoch: int, step: int) -> None:
        """Do nothing."""

    def evaluation(self, record: EvaluationRecord) -> None:
        """Do nothing."""

    def checkpoint(self, path: Path, step: int) -> None:
        """Do nothing."""

    def note(self, message: str) -> None:
        """Do nothing."""

    def finish(self, summary: RunSummary) -> None:
        """Do nothing."""

    def fail(self, step: int) -> None:
        """Do nothing."""


class FileRecorder:
    """Writes the files of a run folder and shows the progress on a console.

    Parameters
    ----------
    folder : the prepared run folder.
    config : the run's configuration.
    console : where the progress goes.
    resume : where a resumed run goes on; what the files hold of later steps is removed.
    clock : monotonic time in seconds.
    brief : show only how far the run is, as of one run of many.

    Raises
    ------
    RunError
        If a file cannot be written, also by the methods.
    """

    def __init__(
        self,
        folder: RunFolder,
        config: RunConfig,
        console: Console,
        resume: ResumePoint | None = None,
        clock: Callable[[], float] = time.monotonic,
        brief: bool = False,
    ) -> None:
        self._folder = folder
        self._config = config
        self._clock = clock
        self._start_s = self._mark_s = self._written_s = clock()
        self._phases: defaultdict[str, float] = defaultdict(float)
        self._mlperf = MlperfLog(folder.mlperf, config, resume)
        self._metrics = MetricsFile(folder.metrics, resume)
        self._tensorboard = TensorBoardFile(folder.tensorboard, resume)
        self._timeline = Timeline()
        self._saved: Path | None = None
        self._brief = brief
        self._progress = ConsoleProgress(console, clock, brief=brief)

    def run_start(self, info: RunInfo) -> None:
        """Begin all files."""
        self._mlperf.start(info)
        self._progress.start(info, self._config.model.name)
        self._mark()

    def epoch_start(self, epoch: int, step: int) -> None:
        """Log the start of an epoch."""
        self._mlperf.epoch_start(epoch, step)
        self._mark()

    @contextmanager
    def phase(self, name: str, **details: int | float | str) -> Iterator[None]:
        """Time the block: a span of the timeline, and seconds of the step's record."""
        begin = self._clock()
        yield
        seconds = self._clock() - begin
        self._phases[name] += seconds
        self._span(name, begin, seconds, details)

    def step(self, record: StepRecord) -> None:
        """Write a step, with the seconds since the last one where the record has none."""
        begin, seconds = self._mark_s, self._clock() - self._mark_s
        if not record.seconds:
            timed = {"step": seconds, **self._phases}
            record = dataclasses.replace(record, seconds=timed)
        if record.images_per_s == 0.0 and seconds > 0:
            record = dataclasses.replace(record, images_per_s=record.samples / seconds)
        self._span("step", begin, seconds, {"step": record.step}, thread="steps")
        self._metrics.step(record)
        self._tensorboard.step(record)
        self._progress.step(record)
        self._mark()

    def epoch_stop(self, epoch: int, step: int) -> None:
        """Log the end of an epoch; bring the timeline up to date now and then."""
        self._mlperf.epoch_stop(epoch, step)
        if self._clock() - self._written_s >= _TIMELINE_EVERY_S:
            self._timeline.write(self._folder.timeline)
            self._written_s = self._clock()
        self._mark()

    def evaluation_start(self, epoch: int, step: int) -> None:
        """Log the start of an evaluation."""
        self._mlperf.evaluation_start(epoch, step)
        self._mark()

    def evaluation(self, record: EvaluationRecord) -> None:
        """Write an evaluation."""
        begin = self._mark_s
        self._span("evaluation", begin, self._clock() - begin, {"step": record.step}, "steps")
        self._mlperf.evaluation(record)
        self._metrics.evaluation(record)
        self._tensorboard.evaluation(record)
        self._progress.evaluation(record)
        self._mark()

    def checkpoint(self, path: Path, step: int) -> None:
        """Take the time since the last event as that of the checkpoint, not of the next step."""
        begin = self._mark_s
        details: dict[str, int | float | str] = {"step": step, "file": path.name}
        self._saved = path
        self._span("checkpoint", begin, self._clock() - begin, details, "steps")
        self._mark()

    def note(self, message: str) -> None:
        """Show a message."""
        self._progress.note(message)

    def finish(self, summary: RunSummary) -> None:
        """Complete all files and show the summary."""
        completed = summary.reason != INTERRUPTED
        self._mlperf.stop(completed, summary.steps)
        self._timeline.write(self._folder.timeline)
        self._close()
        self._progress.finish(summary, self._folder.path)

    def fail(self, step: int) -> None:
        """Complete what can be completed; an error here must not hide the one that ends the run."""
        self._progress.stop()
        if self._saved is not None and not self._brief:
            self._progress.note(f"saved: {self._saved}; the same command with --resume continues")
        with contextlib.suppress(RegattaError):
            self._mlperf.stop(False, step)
        with contextlib.suppress(RegattaError):
            self._timeline.write(self._folder.timeline)
        with contextlib.suppress(RegattaError):
            self._close()

    def _close(self) -> None:
        with contextlib.ExitStack() as files:
            for file in (self._metrics, self._tensorboard, self._mlperf):
                files.callback(file.close)

    def _mark(self) -> None:
        """Start the next stretch of time."""
        self._mark_s = self._clock()
        self._phases.clear()

    def _span(
        self,
        name: str,
        begin: float,
        seconds: float,
        details: dict[str, int | float | str],
        thread: str = "phases",
    ) -> None:
        self._timeline.add(
            Span(
                name=name,
                start_s=begin - self._start_s,
                duration_s=seconds,
                thread=thread,
                details=details,
            )
        )
