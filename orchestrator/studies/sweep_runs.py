"""Runs a sweep: one training after the other, each in a folder of its own, resumable."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import reduce
from itertools import count
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.collectives import Collective, from_first
from orchestrator.config import RunConfig, dump_config, numeric_differences, parse_config
from orchestrator.errors import ArgumentError, ConfigError, DataError, RunError
from orchestrator.optim import plan_batches
from orchestrator.studies.sweep import Outcome, Point, SweepPlan, Trial, choose
from orchestrator.train.disk import replace_text, writing
from orchestrator.train.info import INTERRUPTED, RunSummary
from orchestrator.train.metrics import read_metrics
from orchestrator.train.rundir import RunFolder
from orchestrator.train.session import run_training
from orchestrator.train.setup import prepare

RESULT = "result.json"
"""Left in a trial's folder when it is done."""

RESULT_KEYS = (
    "train.epochs",
    "train.max_steps",
    "train.early_stop",
    "train.eval_every_epochs",
    "data.path",
    "data.eval_split",
    "data.eval_samples",
    "data.resize",
    "data.on_error",
    "model.weights",
)
"""Keys that change a trial's result, beside those that change a training's next step."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep at work.

    Parameters
    ----------
    plan : the trainings.
    output : folder of their folders.
    collective : the ranks; each training runs on all of them.
    console : where the first rank tells what is going on.
    """

    plan: SweepPlan
    output: Path
    collective: Collective
    console: Console

    def check(self) -> None:
        """Check every trial against the data before the first one starts.

        Raises
        ------
        ConfigError, DataError
            If the data cannot be read, or a batch does not fit it.
        """
        setup = prepare(self.plan.base)
        assert setup.train_data is not None
        for optimizer, batch in self.plan.points:
            for trial in self.plan.first_trials(optimizer, batch):
                plan_batches(trial.config.train, len(setup.train_data))

    def run(self, finished: Callable[[list[Point]], None]) -> list[Point]:
        """Run what is not done yet, and return all points.

        Parameters
        ----------
        finished : called on every rank with all points so far: after each point that took a new
            run, and at the end.

        Raises
        ------
        RunError
            If the sweep was asked to stop, or a run failed; what is done stays done.
        ArgumentError
            If a folder holds a run of another configuration.
        """
        points: list[Point] = []
        numbers = count(1)
        for optimizer, batch in self.plan.points:
            trials = self.plan.first_trials(optimizer, batch)
            found = [self._run(trial, next(numbers)) for trial in trials]
            best = choose([outcome for outcome, _ in found])
            later = [
                self._run(trial, next(numbers)) for trial in self.plan.later_trials(trials[best])
            ]
            outcomes = [outcome for outcome, _ in [found[best], *later]]
            points.append(Point(tuple(outcomes), tuple(outcome for outcome, _ in found)))
            last = len(points) == len(self.plan.points)
            if last or any(new for _, new in [*found, *later]):
                finished(points)
        return points

    def _run(self, trial: Trial, number: int) -> tuple[Outcome, bool]:
        """Return the outcome of a trial, and whether it took a run: it may be in its folder."""
        folder = RunFolder(self.output / trial.name)
        config = trial.config_in(str(folder.path))
        head = f"run {number} of {self.plan.n_trials}: {trial.name}"
        found = from_first(self.collective, lambda: find_progress(folder, config))
        if found["result"] is None:
            self._say(f"{head}{', resumed' if found['resume'] else ''}")
            summary, _ = run_training(
                config,
                self.collective,
                name=trial.name,
                resume=found["resume"],
                console=self.console,
                brief=True,
            )
            if summary.reason == INTERRUPTED:
                raise RunError(
                    f"the sweep was interrupted in run {trial.name} after step {summary.steps}; "
                    f"the same command goes on from there ({self.output})"
                )
            ranks = self.collective.size
            found = from_first(
                self.collective, lambda: keep_outcome(trial, folder, config, summary, ranks)
            )
            outcome = Outcome(**found["result"])
            self._say(f"{head}: accuracy {outcome.accuracy:.2%} after {outcome.steps:,} steps")
            return outcome, True
        outcome = Outcome(**found["result"])
        self._say(f"{head}: done before, accuracy {outcome.accuracy:.2%}")
        return outcome, False

    def _say(self, text: str) -> None:
        if self.collective.rank == 0:
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)


def find_progress(folder: RunFolder, config: RunConfig) -> dict[str, Any]:
    """Return how far a trial is: ``result`` (None before its end), ``resume`` (from a checkpoint).

    A folder in which nothing was computed yet is cleared.

    Raises
    ------
    ArgumentError
        If the folder holds a run of another configuration.
    DataError
        If its files cannot be read.
    """
    result = folder.path / RESULT
    if result.exists():
        values = _read_json(result)
        try:
            _check_same(folder, values["config"], config)
            return {"result": asdict(Outcome(**values["outcome"])), "resume": False}
        except (KeyError, TypeError):
            raise DataError(f"{result}: not a sweep's result; remove it to run again") from None
    if not folder.holds_run():
        return {"result": None, "resume": False}
    if not folder.config.exists():
        raise ArgumentError(
            f"{folder.path}: holds files of a run without config.yaml; choose another --output, "
            "or remove it"
        )
    _check_same(folder, folder.config.read_text(encoding="utf-8"), config)
    resume = any(folder.checkpoints.glob("step-*.safetensors"))
    if not resume:
        with writing(folder.path):
            shutil.rmtree(folder.path)
    return {"result": None, "resume": resume}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); remove it to run again") from None
    if not isinstance(values, dict):
        raise DataError(f"{path}: not a sweep's result; remove it to run again")
    return values


def _check_same(folder: RunFolder, text: str, config: RunConfig) -> None:
    """Raise ArgumentError unless a run's configuration leads to the same result."""
    try:
        different = result_differences(parse_config(text), config)
    except ConfigError as error:
        raise ArgumentError(
            f"{folder.path}: holds a run whose configuration cannot be read ({error}); choose "
            "another --output, or remove it"
        ) from None
    if different:
        raise ArgumentError(
            f"{folder.path}: holds a run of another configuration ({', '.join(different)} "
            "differ); choose another --output, or remove it"
        )


def result_differences(first: RunConfig, second: RunConfig) -> list[str]:
    """Return the keys that differ and change what comes out of a whole training."""
    found = numeric_differences(first, second)

    def value(config: RunConfig, key: str) -> Any:
        return reduce(getattr, key.split("."), config)

    extra = [key for key in RESULT_KEYS if value(first, key) != value(second, key)]
    return [*found, *(key for key in extra if key not in found)]


def keep_outcome(
    trial: Trial, folder: RunFolder, config: RunConfig, summary: RunSummary, ranks: int
) -> dict[str, Any]:
    """Write a finished trial's result file, and return its values as `find_progress` does.

    Numbers come from the metrics file: a resumed run knows only its own part.
    """
    records = read_metrics(folder.metrics)
    steps = [record for record in records if record["kind"] == "step"]
    evaluations = [record for record in records if record["kind"] == "evaluation"]
    if not steps or not evaluations:
        raise DataError(f"{folder.metrics}: holds no steps or no evaluations of a finished run")
    last = evaluations[-1]
    final = [record["loss"] for record in steps if record["epoch"] == steps[-1]["epoch"]]
    outcome = Outcome(
        optimizer=trial.optimizer,
        batch=trial.batch,
        seed=trial.seed,
        base_lr=trial.base_lr,
        peak_lr=float(trial.peak_lr),
        steps=summary.steps,
        epochs=summary.epochs,
        top1=last["top1"],
        samples=last["samples"],
        accuracy=last["accuracy"],
        loss=last["loss"],
        best_accuracy=max(record["accuracy"] for record in evaluations),
        train_loss=sum(final) / len(final),
        train_s=sum(record["seconds"].get("step", 0.0) for record in steps),
        ranks=ranks,
        reason=summary.reason,
        fingerprint=summary.fingerprint,
    )
    values = {"outcome": asdict(outcome), "config": dump_config(config)}
    replace_text(folder.path / RESULT, json.dumps(values, indent=2) + "\n")
    return {"result": values["outcome"], "resume": False}
