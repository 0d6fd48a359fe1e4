import io
import json
from fractions import Fraction
from pathlib import Path

import pytest
from rich.console import Console
from tensorboard.compat.proto.event_pb2 import Event

from orchestrator.config import RunConfig
from orchestrator.errors import RunError
from orchestrator.train import recorder as recorder_module
from orchestrator.train.info import INTERRUPTED, RunInfo, RunSummary
from orchestrator.train.metrics import EvaluationRecord, StepRecord, read_metrics
from orchestrator.train.progress import ConsoleProgress, duration
from orchestrator.train.recorder import FileRecorder, NullRecorder, RunRecorder
from orchestrator.train.rundir import RunFolder, prepare_run_folder
from orchestrator.train.state import ResumePoint


class Clock:
    """Time that passes only where a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def evaluation(step: int) -> EvaluationRecord:
    return EvaluationRecord(
        step=step, epoch=0, samples=400, top1=390, top5=400, loss=0.1, seconds=1.0
    )


def tell(recorder: RunRecorder, clock: Clock, info: RunInfo, reason: str = "max_steps") -> None:
    """Tell a recorder of an epoch of two steps with its evaluation and checkpoint."""
    recorder.run_start(info)
    recorder.epoch_start(0, 0)
    for step in (1, 2):
        for name, seconds in (("forward", 1.0), ("forward", 0.5), ("exchange", 0.25)):
            with recorder.phase(name):
                clock.now += seconds
        clock.now += 0.25
        recorder.step(
            StepRecord(
                step=step,
                epoch=0,
                epoch_step=step,
                loss=2.0,
                accuracy=0.5,
                lr=Fraction(1, 3),
                samples=64,
                saturations={"y": 1},
            )
        )
        clock.now += 7.0
        recorder.checkpoint(Path("step-00000001.safetensors"), step)
    recorder.epoch_stop(0, 2)
    recorder.evaluation_start(0, 2)
    clock.now += 3.0
    recorder.evaluation(evaluation(2))
    recorder.note("a notice [with brackets]")
    recorder.finish(
        RunSummary(
            steps=2,
            epochs=1,
            seconds=20.0,
            images=128,
            last=evaluation(2),
            best=evaluation(2),
            reason=reason,
            fingerprint="ab" * 32,
        )
    )


@pytest.fixture
def folder(tmp_path: Path, config: RunConfig) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    prepare_run_folder(folder, config)
    return folder


def events(folder: Path) -> list[Event]:
    """Read TensorBoard's records: length, checksum, event, checksum."""
    found = []
    for path in sorted(folder.iterdir()):
        content, at = path.read_bytes(), 0
        while at < len(content):
            length = int.from_bytes(content[at : at + 8], "little")
            found.append(Event.FromString(content[at + 12 : at + 12 + length]))
            at += length + 16
    return found


def test_all_files_tell_the_run(folder: RunFolder, config: RunConfig, info: RunInfo) -> None:
    clock, screen = Clock(), io.StringIO()
    console = Console(file=screen, width=40)
    tell(FileRecorder(folder, config, console, clock=clock), clock, info)
    records = read_metrics(folder.metrics)
    assert [record["kind"] for record in records] == ["step", "step", "evaluation"]
    for record in records[:2]:
        assert record["seconds"] == {"step": 2.0, "forward": 1.5, "exchange": 0.25}
        assert record["images_per_s"] == 32.0
    spans = json.loads(folder.timeline.read_text())["traceEvents"]
    named = [(span["name"], span["ts"], span["dur"]) for span in spans if span["ph"] == "X"]
    assert ("forward", 0.0, 1e6) in named
    assert ("step", 9e6, 2e6) in named
    assert ("checkpoint", 2e6, 7e6) in named
    assert ("evaluation", 18e6, 3e6) in named
    scalars = {
        (event.step, value.tag): value.simple_value
        for event in events(folder.tensorboard)
        for value in event.summary.value
    }
    assert scalars[1, "train/loss"] == 2.0
    assert scalars[2, "train/lr"] == pytest.approx(1 / 3)
    assert scalars[2, "eval/accuracy"] == pytest.approx(0.975)
    assert "success" in folder.mlperf.read_text().splitlines()[-1]
    shown = screen.getvalue()
    assert "digits_resnet: 1,234 parameters, 2 ranks" in shown
    assert "top-1 97.50%" in shown
    assert "a notice [with brackets]" in shown
    assert "ab" * 32 in shown
    assert f"run directory: {folder.path}" in shown


def test_a_resumed_run_adds_to_its_files(
    folder: RunFolder, config: RunConfig, info: RunInfo
) -> None:
    clock, console = Clock(), Console(file=io.StringIO())
    tell(FileRecorder(folder, config, console, clock=clock), clock, info, INTERRUPTED)
    assert "aborted" in folder.mlperf.read_text().splitlines()[-1]
    again = FileRecorder(folder, config, console, ResumePoint(1, 0), clock)
    again.fail(1)
    assert [record["step"] for record in read_metrics(folder.metrics)] == [1]
    assert len(list(folder.tensorboard.iterdir())) == 2
    hidden = [event.step for event in events(folder.tensorboard) if event.HasField("session_log")]
    assert hidden == [2]


def test_a_failure_hides_no_error(
    folder: RunFolder, config: RunConfig, info: RunInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = FileRecorder(folder, config, Console(file=io.StringIO()))
    recorder.run_start(info)

    def full(self: object, path: Path) -> None:
        raise RunError("the disk is full")

    monkeypatch.setattr(recorder_module.Timeline, "write", full)
    recorder.fail(3)
    last = json.loads(folder.mlperf.read_text().splitlines()[-1].partition(" ")[2])
    assert (last["key"], last["metadata"]) == ("run_stop", {"step": 3, "status": "aborted"})


def test_other_ranks_record_nothing(info: RunInfo) -> None:
    tell(NullRecorder(), Clock(), info)
    NullRecorder().fail(1)


def test_a_terminal_gets_a_live_line(info: RunInfo) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    progress = ConsoleProgress(console, Clock())
    progress.start(info, "digits_resnet")
    progress.step(record(21))
    progress.note("still here")
    progress.stop()
    progress.stop()
    shown = screen.getvalue()
    assert "epoch 1/3" in shown
    assert "step 21/63" in shown
    assert "28 s left" in shown
    assert "still here" in shown


def record(step: int) -> StepRecord:
    return StepRecord(
        step=step,
        epoch=0,
        epoch_step=step,
        loss=1.0,
        accuracy=0.5,
        lr=Fraction(1),
        samples=64,
        images_per_s=96.0,
    )


def test_elsewhere_plain_lines_come_now_and_then(info: RunInfo) -> None:
    screen, clock = io.StringIO(), Clock()
    progress = ConsoleProgress(Console(file=screen, width=120), clock, plain_every_s=5.0)
    progress.start(info, "digits_resnet")
    for step in range(1, 22):
        clock.now += 1.0
        progress.step(record(step))
    lines = [line for line in screen.getvalue().splitlines() if line.startswith("epoch")]
    assert [line.split("step ")[1].split("/")[0] for line in lines] == ["5", "10", "15", "20"]


def test_one_run_of_many_shows_only_how_far_it_is(
    folder: RunFolder, config: RunConfig, info: RunInfo
) -> None:
    clock, screen = Clock(), io.StringIO()
    tell(FileRecorder(folder, config, Console(file=screen), clock=clock, brief=True), clock, info)
    lines = screen.getvalue().splitlines()
    assert "a notice [with brackets]" in lines
    assert [line for line in lines if not line.startswith(("epoch 1/", "a notice"))] == []


def test_a_failed_run_says_what_is_saved(
    folder: RunFolder, config: RunConfig, info: RunInfo
) -> None:
    screen = io.StringIO()
    recorder = FileRecorder(folder, config, Console(file=screen, width=200))
    recorder.run_start(info)
    recorder.checkpoint(Path("c") / "step-00000003.safetensors", 3)
    recorder.fail(4)
    end = "saved: c/step-00000003.safetensors; the same command with --resume continues"
    assert screen.getvalue().splitlines()[-1] == end


def test_durations() -> None:
    assert [duration(s) for s in (0, 59.4, 59.6, 3599.4, 3600, 7384)] == [
        "0 s",
        "59 s",
        "1 min 00 s",
        "59 min 59 s",
        "1 h 00 min",
        "2 h 03 min",
    ]
