"""What a fit did, epoch by epoch."""

from dataclasses import dataclass, field

from orchestrator.train.info import RunInfo, RunSummary
from orchestrator.train.metrics import EvaluationRecord, StepRecord
from orchestrator.train.progress import ConsoleProgress
from orchestrator.train.recorder import NullRecorder


@dataclass
class History:
    """Results of one `fit`, the same on every rank.

    Attributes
    ----------
    epoch : numbers of the epochs trained, from 0 over the whole training.
    history : by name one value an epoch: ``loss`` and ``accuracy`` (means over the epoch's training
        images while it ran), and ``val_loss`` and ``val_accuracy`` where there is validation data.
    steps : updates done in the whole training.
    fingerprint : hash of the parameters at the end.
    """

    epoch: list[int] = field(default_factory=list)
    history: dict[str, list[float]] = field(default_factory=dict)
    steps: int = 0
    fingerprint: str = ""

    def add(self, **values: float) -> None:
        """Append one value to each of these names."""
        for name, value in values.items():
            self.history.setdefault(name, []).append(value)


class HistoryRecorder(NullRecorder):
    """Collects a history, and shows the progress where it is given a console's.

    Parameters
    ----------
    name : of the model.
    progress : shows it; None to be silent.
    """

    def __init__(self, name: str, progress: ConsoleProgress | None) -> None:
        self.history = History()
        self._name = name
        self._progress = progress
        self._loss = self._correct = 0.0
        self._samples = 0

    def run_start(self, info: RunInfo) -> None:
        """Begin the progress."""
        if self._progress is not None:
            self._progress.start(info, self._name)

    def epoch_start(self, epoch: int, step: int) -> None:
        """Begin an epoch's means."""
        self._loss = self._correct = 0.0
        self._samples = 0

    def step(self, record: StepRecord) -> None:
        """Add a step to the epoch's means."""
        self._loss += record.loss * record.samples
        self._correct += record.accuracy * record.samples
        self._samples += record.samples
        if self._progress is not None:
            self._progress.step(record)

    def epoch_stop(self, epoch: int, step: int) -> None:
        """Add an epoch to the history."""
        loss, accuracy = self._loss / self._samples, self._correct / self._samples
        self.history.epoch.append(epoch)
        self.history.add(loss=loss, accuracy=accuracy)
        if self._progress is not None:
            self._progress.note(f"epoch {epoch + 1}: loss {loss:.4f}, accuracy {accuracy:.2%}")

    def evaluation(self, record: EvaluationRecord) -> None:
        """Add a validation to the history."""
        self.history.add(val_loss=record.loss, val_accuracy=record.accuracy)
        if self._progress is not None:
            self._progress.evaluation(record)

    def finish(self, summary: RunSummary) -> None:
        """Complete the history."""
        self.history.steps = summary.steps
        self.history.fingerprint = summary.fingerprint
        self.fail(summary.steps)

    def fail(self, step: int) -> None:
        """End the progress."""
        if self._progress is not None:
            self._progress.stop()
