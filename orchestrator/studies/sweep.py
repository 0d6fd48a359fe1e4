"""Batch-size sweeps: which trainings answer "which optimizer stays accurate at which batch?".

Everything here is a function of values; `sweep_runs` trains, `sweep_plot` draws.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any, cast, get_args, get_type_hints

from orchestrator.config import LrScheduleConfig, OptimizerConfig, RunConfig, RunSection
from orchestrator.config.schema import fraction_text
from orchestrator.errors import ArgumentError, ConfigError
from orchestrator.optim import Rates

OPTIMIZERS: tuple[str, ...] = get_args(get_type_hints(OptimizerConfig)["name"])
"""Update rules that can be swept."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of a sweep."""

    config: RunConfig

    @property
    def optimizer(self) -> str:
        """Name of the update rule."""
        return self.config.optimizer.name

    @property
    def batch(self) -> int:
        """Images of a step."""
        return self.config.train.global_batch

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return self.config.train.seed

    @property
    def base_lr(self) -> str:
        """The base rate as exact text."""
        return fraction_text(self.config.lr_schedule.base_lr)

    @property
    def peak_lr(self) -> Fraction:
        """The scaled base rate."""
        return Rates(self.config.lr_schedule, self.batch, self.config.train.epochs).peak

    @property
    def name(self) -> str:
        """Name of the run's folder, such as sgd-b1024-lr0.1-s0."""
        rate = self.base_lr.replace("/", "_")
        return f"{self.optimizer}-b{self.batch}-lr{rate}-s{self.seed}"

    def config_in(self, folder: str) -> RunConfig:
        """Return the configuration of the run in its folder."""
        return replace(self.config, run=RunSection(dir=folder))


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a trial ended.

    Attributes
    ----------
    optimizer, batch, seed, base_lr, peak_lr : of the trial; the base rate as exact text.
    steps, epochs : updates and epochs done.
    top1, samples, accuracy, loss : of the last evaluation.
    best_accuracy : of the best evaluation on the way.
    train_loss : mean over the last epoch's steps.
    train_s : seconds spent in steps, interrupted parts included.
    ranks : of the run that ended it.
    reason : why it ended.
    fingerprint : hash of the parameters.
    """

    optimizer: str
    batch: int
    seed: int
    base_lr: str
    peak_lr: float
    steps: int
    epochs: int
    top1: int
    samples: int
    accuracy: float
    loss: float
    best_accuracy: float
    train_loss: float
    train_s: float
    ranks: int
    reason: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Point:
    """An optimizer at a batch: the outcomes of every seed at the chosen rate, and all tried ones.

    Attributes
    ----------
    outcomes : at the chosen rate, one a seed, in the seeds' order.
    tried : at the first seed, one a rate, in the rates' order.
    """

    outcomes: tuple[Outcome, ...]
    tried: tuple[Outcome, ...]

    @property
    def accuracies(self) -> list[float]:
        """Final test accuracies by seed."""
        return [outcome.accuracy for outcome in self.outcomes]

    @property
    def mean(self) -> float:
        """Mean final test accuracy over the seeds."""
        return sum(self.accuracies) / len(self.accuracies)

    @property
    def first(self) -> Outcome:
        """Outcome of the first seed."""
        return self.outcomes[0]


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """The trainings of a sweep; which rate the later seeds take follows from the first seed's.

    Parameters
    ----------
    base : configuration all trials share.
    batches : global batches, rising.
    optimizers : names of update rules.
    seeds : of the runs; the first one chooses the rate.
    rates : base rates by optimizer, as many for each; empty for one rate by rule.
    """

    base: RunConfig
    batches: tuple[int, ...]
    optimizers: tuple[str, ...]
    seeds: tuple[int, ...]
    rates: Mapping[str, tuple[Fraction, ...]]

    @property
    def n_trials(self) -> int:
        """Number of trainings."""
        points = len(self.batches) * len(self.optimizers)
        return points * (self._n_rates + len(self.seeds) - 1)

    @property
    def _n_rates(self) -> int:
        return max((len(rates) for rates in self.rates.values()), default=1)

    @property
    def points(self) -> list[tuple[str, int]]:
        """Every (optimizer, batch), batch by batch."""
        return [(name, batch) for batch in self.batches for name in self.optimizers]

    def first_trials(self, optimizer: str, batch: int) -> list[Trial]:
        """Return the trials of the first seed, one for each rate."""
        if not self.rates:
            schedule = default_schedule(self.base, optimizer)
            return [self._trial(optimizer, batch, self.seeds[0], schedule)]
        return [
            self._trial(
                optimizer, batch, self.seeds[0], replace(self.base.lr_schedule, base_lr=rate)
            )
            for rate in self.rates[optimizer]
        ]

    def later_trials(self, chosen: Trial) -> list[Trial]:
        """Return the trials of the other seeds at the chosen rate."""
        return [
            Trial(replace(chosen.config, train=replace(chosen.config.train, seed=seed)))
            for seed in self.seeds[1:]
        ]

    def _trial(self, optimizer: str, batch: int, seed: int, schedule: LrScheduleConfig) -> Trial:
        base = self.base
        return Trial(
            replace(
                base,
                train=replace(base.train, global_batch=batch, seed=seed),
                optimizer=replace(base.optimizer, name=cast(Any, optimizer)),
                lr_schedule=schedule,
                run=RunSection(),
            )
        )

    def notes(self) -> list[str]:
        """Return what a reader of the results must know."""
        length = f"All runs train {self.base.train.epochs} epochs"
        if self.base.train.max_steps is not None:
            length += f", at most {self.base.train.max_steps} steps"
        return [f"{length}; accuracy is that of the last evaluation.", self._rates_note()]

    def _rates_note(self) -> str:
        if not self.rates:
            return (
                "One rate each, by rule and not tuned: sgd scales the configuration's base rate "
                "linearly with the batch, the others take it as the configuration has it. For a "
                "fair comparison give rates for each optimizer."
            )
        if self._n_rates == 1:
            return "One rate each, as given and not tuned."
        scale = self.base.lr_schedule.scale
        scaled = "" if scale == "none" else f" (scaled with the batch: {scale})"
        return (
            f"Every optimizer tried {self._n_rates} base rates{scaled} at every batch with seed "
            f"{self.seeds[0]}; the one with the best final test accuracy is shown (of equal ones, "
            "the lower loss). Choosing by test accuracy flatters all optimizers alike."
        )


def plan_sweep(
    base: RunConfig,
    batches: Sequence[int],
    optimizers: Sequence[str],
    seeds: Sequence[int],
    rates: Mapping[str, Sequence[Fraction]],
) -> SweepPlan:
    """Return the plan of a sweep, all of whose configurations are allowed.

    Parameters
    ----------
    base : what the trials share; its batch, seed, optimizer's name and base rate are replaced.
    batches, optimizers, seeds : each without repeats.
    rates : base rates to try by optimizer, as many for each; empty for one by rule.

    Raises
    ------
    ArgumentError
        If an optimizer is unknown, a list is empty or repeats a value, or optimizers have
        different numbers of rates.
    ConfigError
        If a trial's configuration is not allowed.
    """
    _check_lists(batches, optimizers, seeds)
    _check_rates(optimizers, rates)
    if base.train.batch_schedule:
        raise ConfigError(
            "train.batch_schedule: a sweep chooses the global batch; leave the schedule out"
        )
    plan = SweepPlan(
        base,
        tuple(sorted(batches)),
        tuple(optimizers),
        tuple(seeds),
        {name: tuple(rates[name]) for name in optimizers if rates},
    )
    for optimizer, batch in plan.points:
        try:
            for trial in plan.first_trials(optimizer, batch):
                plan.later_trials(trial)
        except ConfigError as error:
            raise ConfigError(f"sweep of {optimizer} at batch {batch}: {error}") from None
    return plan


def _check_lists(batches: Sequence[int], optimizers: Sequence[str], seeds: Sequence[int]) -> None:
    named: dict[str, Sequence[Any]] = {
        "--batches": batches,
        "--optimizers": optimizers,
        "--seeds": seeds,
    }
    for option, values in named.items():
        if not values:
            raise ArgumentError(f"{option}: empty; give at least one value")
        repeated = next((value for value in values if list(values).count(value) > 1), None)
        if repeated is not None:
            raise ArgumentError(f"{option}: {repeated} is listed twice")
    for name in optimizers:
        if name not in OPTIMIZERS:
            raise ArgumentError(
                f"--optimizers: {name!r} is not allowed; it must be one of {', '.join(OPTIMIZERS)}"
            )


def _check_rates(optimizers: Sequence[str], rates: Mapping[str, Sequence[Fraction]]) -> None:
    for name, values in rates.items():
        if name not in optimizers:
            raise ArgumentError(
                f"--rates: {name!r} is not one of the swept optimizers, {', '.join(optimizers)}"
            )
        if len(set(values)) < len(values):
            raise ArgumentError(f"--rates: {name} lists a rate twice")
    if not rates:
        return
    missing = [name for name in optimizers if not rates.get(name)]
    if missing:
        raise ArgumentError(f"--rates: none for {missing[0]}; give every optimizer as many")
    counts = {name: len(rates[name]) for name in optimizers}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise ArgumentError(f"--rates: {listed}; a fair comparison tries as many for each")


def default_schedule(base: RunConfig, optimizer: str) -> LrScheduleConfig:
    """Return the learning rate where none were given to try.

    sgd: the configuration's base rate scaled linearly with the batch (Goyal et al. 2017), from
    the configuration's own batch unless it says how to scale. Others: as the configuration has it.
    """
    schedule = base.lr_schedule
    if optimizer == "sgd" and schedule.scale == "none":
        return replace(schedule, scale="linear", scale_batch=base.train.global_batch)
    return schedule


def choose(tried: Sequence[Outcome]) -> int:
    """Return the index of the best outcome: most images right, then lowest loss, then rate."""
    return min(
        range(len(tried)),
        key=lambda i: (-tried[i].top1, tried[i].loss, Fraction(tried[i].base_lr)),
    )


COLUMNS = ("optimizer", "batch", "steps", "peak lr", "accuracy %", "low", "high", "loss")
"""Of the table, which fits 80 characters; low and high are those of several seeds."""


def table_rows(points: Sequence[Point]) -> list[list[str]]:
    """Return a row of text for each point, under `COLUMNS`, by optimizer and batch."""
    order = list(dict.fromkeys(point.first.optimizer for point in points))
    ranked = sorted(points, key=lambda p: (order.index(p.first.optimizer), p.first.batch))
    return [
        [
            point.first.optimizer,
            f"{point.first.batch:,}",
            f"{point.first.steps:,}",
            f"{point.first.peak_lr:.4g}",
            f"{100 * point.mean:.2f}",
            *_range(point.accuracies),
            f"{sum(o.loss for o in point.outcomes) / len(point.outcomes):.4f}",
        ]
        for point in ranked
    ]


def _range(accuracies: Sequence[float]) -> tuple[str, str]:
    """Return lowest and highest accuracy in percent; nothing for one seed."""
    if len(accuracies) == 1:
        return "", ""
    return f"{100 * min(accuracies):.2f}", f"{100 * max(accuracies):.2f}"


def markdown(title: str, points: Sequence[Point], notes: Sequence[str], plot: str) -> str:
    """Return the results as a page: table, notes, plot, and the rates that were tried."""
    seeds = max(len(point.outcomes) for point in points)
    counted = "one seed" if seeds == 1 else f"mean, lowest and highest of {seeds} seeds"
    parts = [
        f"# {title}",
        _markdown_table(COLUMNS, table_rows(points)),
        f"Test accuracy: {counted}. " + " ".join(notes),
        f"![Test accuracy over the global batch]({plot})",
    ]
    if any(len(point.tried) > 1 for point in points):
        rows = [
            [
                point.first.optimizer,
                f"{point.first.batch:,}",
                ", ".join(f"{o.base_lr}: {100 * o.accuracy:.2f}" for o in point.tried),
            ]
            for point in points
        ]
        parts += [
            f"Base rates tried with seed {points[0].first.seed}, and the accuracy (%) of each:",
            _markdown_table(("optimizer", "batch", "rate: accuracy"), rows),
        ]
    return "\n\n".join(parts) + "\n"


def _markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose columns but the first are aligned to the right."""
    rule = ["---", *["---:"] * (len(columns) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [columns, rule, *rows])


def as_json(points: Sequence[Point], notes: Sequence[str]) -> dict[str, Any]:
    """Return the results as JSON values."""
    return {
        "notes": list(notes),
        "points": [
            {
                "optimizer": point.first.optimizer,
                "batch": point.first.batch,
                "base_lr": point.first.base_lr,
                "peak_lr": point.first.peak_lr,
                "steps": point.first.steps,
                "accuracy": point.mean,
                "accuracy_low": min(point.accuracies),
                "accuracy_high": max(point.accuracies),
                "runs": [asdict(outcome) for outcome in point.outcomes],
                "tried": [asdict(outcome) for outcome in point.tried],
            }
            for point in points
        ],
    }
