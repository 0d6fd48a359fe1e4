"""From the configuration and a step's rates to the scalars of each parameter's update."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import NamedTuple, Protocol

from orchestrator.config import OptimizerConfig
from orchestrator.dfp import mantissa16
from orchestrator.errors import ConfigError
from orchestrator.optim.lars import Norms, trust_ratio

Scalar = tuple[int, int]
"""A rational as (m, e): m * 2^e with 2^15 <= |m| < 2^16, or (0, 0)."""

KINDS = {"norm": ("gamma", "beta"), "bias": ("bias",)}
"""Words of `optimizer.exclude`, and the kinds of parameters each stands for."""


class Named(Protocol):
    """What an update plan needs to know of a parameter."""

    @property
    def name(self) -> str:
        """The parameter's name, such as layer1.0.conv1.weight."""

    @property
    def kind(self) -> str:
        """One of conv, dense, gamma, beta, bias."""


class Scalars(NamedTuple):
    """M, L and D of the kernel `update`: v <- M v + L G + D w; w <- w - v.

    L holds the exponent of the summed gradient G, so it applies to G's integers.
    """

    momentum: Scalar
    gradient: Scalar
    decay: Scalar


class StepRates(NamedTuple):
    """What all parameters of one step share.

    Parameters
    ----------
    lr, lr_previous
        Learning rate of this step and of the step before (None at the first).
    samples
        Images of the global batch.
    """

    lr: Fraction
    lr_previous: Fraction | None
    samples: int


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """The update rule for every parameter of one network.

    Parameters
    ----------
    optimizer
        The section `optimizer`.
    excluded
        Names of the parameters without weight decay and trust ratio.
    trusted
        Names of the parameters whose norms LARS needs, in the network's order.
    """

    optimizer: OptimizerConfig
    excluded: frozenset[str]
    trusted: tuple[str, ...]

    def weight_decay(self, name: str) -> Fraction:
        """Return the weight decay of a parameter."""
        return Fraction(0) if name in self.excluded else self.optimizer.weight_decay

    def momentum(self, rates: StepRates) -> Fraction:
        """Return the factor of the old momentum.

        Momentum is kept in weight units, so the unscaled form multiplies by lr_t / lr_(t-1). At
        the first step, and after a step at rate 0, there is nothing to carry over and the factor
        is the plain momentum.
        """
        if self.optimizer.momentum_form == "scaled" or not rates.lr_previous:
            return self.optimizer.momentum
        return self.optimizer.momentum * rates.lr / rates.lr_previous

    @property
    def ahead(self) -> Scalar | None:
        """Nesterov's momentum: always the plain one, as the rate is already in the momentum."""
        return mantissa16(self.optimizer.momentum) if self.optimizer.nesterov else None

    def scalars(
        self,
        name: str,
        rates: StepRates,
        gradient_exponent: int | None,
        norms: Norms | None = None,
    ) -> Scalars:
        """Return the scalars of one parameter's update by sgd or lars.

        Parameters
        ----------
        name
            The parameter.
        rates
            Rates and samples of the step.
        gradient_exponent
            Exponent of the summed gradient G; None for a gradient without history, which counts
            as zero.
        norms
            Norms of w and G; needed for the names in `trusted`.
        """
        ratio = Fraction(1)
        if norms is not None and name not in self.excluded and self.optimizer.name == "lars":
            ratio = trust_ratio(self.optimizer, norms, rates.samples)
        step = rates.lr * ratio
        return Scalars(
            mantissa16(self.momentum(rates)),
            gradient_scalar(step / rates.samples, gradient_exponent),
            mantissa16(step * self.weight_decay(name)),
        )


def gradient_scalar(value: Fraction, gradient_exponent: int | None) -> Scalar:
    """Return `value` times the gradient's unit as (m, e); (0, 0) for one without history."""
    m, exponent = mantissa16(value)
    return (m, exponent + gradient_exponent) if m and gradient_exponent is not None else (0, 0)


def plan_updates(optimizer: OptimizerConfig, parameters: Sequence[Named]) -> UpdatePlan:
    """Return the update plan of a network's parameters.

    Raises
    ------
    ConfigError
        If a pattern of `optimizer.exclude` matches no parameter.
    """
    excluded: set[str] = set()
    for pattern in optimizer.exclude:
        kinds = KINDS.get(pattern)
        found = {
            parameter.name
            for parameter in parameters
            if (parameter.kind in kinds if kinds else fnmatchcase(parameter.name, pattern))
        }
        if not found and kinds is None:
            names = ", ".join(parameter.name for parameter in parameters[:4])
            raise ConfigError(
                f"optimizer.exclude: {pattern!r} matches no parameter of this network; allowed "
                f"are norm, bias and patterns of names such as {names}"
            )
        excluded |= found
    trusted: tuple[str, ...] = ()
    if optimizer.name == "lars":
        trusted = tuple(p.name for p in parameters if p.name not in excluded)
    return UpdatePlan(optimizer, frozenset(excluded), trusted)
