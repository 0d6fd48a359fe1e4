"""Decisions that follow from evaluations: lowering the learning rate, stopping early.

They look at exact counts of correct images only, so they fall the same way at every rank count.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from orchestrator.config import EarlyStopConfig, LrScheduleConfig
from orchestrator.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class Watch:
    """The best count seen, and how many evaluations have not beaten it since."""

    best: int | None = None
    waited: int = 0

    def after(self, correct: int, min_delta: int) -> "Watch":
        """Return the watch after an evaluation with `correct` correct images."""
        if self.best is None or correct >= self.best + min_delta:
            return Watch(correct, 0)
        return Watch(self.best, self.waited + 1)


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """What a schedule remembers between steps; part of a checkpoint.

    Parameters
    ----------
    rate, stop
        Watches for the plateau schedule and the early stop.
    reductions
        How often the plateau schedule has lowered the rate.
    lr_previous
        Learning rate of the last step taken, None before the first.
    """

    rate: Watch = Watch()
    stop: Watch = Watch()
    reductions: int = 0
    lr_previous: Fraction | None = None

    def after_step(self, lr: Fraction) -> "ScheduleState":
        """Return the state after a step at the rate `lr`."""
        return replace(self, lr_previous=lr)

    def after_evaluation(
        self, correct: int, schedule: LrScheduleConfig, early_stop: EarlyStopConfig | None
    ) -> "ScheduleState":
        """Return the state after an evaluation with `correct` correct images."""
        state = self
        if schedule.decay == "plateau":
            rate = state.rate.after(correct, schedule.plateau.min_delta)
            if rate.waited >= schedule.plateau.patience:
                rate = Watch(rate.best, 0)
                state = replace(state, reductions=state.reductions + 1)
            state = replace(state, rate=rate)
        if early_stop is not None:
            state = replace(state, stop=state.stop.after(correct, early_stop.min_delta))
        return state

    def stops(self, early_stop: EarlyStopConfig | None) -> bool:
        """Return whether the training should stop now."""
        return early_stop is not None and self.stop.waited >= early_stop.patience

    def to_dict(self) -> dict[str, Any]:
        """Return the state as JSON values; the rate as exact text."""
        return {
            "rate": [self.rate.best, self.rate.waited],
            "stop": [self.stop.best, self.stop.waited],
            "reductions": self.reductions,
            "lr_previous": None if self.lr_previous is None else str(self.lr_previous),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ScheduleState":
        """Return the state that `to_dict` wrote; an empty mapping is the state at the start.

        Raises
        ------
        CheckpointError
            If the mapping holds something else.
        """
        if not values:
            return cls()
        try:
            previous = values["lr_previous"]
            return cls(
                rate=Watch(*values["rate"]),
                stop=Watch(*values["stop"]),
                reductions=int(values["reductions"]),
                lr_previous=None if previous is None else Fraction(previous),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"schedule state {dict(values)!r} is not one that a training wrote ({error}); "
                "use another checkpoint"
            ) from None
