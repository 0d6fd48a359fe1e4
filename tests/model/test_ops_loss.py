"""Softmax, loss and top-k of the oracle against float64."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.dfp import LIMIT13, LIMIT16, dither
from orchestrator.model import ops
from orchestrator.model.ops_loss import LN2_Q24, exponential_table, logarithm_table, softmax_q24

# log2(e) to 14 bits, linear interpolation over 1/128 of an octave and 10 bits of its argument:
# relative errors of e^z up to 5e-6 z, 3.7e-6 and 5.3e-6; p moves by p (1 - p) times their spread.
P_TOLERANCE = 5e-6
# The loss takes z exactly; ln is interpolated linearly over 1/128 (7.6e-6) beside the errors of S.
LOSS_TOLERANCE = 1.3e-5


def logits16(n: int, classes: int, limit: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(-limit, limit, (n, classes), dtype=np.int16, endpoint=True)


def below(logits: np.ndarray) -> np.ndarray:
    return logits.max(axis=1, keepdims=True).astype(np.int64) - logits


def labels_for(logits: np.ndarray) -> np.ndarray:
    n, classes = logits.shape
    return np.random.default_rng(2).integers(0, classes, n).astype(np.int32)


def test_tables() -> None:
    exponentials, logarithms = exponential_table(), logarithm_table()
    assert (exponentials.size, logarithms.size) == (129, 129)
    assert (exponentials[0], exponentials[128]) == (2**30, 2**29)
    assert (logarithms[0], logarithms[128]) == (0, LN2_Q24)
    x = np.arange(129) / 128
    assert np.array_equal(exponentials, np.floor(2.0 ** (30 - x) + 0.5))
    assert np.array_equal(logarithms, np.floor(np.log1p(x) * 2**24 + 0.5))


@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("limit", [300, 3000, LIMIT16])
def test_softmax_is_close_to_float64(classes: int, limit: int) -> None:
    logits = logits16(300, classes, limit)
    p, _ = softmax_q24(below(logits))
    exact = torch.softmax(torch.tensor(logits / 1024.0), dim=1).numpy()
    assert np.abs(p / 2**24 - exact).max() < P_TOLERANCE
    assert np.abs(p.sum(axis=1) - 2**24).max() <= classes // 2


@pytest.mark.parametrize("smoothing", [Fraction(0), Fraction(1, 10)])
@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_loss_is_close_to_float64(classes: int, smoothing: Fraction) -> None:
    logits = logits16(200, classes, 6000)
    labels = labels_for(logits)
    targets = ops.loss_targets(classes, smoothing)
    assert targets[0] + (classes - 1) * targets[1] == 2**24
    weights = np.full(logits.shape, targets[1] / 2**24)
    weights[np.arange(200), labels] = targets[0] / 2**24
    minus_log = -torch.log_softmax(torch.tensor(logits / 1024.0), dim=1).numpy()
    for i in range(200):
        row, label = logits[i : i + 1], labels[i : i + 1]
        loss, _ = ops.softmax_loss(row, label, *targets, 0, np.empty_like(row))
        assert loss / 2**24 == pytest.approx((minus_log[i] * weights[i]).sum(), abs=LOSS_TOLERANCE)


def test_error_is_p_minus_t_with_its_dither() -> None:
    logits = logits16(20, 10, 3000)
    labels = labels_for(logits)
    t_on, t_off = ops.loss_targets(10, Fraction(1, 10))
    e = np.empty_like(logits)
    ops.softmax_loss(logits, labels, t_on, t_off, 99, e)
    p, _ = softmax_q24(below(logits))
    noise = dither(logits.size, 99, 16).tolist()
    for i in range(20):
        for k in range(10):
            difference = int(p[i, k]) - (t_on if labels[i] == k else t_off)
            expected = (difference + (noise[i * 10 + k] >> 4)) >> 12
            assert e[i, k] == max(-LIMIT13, min(LIMIT13, expected))


@pytest.mark.parametrize("right", [True, False])
def test_extreme_logits(right: bool) -> None:
    logits = np.full((1, 4), -LIMIT16, np.int16)
    logits[0, 2] = LIMIT16
    e = np.empty_like(logits)
    label = np.array([2 if right else 0], np.int32)
    loss, top1 = ops.softmax_loss(logits, label, 2**24, 0, 0, e)
    assert top1 == right
    if right:
        assert loss == 0
        assert not e.any()
    else:
        assert loss == 2 * LIMIT16 << 14
        assert e.tolist() == [[-LIMIT13, 0, LIMIT13, 0]]


def test_equal_logits_share_the_probability() -> None:
    p, total = softmax_q24(np.zeros((1, 8), np.int64))
    assert p.tolist() == [[2**21] * 8]
    assert total.tolist() == [2**33]


def test_losses_add_over_samples() -> None:
    logits = logits16(30, 10, 3000)
    labels = labels_for(logits)
    targets = ops.loss_targets(10, Fraction(1, 10))
    together = ops.evaluate_logits(logits, labels, *targets)
    single = [
        ops.evaluate_logits(logits[i : i + 1], labels[i : i + 1], *targets) for i in range(30)
    ]
    assert together[:3] == tuple(sum(s[j] for s in single) for j in range(3))
    trained = ops.softmax_loss(logits, labels, *targets, 5, np.empty_like(logits))
    assert trained == together[:2]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12))
def test_top_k_breaks_ties_by_class_index(seed: int, classes: int) -> None:
    logits = logits16(8, classes, 3, seed)
    labels = labels_for(logits)
    _, top1, top5, predicted = ops.evaluate_logits(logits, labels, 2**24, 0)
    ranked = [sorted(range(classes), key=lambda k, row=row: (-row[k], k)) for row in logits]
    assert predicted.tolist() == [order[0] for order in ranked]
    assert top1 == sum(y == order[0] for y, order in zip(labels, ranked, strict=True))
    assert top5 == sum(y in order[:5] for y, order in zip(labels, ranked, strict=True))
    assert predicted.dtype == np.int32
