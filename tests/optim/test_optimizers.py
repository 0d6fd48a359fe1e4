"""Every optimizer: the exact formula on tiny arrays, and a way down a small quadratic."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.config import OptimizerConfig
from orchestrator.model.ops_update import bits_i32, sum_squares, update
from orchestrator.optim import (
    Norms,
    StepRates,
    norm,
    norm_shift,
    plan_updates,
    rmsprop_scalars,
    rmsprop_update,
)

NAME = "fc.weight"
OPTIMIZERS = {
    "sgd": {"name": "sgd"},
    "nesterov": {"name": "sgd", "nesterov": True},
    "scaled": {"name": "sgd", "momentum_form": "scaled"},
    "lars": {"name": "lars", "momentum_form": "scaled", "eta": "1/100"},
    "lars unscaled": {"name": "lars", "momentum_form": "unscaled", "eta": "1/100"},
    "lars nesterov": {"name": "lars", "nesterov": True, "eta": "1/100", "epsilon": "1e-5"},
    "rmsprop_warmup": {"name": "rmsprop_warmup"},
}
GRADIENT_EXPONENT = -26


class Weights:
    """One parameter and its state, updated the way a board does it."""

    def __init__(self, optimizer, values):
        self.w = np.array([round(x * 2**28) for x in values], np.int32)
        self.v = np.zeros_like(self.w)
        self.second = np.zeros(len(values), np.int64)
        self.optimizer = optimizer
        self.plan = plan_updates(optimizer, [])

    def norms(self, g):
        found = []
        for tensor, exponent in ((self.w, -28), (g, GRADIENT_EXPONENT)):
            shift = norm_shift(bits_i32(tensor).bit_length())
            found.append(norm(sum_squares(tensor, shift), exponent + shift))
        return Norms(*found)

    def step(self, gradients, rates, epoch):
        """Apply the summed gradients, given as integers on the grid 2^-26."""
        g = np.array(gradients, np.int32)
        if self.optimizer.name == "rmsprop_warmup":
            scalars = rmsprop_scalars(self.plan, NAME, rates, GRADIENT_EXPONENT, epoch)
            return rmsprop_update(self.w, self.v, g, self.second, scalars)
        scalars = self.plan.scalars(NAME, rates, GRADIENT_EXPONENT, self.norms(g))
        return update(self.w, self.v, g, *scalars, self.plan.ahead)


def optimizer(key, **values):
    return OptimizerConfig(**{"weight_decay": "1e-3", **OPTIMIZERS[key], **values})


@pytest.mark.parametrize("key", [key for key in OPTIMIZERS if key != "rmsprop_warmup"])
@settings(max_examples=40)
@given(
    values=st.lists(st.floats(-2, 2).filter(lambda x: abs(x) > 1e-3), min_size=2, max_size=4),
    gradients=st.lists(
        st.lists(st.integers(-(2**22), 2**22), min_size=4, max_size=4), min_size=3, max_size=3
    ),
    lrs=st.lists(st.fractions(min_value="1/100", max_value=1, max_denominator=1000), min_size=3),
)
def test_updates_follow_the_published_formula(key, values, gradients, lrs):
    """Three steps against rationals and float norms, in the optimizer's own variables."""
    rule, samples = optimizer(key), 8
    weights = Weights(rule, values)
    w = [float(x) * 2.0**-28 for x in weights.w]
    v = [0.0] * len(w)
    previous, largest = None, 0.0
    momentum, decay = float(rule.momentum), float(rule.weight_decay)
    for lr_exact, integers in zip(lrs, gradients, strict=False):
        integers = integers[: len(w)]
        weights.step(integers, StepRates(lr_exact, previous, samples), Fraction(0))
        lr, g = float(lr_exact), [x * 2.0**GRADIENT_EXPONENT / samples for x in integers]
        ratio = 1.0
        size_w, size_g = (sum(x * x for x in t) ** 0.5 for t in (w, g))
        if rule.name == "lars" and size_w and size_g:
            below = size_g + decay * size_w + float(rule.epsilon)
            ratio = float(rule.eta) * size_w / below
        pull = [lr * ratio * (a + decay * b) for a, b in zip(g, w, strict=True)]
        carry = momentum
        if rule.momentum_form == "unscaled" and previous is not None:
            carry *= lr / float(previous)
        v = [carry * a + b for a, b in zip(v, pull, strict=True)]
        step = [momentum * a + b for a, b in zip(v, pull, strict=True)] if rule.nesterov else v
        w = [a - b for a, b in zip(w, step, strict=True)]
        previous = lr_exact
        largest = max(largest, *(abs(x) for x in [*v, *step]))
    # Scalars are right to 2^-16, trust ratios to 2^-14; a stored number is off by half a unit.
    assert weights.v * 2.0**-30 == pytest.approx(np.array(v), abs=2**-10 * largest + 2**-25)
    assert weights.w * 2.0**-28 == pytest.approx(np.array(w), abs=2**-9 * largest + 2**-25)


@pytest.mark.parametrize("key", OPTIMIZERS)
def test_every_optimizer_walks_down_a_quadratic(key):
    """f(w) = sum of c (w - target)^2 / 2 falls to a thousandth, and nothing saturates."""
    target, curvature = np.array([0.5, -0.25, 0.125, 1.0]), np.array([1.0, 0.5, 0.25, 0.75])
    weights = Weights(optimizer(key, weight_decay=0, rms_lr="0.01"), [1, 1, -1, -1])

    def loss():
        return float((curvature * (weights.w * 2.0**-28 - target) ** 2).sum())

    start, previous, steps = loss(), None, 400
    peak = Fraction(2) if weights.optimizer.name == "lars" else Fraction(1, 10)
    for step in range(steps):
        lr = peak * (steps - step) / steps
        gradient = curvature * (weights.w * 2.0**-28 - target)
        integers = np.rint(gradient * 2.0**-GRADIENT_EXPONENT).astype(np.int64).tolist()
        saturated = weights.step(integers, StepRates(lr, previous, 1), Fraction(step, 20))
        assert saturated == (0, 0)
        previous = lr
    assert loss() < start / 1000
