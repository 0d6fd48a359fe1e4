"""TensorBoard events of a run: the curves of ``metrics.jsonl`` as TensorBoard shows them."""

import socket
import time
from pathlib import Path
from typing import Any

from orchestrator.train.disk import writing
from orchestrator.train.metrics import EvaluationRecord, StepRecord
from orchestrator.train.state import ResumePoint


class TensorBoardFile:
    """Writes event files into a folder, in the caller's thread.

    TensorBoard's own summary writer hands events to a thread through a bounded queue; when the
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
        # Imported here: only rank 0 writes events, and the import takes a third of a second.
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        self.folder = folder
        self._event, self._summary = Event, Summary
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            # The number keeps a resume within the same second from overwriting a file.
            n_files = len(list(folder.iterdir()))
            name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{n_files}"
            self._file = open(folder / name, "wb")  # noqa: SIM115
            self._writer = RecordWriter(self._file)
            self._add(file_version="brain.Event:2")
            if resume is not None:
                start = SessionLog(status=SessionLog.START)
                self._add(step=resume.step + 1, session_log=start)
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
        value = self._summary.Value
        points = [value(tag=tag, simple_value=number) for tag, number in values.items()]
        with writing(self.folder):
            self._add(step=step, summary=self._summary(value=points))

    def _add(self, **fields: Any) -> None:
        event = self._event(wall_time=time.time(), **fields)
        self._writer.write(event.SerializeToString())

    def close(self) -> None:
        """Flush and close the event file."""
        with writing(self.folder):
            self._writer.close()
