"""The state of a training: everything the next step depends on, all of it integers and text."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MASTER_EXPONENT = -28
"""Master weights: int32 on the grid 2^-28 (numerics page, section 3)."""

MOMENTUM_EXPONENT = -30
"""Momentum: int32 on the grid 2^-30, in weight units."""

RUNNING_EXPONENT = -28
"""Running mean and variance of batch norm: int64 on the grid 2^-28."""

SECOND_MOMENT_EXPONENT = -56
"""Second moments of RMSprop: int64 on the grid 2^-56."""

RUNNING_LIMIT = 2**46
"""Largest magnitude of a running statistic on its grid."""

MASTER_LIMIT = 2**31 - 1
"""Largest magnitude of a master weight on its grid: weights are smaller than 8."""


class ResumePoint(NamedTuple):
    """Where a resumed run goes on: what its logs keep of the run before.

    Attributes
    ----------
    step : updates done in the checkpoint.
    evaluated : step of the last evaluation the checkpoint knows of; an evaluation of a later
        state, also of the checkpoint's own, is made again.
    """

    step: int
    evaluated: int


@dataclass
class TrainState:
    """Everything a training continues from.

    Arrays are in the internal layout (convolutions K, R, S, C; dense K, C) and keyed by parameter
    name (``layer1.0.conv1.weight``) or buffer name (``layer1.0.bn1.running_mean``).

    Attributes
    ----------
    network : name of the network (``model.name``).
    masters : int32 master weights, grid 2^-28.
    momentum : int32 momentum, grid 2^-30, with the shape of its master.
    extra : int64 second moments, grid 2^-56, of an optimizer that keeps them.
    running : int64 running means and variances, grid 2^-28, one value a channel.
    histories : per tensor the last absolute bit lengths, newest last; None for an all-zero step.
    step : optimizer updates done so far.
    epoch : epochs finished so far, that is the number (from 0) of the epoch under way.
    epoch_step : updates done in the epoch under way: the position of the sampler.
    schedule : what learning-rate and early-stop rules remember, as JSON values.
    evaluated : step of the last evaluation, 0 before the first.
    config_text : the resolved configuration, as ``config.yaml`` holds it.
    decoder : version of the image decoder and resizer the pixels came from.
    seed : ``train.seed``.
    """

    network: str
    masters: dict[str, NDArray[np.int32]]
    momentum: dict[str, NDArray[np.int32]]
    running: dict[str, NDArray[np.int64]]
    extra: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    histories: dict[str, list[int | None]] = field(default_factory=dict)
    step: int = 0
    epoch: int = 0
    epoch_step: int = 0
    schedule: dict[str, Any] = field(default_factory=dict)
    evaluated: int = 0
    config_text: str = ""
    decoder: str = ""
    seed: int = 0

    @property
    def resume_point(self) -> ResumePoint:
        """Where a run resumed from this state goes on."""
        return ResumePoint(self.step, self.evaluated)
