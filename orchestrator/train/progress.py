"""What a person sees of a run: a live line in a terminal, plain lines elsewhere, a last table."""

import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from orchestrator.train.info import INTERRUPTED, RunInfo, RunSummary
from orchestrator.train.metrics import EvaluationRecord, StepRecord

_PLAIN_EVERY_S = 10.0
_SMOOTHING = 0.1


class ConsoleProgress:
    """Shows the progress of a run on a console.

    Parameters
    ----------
    console : where to write; a live line where it is a terminal, else one line every
        `plain_every_s` seconds and one for every evaluation.
    clock : monotonic time in seconds.
    plain_every_s : seconds between plain lines.
    brief : show no more than the live or plain lines and notes, as of one run of many.
    """

    def __init__(
        self,
        console: Console,
        clock: Callable[[], float] = time.monotonic,
        plain_every_s: float = _PLAIN_EVERY_S,
        brief: bool = False,
    ) -> None:
        self._console = console
        self._clock = clock
        self._plain_every_s = plain_every_s
        self._brief = brief
        self._last_line = clock()
        self._info: RunInfo | None = None
        self._live: Progress | None = None
        self._task: TaskID | None = None
        self._step_s: float | None = None

    def start(self, info: RunInfo, network: str) -> None:
        """Say what runs, and begin the live line."""
        self._info = info
        if not self._brief:
            self._print_info(info, network)
        if self._console.is_terminal:
            self._live = Progress(
                BarColumn(bar_width=20),
                TextColumn("{task.description}"),
                console=self._console,
                transient=True,
            )
            self._task = self._live.add_task(
                "first step", total=info.total_steps, completed=info.resume_step or 0
            )
            self._live.start()

    def _print_info(self, info: RunInfo, network: str) -> None:
        ranks = "1 rank" if info.ranks == 1 else f"{info.ranks} ranks"
        resumed = "" if info.resume_step is None else f", resumed after step {info.resume_step}"
        self._console.print(
            f"{network}: {info.parameters:,} parameters, {ranks}, {info.train_samples:,} training "
            f"and {info.eval_samples:,} evaluation images, {info.total_steps:,} steps{resumed}",
            highlight=False,
            soft_wrap=True,
        )

    def step(self, record: StepRecord) -> None:
        """Show a step."""
        step_s = record.samples / record.images_per_s if record.images_per_s > 0 else 0.0
        if self._step_s is None:
            self._step_s = step_s
        self._step_s += _SMOOTHING * (step_s - self._step_s)
        if self._live is not None and self._task is not None:
            self._live.update(self._task, completed=record.step, description=self._line(record))
            return
        now = self._clock()
        if now - self._last_line >= self._plain_every_s:
            self._last_line = now
            self._print(self._line(record))

    def evaluation(self, record: EvaluationRecord) -> None:
        """Show an evaluation; it stays on the screen."""
        if self._brief:
            return
        self._print(
            f"epoch {record.epoch + 1}: evaluated {record.samples:,} images: "
            f"top-1 {record.accuracy:.2%}, top-5 {record.top5_accuracy:.2%}, "
            f"loss {record.loss:.4f}"
        )

    def note(self, message: str) -> None:
        """Show a message that stays on the screen."""
        self._print(message)

    def stop(self) -> None:
        """End the live line; again does nothing."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def finish(self, summary: RunSummary, folder: Path) -> None:
        """End the live line and print the summary."""
        self.stop()
        if self._brief:
            return
        self._console.print(summary_table(summary))
        # Outside the table, which would cut what people copy to the width of the screen.
        self._print(f"fingerprint: {summary.fingerprint}")
        self._print(f"run directory: {folder}")

    def _line(self, record: StepRecord) -> str:
        epochs = self._info.total_epochs if self._info else 0
        steps = self._info.total_steps if self._info else 0
        left_s = (steps - record.step) * (self._step_s or 0.0)
        return (
            f"epoch {record.epoch + 1}/{epochs}  step {record.step}/{steps}  "
            f"loss {record.loss:.4f}  accuracy {record.accuracy:.1%}  "
            f"{record.images_per_s:,.1f} images/s  {duration(left_s)} left"
        )

    def _print(self, message: str) -> None:
        self._console.print(message, highlight=False, markup=False, soft_wrap=True)


def summary_table(summary: RunSummary) -> Table:
    """Return the table a run ends with."""
    end = "interrupted" if summary.reason == INTERRUPTED else "finished"
    table = Table(title=f"Training {end}", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column()
    table.add_row("ended", summary.reason)
    table.add_row("epochs, steps", f"{summary.epochs:,}, {summary.steps:,}")
    table.add_row("time", duration(summary.seconds))
    if summary.seconds > 0:
        table.add_row("training speed", f"{summary.images / summary.seconds:,.1f} images/s overall")
    for name, evaluation in (("last", summary.last), ("best", summary.best)):
        if evaluation is not None:
            table.add_row(
                f"{name} evaluation",
                f"top-1 {evaluation.accuracy:.2%}, top-5 {evaluation.top5_accuracy:.2%}, "
                f"loss {evaluation.loss:.4f} (step {evaluation.step:,})",
            )
    return table


def duration(seconds: float) -> str:
    """Return a duration as people write it.

    Examples
    --------
    >>> duration(42.4), duration(125), duration(7384)
    ('42 s', '2 min 05 s', '2 h 03 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"
