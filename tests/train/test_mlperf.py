import dataclasses
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from orchestrator.collectives import SingleCollective
from orchestrator.config import RunConfig, load_config, parse_config
from orchestrator.train.info import RunInfo
from orchestrator.train.metrics import EvaluationRecord
from orchestrator.train.mlperf import TOKEN, MlperfLog, end_lr, peak_lr
from orchestrator.train.session import run_training
from orchestrator.train.state import ResumePoint

LARS = """
model: {name: resnet50, image_size: 224, classes: 1000}
data: {source: synthetic, train_samples: 1281167, eval_samples: 50000}
train: {global_batch: 4096, ghost_batch: 64, epochs: 40, label_smoothing: 0.1}
optimizer: {name: lars, weight_decay: 2e-4}
lr_schedule: {base_lr: 10, decay: polynomial, power: 2, end_lr: 1e-4, warmup_epochs: 5}
"""
SGD = """
model: {name: resnet50, image_size: 224, classes: 1000}
data: {source: synthetic, train_samples: 1281167, eval_samples: 50000}
train: {global_batch: 3264, ghost_batch: 32, epochs: 42}
optimizer: {name: sgd, weight_decay: 2.5e-5}
lr_schedule: {base_lr: 6, decay: polynomial, power: 2, end_lr: 1e-4, warmup_epochs: 5}
"""


def info_of(config: RunConfig) -> RunInfo:
    steps = 1281167 // config.train.global_batch
    return RunInfo(
        ranks=3,
        classes=1000,
        parameters=25557032,
        train_samples=1281167,
        eval_samples=50000,
        total_epochs=config.train.epochs,
        total_steps=steps * config.train.epochs,
        steps_per_epoch=steps,
    )


def evaluation(step: int, epoch: int, top1: int) -> EvaluationRecord:
    return EvaluationRecord(
        step=step, epoch=epoch, samples=50000, top1=top1, top5=45000, loss=1.0, seconds=9.0
    )


def ticking() -> Iterator[int]:
    time_ms = 1_700_000_000_000
    while True:
        time_ms += 1000
        yield time_ms


def write_log(path: Path, config: RunConfig, top1: int = 38000) -> None:
    """Log two epochs; `top1` of 50,000 stands in for an accuracy that takes a cluster to reach."""
    log = MlperfLog(path, config, clock_ms=ticking().__next__)
    log.start(info_of(config))
    for epoch in range(2):
        log.epoch_start(epoch, 100 * epoch)
        log.epoch_stop(epoch, 100 * epoch + 100)
        log.evaluation_start(epoch, 100 * epoch + 100)
        log.evaluation(evaluation(100 * epoch + 100, epoch, top1 - 1000 + 1000 * epoch))
    log.stop(True, 200)
    log.close()


def check(path: Path) -> subprocess.CompletedProcess[str]:
    checker = [sys.executable, "-m", "mlperf_logging.compliance_checker", "--usage", "training"]
    output = ["--ruleset", "4.0.0", "--log_output", str(path.with_suffix(".check")), str(path)]
    return subprocess.run([*checker, *output], capture_output=True, text=True, cwd=path.parent)


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix(TOKEN)) for line in path.read_text().splitlines()]


def values(path: Path) -> dict[str, Any]:
    return {event["key"]: event["value"] for event in events(path)}


@pytest.mark.parametrize("text", [LARS, SGD], ids=["lars", "sgd"])
def test_the_checker_passes_a_run_that_follows_the_rules(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mlperf.log"
    write_log(path, parse_config(text))
    result = check(path)
    assert result.returncode == 0, result.stderr
    assert "SUCCESS" in result.stdout + result.stderr
    assert events(path)[-1]["metadata"]["status"] == "success"


@pytest.mark.parametrize(
    ("override", "rule"),
    [
        ("optimizer.weight_decay=3e-4", "lars_opt_weight_decay"),
        ("lr_schedule.end_lr=0", "lars_opt_end_learning_rate"),
        ("lr_schedule.power=1", "lars_opt_learning_rate_decay_poly_power"),
        ("optimizer.epsilon=1e-9", "lars_epsilon"),
        ("lr_schedule.decay=cosine", "lars_opt_learning_rate_decay_poly_power"),
    ],
)
def test_the_checker_sees_a_broken_rule(tmp_path: Path, override: str, rule: str) -> None:
    path = tmp_path / "mlperf.log"
    write_log(path, parse_config(LARS, [override]))
    result = check(path)
    assert result.returncode == 1
    assert f"CHECK for '{rule}' failed" in result.stderr or "Failed executing" in result.stderr


def test_the_checker_sees_a_missed_target(tmp_path: Path) -> None:
    path = tmp_path / "mlperf.log"
    write_log(path, parse_config(LARS), top1=37945)
    result = check(path)
    assert result.returncode == 1
    assert "Failed checks for eval_accuracy" in result.stderr
    assert events(path)[-1]["metadata"]["status"] == "aborted"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("lars_opt_base_learning_rate", "opt_base_learning_rate"),
        ("cache_clear", "cache_kept"),
        ("gradient_accumulation_steps", "accumulation"),
        ("run_stop", "run_pause"),
    ],
)
def test_the_checker_sees_what_is_missing(tmp_path: Path, before: str, after: str) -> None:
    """The passing runs above pass because of these lines, not because nothing is checked."""
    path = tmp_path / "mlperf.log"
    write_log(path, parse_config(LARS))
    path.write_text(path.read_text().replace(f'"{before}"', f'"{after}"'))
    result = check(path)
    assert result.returncode == 1
    assert before in result.stderr


def test_the_lars_values_are_those_of_the_run(tmp_path: Path) -> None:
    write_log(tmp_path / "l", parse_config(LARS))
    logged = values(tmp_path / "l")
    assert {key: logged[key] for key in logged if key.startswith(("lars", "opt", "sgd"))} == {
        "opt_name": "lars",
        "lars_opt_base_learning_rate": 10.0,
        "lars_opt_end_learning_rate": 1e-4,
        "lars_opt_learning_rate_decay_poly_power": 2,
        "lars_opt_learning_rate_decay_steps": 35 * 312,
        "lars_opt_learning_rate_warmup_epochs": 5.0,
        "lars_opt_momentum": 0.9,
        "lars_opt_weight_decay": 2e-4,
        "lars_epsilon": 0.0,
    }
    assert logged["submission_benchmark"] == "resnet"
    assert logged["submission_division"] == "closed"
    assert logged["submission_status"] == "research"
    assert logged["model_bn_span"] == 64
    assert logged["gradient_accumulation_steps"] == 22
    assert logged["eval_accuracy"] == 0.76


def test_other_runs_do_not_claim_the_benchmark(tmp_path: Path, config: RunConfig) -> None:
    path = tmp_path / "l"
    log = MlperfLog(path, config)
    log.start(dataclasses.replace(info_of(config), classes=10))
    log.stop(True, 1)
    log.close()
    assert values(path)["submission_division"] == "open"
    assert values(path)["submission_benchmark"] == "digits_resnet"
    assert events(path)[-1]["metadata"]["status"] == "success"


def test_an_interrupted_run_is_aborted(tmp_path: Path, config: RunConfig) -> None:
    log = MlperfLog(tmp_path / "l", config)
    log.start(dataclasses.replace(info_of(config), classes=10))
    log.stop(False, 1)
    log.close()
    assert events(tmp_path / "l")[-1]["metadata"]["status"] == "aborted"


def resumed(path: Path, config: RunConfig, point: ResumePoint) -> MlperfLog:
    log = MlperfLog(path, config, point)
    log.start(dataclasses.replace(info_of(config), resume_step=point.step))
    return log


@pytest.mark.parametrize("evaluated", [100, 0])
def test_a_resumed_run_continues_its_log(tmp_path: Path, evaluated: int) -> None:
    path, config = tmp_path / "mlperf.log", parse_config(LARS)
    write_log(path, config)
    whole = [(event["key"], event["metadata"]) for event in events(path)]
    with path.open("a") as file:
        file.write(TOKEN + '{"key": "epoch_st')
    log = resumed(path, config, ResumePoint(100, evaluated))
    if not evaluated:
        log.evaluation_start(0, 100)
        log.evaluation(evaluation(100, 0, 37000))
    log.epoch_start(1, 100)
    log.epoch_stop(1, 200)
    log.evaluation_start(1, 200)
    log.evaluation(evaluation(200, 1, 38000))
    log.stop(True, 200)
    log.close()
    assert [(event["key"], event["metadata"]) for event in events(path)] == whole
    assert check(path).returncode == 0


def test_an_epoch_under_way_is_not_started_twice(tmp_path: Path) -> None:
    path, config = tmp_path / "mlperf.log", parse_config(LARS)
    write_log(path, config)
    log = resumed(path, config, ResumePoint(150, 100))
    log.epoch_start(1, 150)
    log.epoch_stop(1, 200)
    log.close()
    starts = [e["metadata"]["epoch_num"] for e in events(path) if e["key"] == "epoch_start"]
    assert starts == [1, 2]


def test_a_run_resumed_elsewhere_has_a_complete_log(tmp_path: Path) -> None:
    path, config = tmp_path / "mlperf.log", parse_config(LARS)
    log = resumed(path, config, ResumePoint(100, 100))
    log.close()
    assert [event["key"] for event in events(path)][-1] == "run_start"


@pytest.mark.parametrize(
    ("overrides", "peak", "end"),
    [
        (["lr_schedule.decay=constant"], 10, 10),
        (["lr_schedule.scale=linear", "lr_schedule.scale_batch=1024"], 40, 1e-4),
        (["lr_schedule.scale=sqrt", "lr_schedule.scale_batch=1024"], 20, 1e-4),
        (["lr_schedule.decay=steps", "lr_schedule.milestones=[10, 20]"], 10, Fraction(1, 10)),
        (["lr_schedule.decay=plateau"], 10, None),
        (
            [
                "lr_schedule.decay=joined",
                "lr_schedule.pieces=[{start: 0, factor: 1}, {start: 9, factor: 0.25}]",
            ],
            10,
            2.5,
        ),
    ],
)
def test_first_and_last_rates(overrides: list[str], peak: float, end: float | None) -> None:
    config = parse_config(LARS, overrides)
    assert peak_lr(config) == peak
    assert end_lr(config) == (None if end is None else pytest.approx(float(end)))


def test_the_checker_passes_a_real_run_but_for_its_accuracy(tmp_path: Path) -> None:
    config = load_config(
        Path(__file__).parents[2] / "configs" / "resnet50_mlperf_rcp_4096.yaml",
        [
            "data.source=synthetic",
            "data.path=null",
            "data.train_samples=8",
            "data.eval_samples=4",
            "data.augmentation=none",
            "model.image_size=64",
            "train.global_batch=4",
            "train.ghost_batch=2",
            "train.max_steps=1",
            f"run.dir={tmp_path / 'run'}",
        ],
    )
    console = Console(file=io.StringIO())
    _, folder = run_training(config, SingleCollective(), name="mlperf", console=console)
    assert "Failed checks for eval_accuracy" in check(folder.mlperf).stderr
    reached = re.sub(
        r'("key": "eval_accuracy", "value": )[\d.]+', r"\g<1>0.7591", folder.mlperf.read_text()
    )
    folder.mlperf.write_text(reached)
    result = check(folder.mlperf)
    assert result.returncode == 0, result.stderr
