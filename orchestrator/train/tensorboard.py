"""TensorBoard events of a run: the curves of ``metrics.jsonl`` as TensorBoard shows them."""

import time
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

from orchestrator.train.disk import writing
from orchestrator.train.metrics import EvaluationRecord, StepRecord
from orchestrator.train.state import ResumePoint


class TensorBoardFile:
    """Writes event files into a folder, in the caller's thread.

    The package's own summary writer hands events to a thread through a bounded queue; when the
    disk fills up that thread dies and the next steps wait for ever. Writing them here costs
    microseconds and lets the error surface.

    Parameters
    ----------
    folder : where the event files go; made where absent.
    resume : where a resumed run goes on; TensorBoard then hides what older event files hold of
        later steps.

    Raises
    ------
    RunError
        If a file cannot be written, also by the methods.
    """

    def __init__(self, folder: Path, resume: ResumePoint | None = None) -> None:
        self.folder = folder
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            # Files are named by the second: the suffix keeps a quick resume from overwriting one.
            n_files = len(list(folder.iterdir()))
            self._writer = EventsWriter(str(folder / "events"), f".{n_files}")
            if resume is not None:
                start = SessionLog(status=SessionLog.START)
                self._writer.write_event(
                    Event(wall_time=time.time(), step=resume.step + 1, session_log=start)
                )
            self._writer.flush()

    def step(self, record: StepRecord) -> None:
        """Add loss, accuracy, learning rate, speed and saturations of a step."""
        values = {
            "train/loss": record.loss,
            "train/accuracy": record.accuracy,
            "train/lr": float(record.lr),
            "train/images_per_s": record.images_per_s,
        }
        for kind, count in record.saturations.items():
            values[f"saturations/{kind}"] = float(count)
        for phase, seconds in record.seconds.items():
            values[f"seconds/{phase}"] = seconds
        self._write(record.step, values)

    def evaluation(self, record: EvaluationRecord) -> None:
        """Add loss and accuracies of an evaluation, and let readers see everything so far."""
        values = {
            "eval/loss": record.loss,
            "eval/accuracy": record.accuracy,
            "eval/top5_accuracy": record.top5_accuracy,
        }
        self._write(record.step, values)
        with writing(self.folder):
            self._writer.flush()

    def _write(self, step: int, values: dict[str, float]) -> None:
        summary = Summary(
            value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        )
        with writing(self.folder):
            self._writer.write_event(Event(wall_time=time.time(), step=step, summary=summary))

    def close(self) -> None:
        """Flush and close the event file."""
        with writing(self.folder):
            self._writer.close()
