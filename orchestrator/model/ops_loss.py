"""Oracle of the loss: softmax, its error, -log p, and top-k counts (docs/numerics.md, section 6).

Logits are int16 at 2^-10, probabilities Q0.24, losses Q24; labels are 0 .. classes - 1.
"""

from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from typing import Final

import numpy as np

from orchestrator.dfp import (
    LIMIT13,
    Int16,
    Int32,
    Int64,
    bit_length,
    dither,
    half_up_rational,
    saturate,
)

LN2_Q24: Final = 11629080
_LOG2_E_Q14: Final = 23637


def loss_targets(classes: int, smoothing: Fraction) -> tuple[int, int]:
    """Return (t_on, t_off) in Q24: the target of the label's class, and of every other."""
    t_off = half_up_rational(smoothing / classes, -24)
    return (1 << 24) - (classes - 1) * t_off, t_off


@cache
def exponential_table() -> Int64:
    """Return half_up(2^(30 - i/128)) for i = 0 .. 128."""
    with localcontext() as context:
        context.prec = 40
        step = Decimal(2) ** (Decimal(-1) / 128)
        values = [_nearest(Decimal(2) ** 30 * step**i) for i in range(129)]
    return np.array(values, dtype=np.int64)


@cache
def logarithm_table() -> Int64:
    """Return half_up(ln(1 + j/128) * 2^24) for j = 0 .. 128."""
    with localcontext() as context:
        context.prec = 40
        values = [_nearest((1 + Decimal(j) / 128).ln() * 2**24) for j in range(129)]
    return np.array(values, dtype=np.int64)


def softmax_loss(
    logits: Int16, labels: Int32, t_on: int, t_off: int, seed: int, e: Int16
) -> tuple[int, int]:
    """Write the error p - t at 2^-12, dithered to 13 bits, and return the loss.

    Parameters
    ----------
    logits : [n, classes].
    labels : [n].
    t_on, t_off : targets, from `loss_targets`.
    seed : of the dither; the element's index runs over [n, classes].
    e : output [n, classes].

    Returns
    -------
    The sum of the samples' losses in Q24, and how many samples have the label on top.
    """
    below = logits.max(axis=1, keepdims=True).astype(np.int64) - logits
    probability, total = softmax_q24(below)
    error = probability - t_off
    error[np.arange(labels.size), labels] += t_off - t_on
    noise = dither(logits.size, seed, 12).reshape(logits.shape)
    e[...] = saturate((error + noise) >> 12, LIMIT13)[0]
    loss = _sample_losses(below, total, labels, t_on, t_off)
    return int(loss.sum()), int(np.count_nonzero(_rank(logits, labels) < 1))


def evaluate_logits(
    logits: Int16, labels: Int32, t_on: int, t_off: int
) -> tuple[int, int, int, Int32]:
    """Return the summed loss in Q24, the top-1 and the top-5 count, and each sample's class.

    Parameters
    ----------
    logits : [n, classes].
    labels : [n].
    t_on, t_off : targets, from `loss_targets`.
    """
    below = logits.max(axis=1, keepdims=True).astype(np.int64) - logits
    loss = _sample_losses(below, _exponentials(below).sum(axis=1), labels, t_on, t_off)
    rank = _rank(logits, labels)
    predicted = logits.argmax(axis=1).astype(np.int32)
    return int(loss.sum()), int((rank < 1).sum()), int((rank < 5).sum()), predicted


def softmax_q24(below: Int64) -> tuple[Int64, Int64]:
    """Return probabilities [n, classes] in Q0.24, and each sample's sum of exponentials in Q30.

    Parameters
    ----------
    below : [n, classes], how far each logit is below its sample's largest, unit 2^-10.
    """
    powers = _exponentials(below)
    total: Int64 = powers.sum(axis=1)
    return ((powers << 24) + (total >> 1)[:, None]) // total[:, None], total


def _exponentials(below: Int64) -> Int64:
    """Return e^(-z) in Q30 for z = below * 2^-10 >= 0, by a table with linear interpolation."""
    table = exponential_table()
    t = below * _LOG2_E_Q14
    i = (t >> 17) & 127
    r = (t & 0x1FFFF) >> 7
    powers: Int64 = (table[i] - (((table[i] - table[i + 1]) * r) >> 10)) >> np.minimum(t >> 24, 40)
    return powers


def _sample_losses(below: Int64, total: Int64, labels: Int32, t_on: int, t_off: int) -> Int64:
    """Return each sample's cross-entropy in Q24; `total` is the sum of its exponentials."""
    table = logarithm_table()
    doublings = bit_length(total) - 31
    scaled = total >> doublings
    j = (scaled >> 23) & 127
    u = scaled & 0x7FFFFF
    log_total = doublings * LN2_Q24 + table[j] + (((table[j + 1] - table[j]) * u) >> 23)
    minus_log = (below << 14) + log_total[:, None]
    own = minus_log[np.arange(labels.size), labels]
    losses: Int64 = (t_on * own + t_off * (minus_log.sum(axis=1) - own)) >> 24
    return losses


def _rank(logits: Int16, labels: Int32) -> Int64:
    """Return how many classes come before the label: larger logit, or equal and smaller index."""
    own = logits[np.arange(labels.size), labels][:, None]
    earlier = np.arange(logits.shape[1])[None, :] < labels[:, None]
    before: Int64 = ((logits > own) | ((logits == own) & earlier)).sum(axis=1)
    return before


def _nearest(value: Decimal) -> int:
    """Return a positive decimal rounded half up."""
    return int(value + Decimal("0.5"))
