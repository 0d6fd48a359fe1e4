"""Optimizers as a model is compiled with them: an update rule and its learning rate."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from orchestrator.config import LrScheduleConfig, OptimizerConfig
from orchestrator.errors import ArgumentError, ConfigError

Number = Fraction | float | int | str
"""A number; floats are taken by their decimal notation, exactly: 0.1 is 1/10, as is "0.1"."""

Rate = Number | LrScheduleConfig
"""A constant learning rate, or a schedule."""


@dataclass(frozen=True, slots=True)
class SGD:
    """Stochastic gradient descent with momentum.

    Parameters
    ----------
    learning_rate
        A number above 0, or an `orchestrator.config.LrScheduleConfig` with warm-up and decay.
    momentum
        Share of the last change kept, 0 <= momentum < 1.
    nesterov
        Look one momentum step ahead.
    weight_decay
        Added to the gradient: this times the weight.
    exclude
        Parameters without weight decay: "norm", "bias", or patterns of names such as "fc.*".
    momentum_form
        "unscaled" (PyTorch's): the rate multiplies the momentum; "scaled": the rate enters it.
    """

    learning_rate: Rate = Fraction(1, 10)
    momentum: Number = Fraction(9, 10)
    nesterov: bool = False
    weight_decay: Number = 0
    exclude: tuple[str, ...] = ("norm", "bias")
    momentum_form: Literal["scaled", "unscaled"] = "unscaled"

    def section(self) -> OptimizerConfig:
        """Return the update rule as the section `optimizer` of a configuration."""
        return OptimizerConfig(
            name="sgd",
            momentum=exact("momentum", self.momentum),
            nesterov=self.nesterov,
            momentum_form=self.momentum_form,
            weight_decay=exact("weight_decay", self.weight_decay),
            exclude=self.exclude,
        )


@dataclass(frozen=True, slots=True)
class LARS:
    """Layer-wise adaptive rates (You et al. 2017): SGD whose rate each layer scales by |w| / |g|.

    Parameters
    ----------
    learning_rate, momentum, nesterov, weight_decay, momentum_form
        As for `SGD`.
    eta
        Trust coefficient, above 0.
    epsilon
        Added to the ratio's denominator.
    exclude
        Parameters without weight decay and trust ratio.
    """

    learning_rate: Rate = Fraction(1)
    momentum: Number = Fraction(9, 10)
    nesterov: bool = False
    weight_decay: Number = 0
    eta: Number = Fraction(1, 1000)
    epsilon: Number = 0
    exclude: tuple[str, ...] = ("norm", "bias")
    momentum_form: Literal["scaled", "unscaled"] = "unscaled"

    def section(self) -> OptimizerConfig:
        """Return the update rule as the section `optimizer` of a configuration."""
        return OptimizerConfig(
            name="lars",
            momentum=exact("momentum", self.momentum),
            nesterov=self.nesterov,
            momentum_form=self.momentum_form,
            weight_decay=exact("weight_decay", self.weight_decay),
            exclude=self.exclude,
            eta=exact("eta", self.eta),
            epsilon=exact("epsilon", self.epsilon),
        )


Optimizer = SGD | LARS
_BY_NAME: dict[str, type[Optimizer]] = {"sgd": SGD, "lars": LARS}


def find_optimizer(optimizer: Optimizer | str) -> Optimizer:
    """Return an optimizer given as such, or by name with its defaults.

    Raises
    ------
    ArgumentError
        If it is something else, or one of its numbers is not allowed.
    """
    if isinstance(optimizer, str) and optimizer in _BY_NAME:
        optimizer = _BY_NAME[optimizer]()
    if not isinstance(optimizer, SGD | LARS):
        raise ArgumentError(
            f"compile: optimizer {optimizer!r} is not allowed; give SGD(...), LARS(...), "
            "'sgd' or 'lars'"
        )
    try:
        optimizer.section()
        schedule_of(optimizer)
    except ConfigError as error:
        raise ArgumentError(f"compile: {error}") from None
    return optimizer


def schedule_of(optimizer: Optimizer) -> LrScheduleConfig:
    """Return the learning rate as the section `lr_schedule` of a configuration."""
    rate = optimizer.learning_rate
    if isinstance(rate, LrScheduleConfig):
        return rate
    return LrScheduleConfig(base_lr=exact("learning_rate", rate))


def exact(name: str, value: Number) -> Fraction:
    """Return the rational that a number's decimal notation writes.

    Raises
    ------
    ArgumentError
        If it is no finite number.

    Examples
    --------
    >>> exact("momentum", 0.9)
    Fraction(9, 10)
    """
    try:
        return Fraction(repr(value) if isinstance(value, float) else value)
    except (TypeError, ValueError, ZeroDivisionError):
        raise ArgumentError(f"{name}: {value!r} is not a number") from None


def exact_channels(
    name: str, value: Number | Sequence[Number], channels: int
) -> tuple[Fraction, ...]:
    """Return one rational a channel, from one for all channels or one for each.

    Raises
    ------
    ArgumentError
        If their number differs from the number of channels.
    """
    if isinstance(value, Fraction | float | int | str):
        return (exact(name, value),) * channels
    values = tuple(exact(f"{name}[{i}]", item) for i, item in enumerate(value))
    if len(values) != channels:
        raise ArgumentError(f"{name}: {len(values)} values for images of {channels} channels")
    return values
