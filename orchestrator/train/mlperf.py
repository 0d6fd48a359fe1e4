"""``mlperf.log``: the run in the words of MLPerf Training's image classification benchmark.

Lines are ``:::MLLOG {json}`` (mlcommons/logging, ``mllog``), checked by
``python -m mlperf_logging.compliance_checker --usage training --ruleset 4.0.0 mlperf.log``.

The log says what was done, also where a rule forbids it: another end rate, another network or a
missed target make the checker fail, as they should. A number that a run does not have (the power
of a schedule that is not polynomial) is null. Epochs count from 1.

References
----------
MLPerf Training rules, "Hyperparameters and optimizer", ResNet (rounds 0.7 to 4.0).
"""

import json
import math
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from orchestrator.config import RunConfig
from orchestrator.train.disk import replace_text, writing
from orchestrator.train.info import RunInfo
from orchestrator.train.metrics import EvaluationRecord
from orchestrator.train.state import ResumePoint

TARGET_ACCURACY = Fraction(759, 1000)
"""Top-1 accuracy at which a run of the benchmark counts as converged (rounds 0.6 to 4.0)."""

TOKEN = ":::MLLOG "

_PLATFORMS = {
    "native": "SpiNNaker virtual boards (host kernels)",
    "reference": "SpiNNaker virtual boards (NumPy reference)",
    "emulated": "SpiNNaker virtual boards (emulated cores)",
    "hardware": "SpiNNaker boards",
}
_POINT, _START, _END = "POINT_IN_TIME", "INTERVAL_START", "INTERVAL_END"


class MlperfLog:
    """Writes the events of a run; only on rank 0.

    Parameters
    ----------
    path : the log.
    config : the run's configuration.
    resume : where a resumed run goes on: later events are removed, and a log that then holds the
        start of a run is continued. None starts the log anew.
    clock_ms : milliseconds since 1970.

    Raises
    ------
    RunError
        If the log cannot be written, also by the methods.
    """

    def __init__(
        self,
        path: Path,
        config: RunConfig,
        resume: ResumePoint | None = None,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.path = path
        self._config = config
        self._clock_ms = clock_ms
        self._best = 0.0
        self._closed_division = False
        kept = [] if resume is None else _events_before(path, resume)
        self._continues = any(event["key"] == "run_start" for event in kept)
        self._open_epoch: int | None = None
        replace_text(path, "".join(map(_line, kept)) if self._continues else "")
        with writing(path):
            self._file = open(path, "a", buffering=1, encoding="utf-8")  # noqa: SIM115
        if self._continues:
            self._recall(kept)
        else:
            self._event(_START, "init_start", None, step=0)

    def start(self, info: RunInfo) -> None:
        """Log the run's facts and the start of the clock; call it before any data is touched."""
        self._closed_division = _is_benchmark(self._config, info.classes)
        if self._continues:
            return
        step = info.resume_step or 0
        for key, value in run_values(self._config, info, self._closed_division).items():
            self._event(_POINT, key, value, step=step)
        self._event(_END, "init_stop", None, step=step)
        self._event(_START, "run_start", None, step=step)

    def _recall(self, events: list[dict[str, Any]]) -> None:
        """Take over from older events the best accuracy and the epoch that was under way."""
        for event in events:
            if event["key"] == "eval_accuracy":
                self._best = max(self._best, event["value"])
            elif event["key"] == "epoch_start":
                self._open_epoch = event["metadata"]["epoch_num"]
            elif event["key"] == "epoch_stop":
                self._open_epoch = None

    def epoch_start(self, epoch: int, step: int) -> None:
        """Log the start of an epoch (from 0; `step` updates done) unless the log holds it."""
        if self._open_epoch == epoch + 1:
            return
        self._open_epoch = epoch + 1
        self._event(_START, "epoch_start", None, step=step, epoch_num=epoch + 1)

    def epoch_stop(self, epoch: int, step: int) -> None:
        """Log the end of an epoch."""
        self._open_epoch = None
        self._event(_END, "epoch_stop", None, step=step, epoch_num=epoch + 1)

    def evaluation_start(self, epoch: int, step: int) -> None:
        """Log the start of an evaluation."""
        self._event(_START, "eval_start", None, step=step, epoch_num=epoch + 1)

    def evaluation(self, record: EvaluationRecord) -> None:
        """Log the result and the end of an evaluation."""
        self._best = max(self._best, record.accuracy)
        place = {"step": record.step, "epoch_num": record.epoch + 1}
        self._event(_POINT, "eval_accuracy", record.accuracy, **place)
        self._event(_END, "eval_stop", None, **place)

    def stop(self, completed: bool, step: int) -> None:
        """Log the end of the run.

        The status is ``success`` if the run did what it was for: the benchmark reached its target
        accuracy, any other run came to its planned end. Otherwise it is ``aborted``.
        """
        success = self._best >= TARGET_ACCURACY if self._closed_division else completed
        status = "success" if success else "aborted"
        self._event(_END, "run_stop", None, step=step, status=status)

    def close(self) -> None:
        """Close the log; again does nothing."""
        with writing(self.path):
            self._file.close()

    def _event(self, kind: str, key: str, value: Any, **metadata: Any) -> None:
        event = {
            "namespace": "",
            "time_ms": self._clock_ms(),
            "event_type": kind,
            "key": key,
            "value": value,
            "metadata": metadata,
        }
        with writing(self.path):
            self._file.write(_line(event))


def run_values(config: RunConfig, info: RunInfo, closed: bool) -> dict[str, Any]:
    """Return the events that describe a run, as key to value in the order they are logged.

    Parameters
    ----------
    config, info : what is run.
    closed : whether it is the benchmark itself (closed division), see :func:`_is_benchmark`.
    """
    ghost_batches = config.train.global_batch // config.train.ghost_batch
    values: dict[str, Any] = {
        # The page cache is left as it is: dropping it needs rights that a training has not.
        "cache_clear": False,
        "submission_org": "regatta",
        "submission_platform": _PLATFORMS[config.slice.backend],
        "submission_division": "closed" if closed else "open",
        "submission_status": "research",
        "submission_benchmark": _benchmark(config.model.name),
        "seed": config.train.seed,
        "train_samples": info.train_samples,
        "eval_samples": info.eval_samples,
        "global_batch_size": config.train.global_batch,
        "gradient_accumulation_steps": -(-ghost_batches // info.ranks),
        "model_bn_span": config.train.ghost_batch,
    }
    return {**values, **_optimizer_values(config, info)}


def _optimizer_values(config: RunConfig, info: RunInfo) -> dict[str, Any]:
    """Return the optimizer's and the learning rate's events under the keys of its rule file."""
    optimizer, schedule = config.optimizer, config.lr_schedule
    prefix = "lars_opt" if optimizer.name == "lars" else "sgd_opt"
    warmup_epochs = float(schedule.warmup_epochs)
    polynomial = schedule.decay == "polynomial"
    decays = schedule.decay in ("polynomial", "cosine")
    end_epoch = Fraction(schedule.decay_epochs or config.train.epochs)
    decay_steps = round((end_epoch - schedule.warmup_epochs) * info.steps_per_epoch)
    values: dict[str, Any] = {
        "opt_name": optimizer.name,
        f"{prefix}_base_learning_rate": peak_lr(config),
        f"{prefix}_end_learning_rate": end_lr(config),
        f"{prefix}_learning_rate_decay_poly_power": _number(schedule.power) if polynomial else None,
        f"{prefix}_learning_rate_decay_steps": decay_steps if decays else None,
        f"{prefix}_momentum": float(optimizer.momentum),
        f"{prefix}_weight_decay": float(optimizer.weight_decay),
    }
    if optimizer.name == "lars":
        values["lars_epsilon"] = float(optimizer.epsilon)
        values["lars_opt_learning_rate_warmup_epochs"] = warmup_epochs
    else:
        values["opt_learning_rate_warmup_epochs"] = warmup_epochs
    return values


def peak_lr(config: RunConfig) -> float:
    """Return the learning rate after warm-up, scaled to the global batch."""
    schedule = config.lr_schedule
    ratio = Fraction(config.train.global_batch, schedule.scale_batch)
    if schedule.scale == "linear":
        return float(schedule.base_lr * ratio)
    if schedule.scale == "sqrt":
        return float(schedule.base_lr) * math.sqrt(ratio)
    return float(schedule.base_lr)


def end_lr(config: RunConfig) -> float | None:
    """Return the learning rate at the end; None where evaluations decide it."""
    schedule = config.lr_schedule
    if schedule.decay in ("polynomial", "cosine"):
        return float(schedule.end_lr)
    if schedule.decay == "steps":
        return peak_lr(config) * float(schedule.gamma ** len(schedule.milestones))
    if schedule.decay == "joined":
        last = schedule.pieces[-1]
        factor = last.factor if last.end_factor is None else last.end_factor
        return peak_lr(config) * float(factor)
    return peak_lr(config) if schedule.decay == "constant" else None


def _number(value: Fraction) -> int | float:
    return value.numerator if value.denominator == 1 else float(value)


def _benchmark(network: str) -> str:
    """Return MLPerf's name of the benchmark a network belongs to, else the network's own name."""
    return "resnet" if network.startswith("resnet") else network


def _is_benchmark(config: RunConfig, classes: int) -> bool:
    """Tell whether a run is the benchmark itself: ResNet-50 on ImageNet's classes, SGD or LARS.

    Rules on hyperparameters are for the checker to apply; data are taken at their word.
    """
    return (
        config.model.name == "resnet50"
        and classes in (1000, 1001)
        and config.optimizer.name in ("sgd", "lars")
    )


def _line(event: dict[str, Any]) -> str:
    return TOKEN + json.dumps(event) + "\n"


def _events_before(path: Path, resume: ResumePoint) -> list[dict[str, Any]]:
    """Return the events of an older log that a resumed run keeps."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    events = []
    for line in lines:
        try:
            event = json.loads(line.removeprefix(TOKEN))
            kept = _is_kept(event["key"], event["metadata"]["step"], resume)
        except (ValueError, TypeError, KeyError):
            # A line cut off by a crash is the last; what another program wrote is not kept.
            continue
        if kept:
            events.append(event)
    return events


def _is_kept(key: str, step: int, resume: ResumePoint) -> bool:
    """Tell whether an event of a step happened before the point a run resumes from."""
    if key == "run_stop":
        return False
    if key.startswith("eval_") and key != "eval_samples":
        return step <= resume.evaluated
    # The epoch after the checkpoint starts at the same step as the one before it ended.
    return step < resume.step or (step == resume.step and key != "epoch_start")
