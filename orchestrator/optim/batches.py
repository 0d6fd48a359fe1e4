"""The steps of a training: which epoch, position and global batch each step has."""

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from orchestrator.config import TrainConfig
from orchestrator.errors import ArgumentError, ConfigError


@dataclass(frozen=True, slots=True)
class Position:
    """Where a step lies: its epoch, its index in the epoch, and the epoch's shape."""

    epoch: int
    index: int
    steps: int
    batch: int

    @property
    def exact_epoch(self) -> Fraction:
        """The epoch with its exact fraction: 3 + index / steps in epoch 3."""
        return self.epoch + Fraction(self.index, self.steps)


class Phase(NamedTuple):
    """Consecutive epochs with one global batch."""

    first_epoch: int
    first_step: int
    batch: int
    steps: int


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """The global batch of every epoch, and the steps that follow from the number of samples.

    The last incomplete global batch of an epoch is dropped; another epoch shuffles anew.

    Parameters
    ----------
    phases
        By rising epoch, the first at epoch 0.
    epochs
        Length of the training.
    max_steps
        Most steps of the training, or None.
    """

    phases: tuple[Phase, ...]
    epochs: int
    max_steps: int | None = None

    @property
    def total_steps(self) -> int:
        """Steps of the whole training."""
        last = self.phases[-1]
        steps = last.first_step + (self.epochs - last.first_epoch) * last.steps
        return steps if self.max_steps is None else min(steps, self.max_steps)

    def batch(self, epoch: int) -> int:
        """Return the global batch of an epoch, images."""
        return self._phase(epoch).batch

    def steps(self, epoch: int) -> int:
        """Return how many steps an epoch has."""
        return self._phase(epoch).steps

    def first_step(self, epoch: int) -> int:
        """Return the number of the first step of an epoch."""
        phase = self._phase(epoch)
        return phase.first_step + (epoch - phase.first_epoch) * phase.steps

    def position(self, step: int) -> Position:
        """Return where a step lies; steps count from 0 over the whole training."""
        if step < 0:
            raise ArgumentError(f"step {step} is not allowed; steps count from 0")
        number = bisect_right(self.phases, step, key=lambda phase: phase.first_step) - 1
        phase = self.phases[number]
        epochs, index = divmod(step - phase.first_step, phase.steps)
        return Position(phase.first_epoch + epochs, index, phase.steps, phase.batch)

    def _phase(self, epoch: int) -> Phase:
        """Return the phase an epoch belongs to."""
        number = bisect_right(self.phases, epoch, key=lambda phase: phase.first_epoch) - 1
        return self.phases[number]


def plan_batches(train: TrainConfig, samples: int) -> BatchPlan:
    """Return the batch plan of a training on `samples` images.

    Raises
    ------
    ConfigError
        If a global batch is larger than the data set.

    Examples
    --------
    >>> plan = plan_batches(TrainConfig(global_batch=32, epochs=3, batch_schedule=((2, 64),)), 100)
    >>> plan.total_steps, plan.position(6)
    (7, Position(epoch=2, index=0, steps=1, batch=64))
    """
    changes = [change for change in train.batch_schedule if change[0] < train.epochs]
    phases: list[Phase] = []
    first_step = 0
    for epoch, batch in [(0, train.global_batch), *changes]:
        if batch > samples:
            raise ConfigError(
                f"train.global_batch: {batch} images in epoch {epoch}, but the data set has "
                f"{samples}; a step needs one whole global batch, use at most {samples}"
            )
        if phases:
            first_step += (epoch - phases[-1].first_epoch) * phases[-1].steps
        phases.append(Phase(epoch, first_step, batch, samples // batch))
    return BatchPlan(tuple(phases), train.epochs, train.max_steps)
