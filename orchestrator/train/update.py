"""One update: the optimizer's scalars worked out and handed to the board."""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from orchestrator.boards.base import Board
from orchestrator.optim import (
    Norms,
    StepRates,
    UpdatePlan,
    rmsprop_scalars,
    rmsprop_update,
)

SecondMoments = dict[str, NDArray[np.int64]]
"""RMSprop's running squares by parameter name, 2^-56; empty for other optimizers."""


def fresh_second_moments(plan: UpdatePlan, board: Board) -> SecondMoments:
    """Return the optimizer's state beside momentum at the start of a training."""
    if plan.optimizer.name != "rmsprop_warmup":
        return {}
    return {name: np.zeros(view.shape, np.int64) for name, view in board.masters.views.items()}


def apply_update(
    board: Board,
    plan: UpdatePlan,
    rates: StepRates,
    epoch: Fraction,
    second_moments: SecondMoments,
) -> None:
    """Step the board's parameters by its reduced gradient.

    Parameters
    ----------
    board : after the exchange of the step.
    plan, rates : the optimizer and its rates in this step.
    epoch : with its exact fraction.
    second_moments : updated in place.
    """
    exponents = board.gradient_exponents()
    if plan.optimizer.name == "rmsprop_warmup":
        for name, exponent in exponents.items():
            rmsprop_update(
                board.masters.views[name],
                board.momentum.views[name],
                board.gradients.views[name],
                second_moments[name],
                rmsprop_scalars(plan, name, rates, exponent, epoch),
            )
        return
    norms: dict[str, Norms] = board.norms(plan.trusted)
    scalars = {
        name: plan.scalars(name, rates, exponent, norms.get(name))
        for name, exponent in exponents.items()
    }
    board.update(scalars, plan.ahead)
