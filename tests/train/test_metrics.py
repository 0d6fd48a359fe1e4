import json
from fractions import Fraction
from pathlib import Path

import pytest

from orchestrator.errors import DataError, RunError
from orchestrator.train.metrics import EvaluationRecord, MetricsFile, StepRecord, read_metrics
from orchestrator.train.state import ResumePoint


def step(number: int) -> StepRecord:
    return StepRecord(
        step=number,
        epoch=0,
        epoch_step=number,
        loss=2.5,
        accuracy=0.25,
        lr=Fraction(1, 10),
        samples=64,
        images_per_s=float("inf"),
        seconds={"forward": 0.5},
        saturations={"y": 3},
    )


def evaluation(number: int) -> EvaluationRecord:
    return EvaluationRecord(
        step=number, epoch=0, samples=200, top1=50, top5=150, loss=1.5, seconds=2.0
    )


def write(path: Path, resume: ResumePoint | None, *steps: int, evaluate: bool = True) -> None:
    with MetricsFile(path, resume) as metrics:
        for number in steps:
            metrics.step(step(number))
            if evaluate and number % 2 == 0:
                metrics.evaluation(evaluation(number))


def kinds(path: Path) -> list[tuple[str, int]]:
    return [(record["kind"][0], record["step"]) for record in read_metrics(path)]


def test_records_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, None, 1, 2)
    first, _, evaluated = read_metrics(path)
    assert first == {
        "kind": "step",
        "step": 1,
        "epoch": 0,
        "epoch_step": 1,
        "loss": 2.5,
        "accuracy": 0.25,
        "lr": 0.1,
        "samples": 64,
        "images_per_s": None,
        "seconds": {"forward": 0.5},
        "saturations": {"y": 3},
        "skipped": 0,
    }
    assert evaluated["accuracy"] == 0.25
    assert evaluated["top5_accuracy"] == 0.75


def test_a_record_is_on_its_way_before_the_next_step(tmp_path: Path) -> None:
    with MetricsFile(tmp_path / "metrics.jsonl") as metrics:
        metrics.step(step(1))
        assert kinds(metrics.path) == [("s", 1)]


def test_a_new_run_starts_anew(tmp_path: Path) -> None:
    write(tmp_path / "m", None, 1, 2)
    write(tmp_path / "m", None, 1)
    assert kinds(tmp_path / "m") == [("s", 1)]


def test_resuming_removes_what_will_be_made_again(tmp_path: Path) -> None:
    path = tmp_path / "m"
    write(path, None, 1, 2, 3, 4, 5, 6)
    with path.open("a") as file:
        file.write('{"kind": "step", "st')
    write(path, ResumePoint(step=4, evaluated=4), 5, 6)
    whole = tmp_path / "whole"
    write(whole, None, 1, 2, 3, 4, 5, 6)
    assert path.read_bytes() == whole.read_bytes()


def test_an_evaluation_the_checkpoint_does_not_know_is_made_again(tmp_path: Path) -> None:
    write(tmp_path / "m", None, 1, 2, 3, 4, 5)
    with MetricsFile(tmp_path / "m", ResumePoint(step=4, evaluated=2)) as metrics:
        assert kinds(metrics.path) == [("s", 1), ("s", 2), ("e", 2), ("s", 3), ("s", 4)]


def test_resuming_into_an_empty_folder_starts_a_file(tmp_path: Path) -> None:
    write(tmp_path / "m", ResumePoint(step=4, evaluated=4), 5)
    assert kinds(tmp_path / "m") == [("s", 5)]


def test_other_files_are_not_truncated(tmp_path: Path) -> None:
    path = tmp_path / "m"
    for text in ("a\nb\n", "[]\n", '{"step": "1"}\n'):
        path.write_text(json.dumps({"step": 1}) + "\n" + text)
        with pytest.raises(DataError, match="line 2: not a record"):
            MetricsFile(path, ResumePoint(step=4, evaluated=4))
        assert path.read_text().endswith(text)
    with pytest.raises(DataError, match="cannot be read"):
        read_metrics(tmp_path / "gone")


def test_a_full_disk_is_named(tiny_disk: Path) -> None:
    (tiny_disk / "ballast").write_bytes(b"x" * 120 * 1024)
    with pytest.raises(RunError, match=r"metrics\.jsonl: the disk is full"):
        write(tiny_disk / "metrics.jsonl", None, *range(1000))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be written"):
        MetricsFile(tmp_path / "gone" / "m")
