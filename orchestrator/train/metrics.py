"""``metrics.jsonl``: one JSON record per step and per evaluation, in the order they happened.

Every record has ``kind`` (``step`` or ``evaluation``), ``step`` (updates done when it was made)
and ``epoch`` (from 0, the epoch the step belongs to). The other fields are those of
:class:`StepRecord` and :class:`EvaluationRecord`.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from orchestrator.errors import DataError
from orchestrator.train.disk import writing
from orchestrator.train.state import ResumePoint


@dataclass(frozen=True, kw_only=True, slots=True)
class StepRecord:
    """What one step did, over all ranks.

    Attributes
    ----------
    step : updates done, this one included.
    epoch : epoch of the step, from 0.
    epoch_step : updates done in the epoch, this one included.
    loss : mean over the samples of the global batch.
    accuracy : share of the samples whose largest logit was that of their class, 0 to 1.
    lr : learning rate of the update.
    samples : size of the global batch.
    images_per_s : samples over the seconds of the step; 0 for the recorder to fill in.
    seconds : duration of the step and of its phases (``forward``, ``exchange``, ``update``, ...);
        empty for the recorder to fill in.
    saturations : clamped values by kind (``y``, ``d``, ``a``, ``e``, ``g``, ``momentum``, ...).
    skipped : damaged images replaced in this step.
    """

    step: int
    epoch: int
    epoch_step: int
    loss: float
    accuracy: float
    lr: Fraction
    samples: int
    images_per_s: float = 0.0
    seconds: Mapping[str, float] = field(default_factory=dict)
    saturations: Mapping[str, int] = field(default_factory=dict)
    skipped: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationRecord:
    """One pass over the evaluation split, over all ranks.

    Attributes
    ----------
    step : updates done before it.
    epoch : epoch it follows (or interrupts), from 0.
    samples : evaluated samples.
    top1, top5 : samples counted as right, exact.
    loss : mean over the samples.
    seconds : how long it took.
    """

    step: int
    epoch: int
    samples: int
    top1: int
    top5: int
    loss: float
    seconds: float

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy, 0 to 1."""
        return self.top1 / self.samples

    @property
    def top5_accuracy(self) -> float:
        """Top-5 accuracy, 0 to 1."""
        return self.top5 / self.samples


class MetricsFile:
    """Appends records to ``metrics.jsonl``, each on the disk's way before the next step starts.

    Parameters
    ----------
    path : the file; created where absent.
    resume : where a resumed run goes on. What was recorded after that point, and a last line cut
        off by a crash, is removed: the resumed run makes it again. None starts the file anew.

    Raises
    ------
    RunError
        If the file cannot be written, also by the methods.
    DataError
        If the file to resume holds something else than records.
    """

    def __init__(self, path: Path, resume: ResumePoint | None = None) -> None:
        self.path = path
        if resume is None:
            with writing(path):
                path.unlink(missing_ok=True)
        elif path.exists():
            end = _end_before(path, resume)
            with writing(path), open(path, "r+b") as file:
                file.truncate(end)
        with writing(path):
            self._file = open(path, "a", buffering=1, encoding="utf-8")  # noqa: SIM115

    def step(self, record: StepRecord) -> None:
        """Append the record of a step."""
        self._append({"kind": "step", **asdict(record)})

    def evaluation(self, record: EvaluationRecord) -> None:
        """Append the record of an evaluation, with its accuracies worked out."""
        accuracy = {"accuracy": record.accuracy, "top5_accuracy": record.top5_accuracy}
        self._append({"kind": "evaluation", **asdict(record), **accuracy})

    def _append(self, record: Mapping[str, Any]) -> None:
        line = json.dumps({key: _plain(value) for key, value in record.items()}, allow_nan=False)
        with writing(self.path):
            self._file.write(line + "\n")

    def close(self) -> None:
        """Close the file; again does nothing."""
        with writing(self.path):
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the records of a metrics file; a last line cut off by a crash is left out.

    Raises
    ------
    DataError
        If the file cannot be read, or a line is not a record.
    """
    return [record for record, _ in _records(path)]


def _end_before(path: Path, resume: ResumePoint) -> int:
    """Return the size in bytes of the part of the file that a resumed run keeps."""
    end = 0
    for record, end_of_line in _records(path):
        last = resume.evaluated if record.get("kind") == "evaluation" else resume.step
        if record["step"] > last:
            break
        end = end_of_line
    return end


def _records(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield every complete record and the byte after it."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    end = 0
    for number, line in enumerate(lines, start=1):
        if not line.endswith(b"\n"):
            return
        try:
            record = json.loads(line)
            known = isinstance(record["step"], int)
        except (ValueError, TypeError, KeyError):
            known = False
        if not known:
            raise DataError(f"{path}, line {number}: not a record of a run: {line[:60]!r}")
        end += len(line)
        yield record, end


def _plain(value: Any) -> Any:
    """Return a value JSON can hold: fractions as the nearest float, infinities as null."""
    if isinstance(value, Fraction):
        return float(value)
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
