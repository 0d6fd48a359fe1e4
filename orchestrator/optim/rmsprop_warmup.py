"""RMSprop that turns into momentum SGD (Akiba et al. 2017), in exact integers.

``m <- mu2 m + (1 - mu2) g^2``, ``v <- mu1 v + (a lr + (1 - a) lr_rms / (sqrt(m) + eps)) g``,
``w <- w - v``, where a rises from almost 0 to 1. The integers are those of docs/numerics.md,
section 7.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from orchestrator.config import OptimizerConfig
from orchestrator.dfp import (
    LIMIT32,
    MASTER_EXPONENT,
    MOMENTUM_EXPONENT,
    Int32,
    Int64,
    half_up,
    half_up_rational,
    half_up_saturating,
    integer_sqrt,
    mantissa16,
    saturate,
)
from orchestrator.optim.exact import exponential
from orchestrator.optim.plan import Scalar, StepRates, UpdatePlan, gradient_scalar

TERM_EXPONENT = -46
TERM_LIMIT_BITS = 60
GRADIENT_EXPONENT = -28
SECOND_MOMENT_EXPONENT = 2 * GRADIENT_EXPONENT
ROOT_EXPONENT = -32
QUOTIENT_EXPONENT = -24
KEEP_BITS = 24
BLOCK = 1 << 14


class RmspropScalars(NamedTuple):
    """The scalars of one parameter's update.

    Parameters
    ----------
    momentum, gradient, decay
        The momentum; 1 / samples times the gradient's unit; the weight decay.
    sgd, rms
        Rates of the two parts: a * lr and (1 - a) * lr_rms.
    renewal
        1 - mu2 on the grid 2^-24.
    epsilon
        On the grid 2^-32, at least 1.
    """

    momentum: Scalar
    gradient: Scalar
    decay: Scalar
    sgd: Scalar
    rms: Scalar
    renewal: int
    epsilon: int


def sgd_share(optimizer: OptimizerConfig, epoch: Fraction) -> Fraction:
    """Return a, the share of SGD at an epoch: 1/2 at `blend_center`, 1 half a period later.

    Before the centre c it is ``exp(2 (epoch - c) / period) / 2``, then ``1/2 + (epoch - c) /
    period``: value and slope meet at the centre. (The paper's text is read differently by its
    reproductions; only this slope is continuous and reaches 1 where the text says.)
    """
    distance = (epoch - optimizer.blend_center) / optimizer.blend_period
    if distance < 0:
        return exponential(2 * distance) / 2
    return min(Fraction(1, 2) + distance, Fraction(1))


def rmsprop_scalars(
    plan: UpdatePlan, name: str, rates: StepRates, gradient_exponent: int | None, epoch: Fraction
) -> RmspropScalars:
    """Return the scalars of one parameter's update at an epoch with its exact fraction."""
    optimizer = plan.optimizer
    share = sgd_share(optimizer, epoch)
    return RmspropScalars(
        momentum=mantissa16(plan.momentum(rates)),
        gradient=gradient_scalar(Fraction(1, rates.samples), gradient_exponent),
        decay=mantissa16(plan.weight_decay(name)),
        sgd=mantissa16(share * rates.lr),
        rms=mantissa16((1 - share) * optimizer.rms_lr),
        renewal=half_up_rational(1 - optimizer.rms_decay, -KEEP_BITS),
        epsilon=max(1, half_up_rational(optimizer.rms_epsilon, ROOT_EXPONENT)),
    )


def rmsprop_update(
    w: Int32, v: Int32, g: Int32, second: Int64, scalars: RmspropScalars
) -> tuple[int, int]:
    """Update masters, momentum and second moments in place; return how many saturated.

    Parameters
    ----------
    w, v, g
        Masters (2^-28), momentum (2^-30) and summed gradient of one parameter, any equal shape,
        C-contiguous.
    second
        Second moments on the grid 2^-56, at least 0.
    scalars
        The step's scalars.

    Returns
    -------
    saturated_v, saturated_w
        Elements clamped to +-(2^31 - 1).
    """
    w, v, g, second = w.reshape(-1), v.reshape(-1), g.reshape(-1), second.reshape(-1)
    saturated_v = saturated_w = 0
    for start in range(0, second.size, BLOCK):
        part = slice(start, start + BLOCK)
        counts = _update_block(w[part], v[part], g[part], second[part], scalars)
        saturated_v, saturated_w = saturated_v + counts[0], saturated_w + counts[1]
    return saturated_v, saturated_w


def _update_block(
    w: Int32, v: Int32, g: Int32, second: Int64, scalars: RmspropScalars
) -> tuple[int, int]:
    """Do `rmsprop_update` for so few elements that all intermediate values stay in the cache."""
    masters = w.astype(np.int64)
    total = _term(g.astype(np.int64), scalars.gradient, 0)
    total += _term(masters, scalars.decay, MASTER_EXPONENT)
    gradient, _ = saturate(half_up(total, GRADIENT_EXPONENT - TERM_EXPONENT), LIMIT32)
    change = _term(v.astype(np.int64), scalars.momentum, MOMENTUM_EXPONENT)
    change += _term(gradient, scalars.sgd, GRADIENT_EXPONENT)
    if scalars.gradient[0]:
        renew(second, gradient, scalars.renewal)
        quotient = quotients(gradient, second, scalars.epsilon)
        change += _term(quotient, scalars.rms, QUOTIENT_EXPONENT)
    momentum, saturated_v = saturate(half_up(change, MOMENTUM_EXPONENT - TERM_EXPONENT), LIMIT32)
    weights, saturated_w = saturate(
        masters - half_up(momentum, MASTER_EXPONENT - MOMENTUM_EXPONENT), LIMIT32
    )
    v[...] = momentum
    w[...] = weights
    return saturated_v, saturated_w


def renew(second: Int64, gradient: Int64, renewal: int) -> None:
    """Move second moments towards gradient^2 in place: half_up((g^2 - s) * renewal, 24) is added.

    The product is taken in two halves, so that every step stays inside int64.
    """
    difference = gradient * gradient - second
    low = difference & ((1 << KEEP_BITS) - 1)
    second += (difference >> KEEP_BITS) * renewal + half_up(low * renewal, KEEP_BITS)


def quotients(gradient: Int64, second: Int64, epsilon: int) -> Int64:
    """Return gradient / (sqrt(second) + epsilon) on the grid 2^-24, half up, clamped to +-128."""
    small = second < 1 << 54
    root = np.where(small, integer_sqrt(np.where(small, second << 8, 0)), integer_sqrt(second) << 4)
    below = root + epsilon
    quotient = ((gradient << 29) + below) // (2 * below)
    return saturate(quotient, LIMIT32)[0]


def _term(x: Int64, scalar: Scalar, exponent: int) -> Int64:
    """Return x * 2^exponent times a scalar on the grid 2^-46, half up; it saturates at +-2^60."""
    m, scalar_exponent = scalar
    shift = TERM_EXPONENT - (exponent + scalar_exponent)
    return half_up_saturating(x * m, shift, TERM_LIMIT_BITS) if m else np.zeros_like(x)
