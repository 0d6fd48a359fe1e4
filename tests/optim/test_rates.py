"""Learning rates: end points, joints and the published formulas."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config import LrScheduleConfig
from orchestrator.optim import Rates

TINY = Fraction(1, 10**9)
PIECES = (
    {"start": 0, "factor": "1/2"},
    {"start": 3, "factor": 1, "shape": "polynomial", "end_factor": "1/4"},
    {"start": 7, "factor": "1/4", "shape": "cosine", "end_factor": 0},
)
DECAYS = {
    "constant": {},
    "steps": {"milestones": (3, 6)},
    "polynomial": {"end_lr": "1e-4"},
    "cosine": {"end_lr": "1e-4"},
    "plateau": {},
    "joined": {"pieces": PIECES},
}


def rates(decay="constant", batch=256, epochs=10, **values):
    values = {"base_lr": 1, **DECAYS[decay], **values}
    return Rates(LrScheduleConfig(decay=decay, **values), batch, epochs)


@pytest.mark.parametrize("decay", DECAYS)
def test_the_warm_up_starts_where_it_says_and_ends_without_a_jump(decay):
    curve = rates(decay, warmup_epochs=2, warmup_start="0.1")
    assert curve.at(Fraction(0)) == Fraction(1, 10)
    before, after = curve.at(2 - TINY), curve.at(Fraction(2))
    assert abs(after - before) < 10 * TINY
    assert curve.at(Fraction(1)) == (curve.at(Fraction(0)) + after) / 2


@given(st.fractions(min_value=0, max_value=2), st.fractions(min_value=0, max_value=2))
def test_the_warm_up_rises(first, second):
    curve = rates("cosine", warmup_epochs=2, warmup_start="0.1")
    first, second = sorted((first, second))
    assert curve.at(first) <= curve.at(second)


@pytest.mark.parametrize("decay", ["polynomial", "cosine"])
@given(
    first=st.fractions(min_value=0, max_value=12), second=st.fractions(min_value=0, max_value=12)
)
def test_decays_fall_from_peak_to_end(decay, first, second):
    curve = rates(decay)
    assert curve.at(Fraction(0)) == 1
    assert curve.at(Fraction(10)) == Fraction(1, 10_000)
    first, second = sorted((first, second))
    assert curve.at(first) >= curve.at(second) >= Fraction(1, 10_000)


def test_decay_epochs_end_the_decay_before_the_training():
    curve = rates("cosine", decay_epochs=5)
    assert curve.at(Fraction(5)) == curve.at(Fraction(9)) == Fraction(1, 10_000)


def test_steps_fall_at_their_milestones():
    curve = rates("steps")
    assert [curve.at(Fraction(epoch)) for epoch in (0, 3, 6, 9)] == [
        1,
        Fraction(1, 10),
        Fraction(1, 100),
        Fraction(1, 100),
    ]
    assert curve.at(3 - TINY) == 1


def test_a_plateau_lowers_the_rate_as_often_as_it_is_told():
    assert rates("plateau").at(Fraction(4), reductions=2) == Fraction(1, 100)


def test_joined_pieces_follow_each_other():
    curve = rates("joined")
    assert curve.at(Fraction(2)) == Fraction(1, 2)
    assert curve.at(Fraction(3)) == 1
    assert curve.at(Fraction(5)) == Fraction(5, 8)
    assert abs(curve.at(7 - TINY) - curve.at(Fraction(7))) < TINY
    assert curve.at(Fraction(17, 2)) == Fraction(1, 8)
    assert curve.at(Fraction(10)) == 0


@given(st.integers(1, 65_536))
def test_linear_and_root_scaling(batch):
    linear = rates(batch=batch, scale="linear", base_lr="0.1")
    root = rates(batch=batch, scale="sqrt", base_lr="0.1")
    assert linear.peak == Fraction(batch, 2560)
    assert float(root.peak) == pytest.approx(0.1 * math.sqrt(batch / 256), rel=1e-12)
    assert rates(batch=batch).peak == 1


@given(st.integers(0, 419))
def test_the_polynomial_is_the_reference_points_formula(step):
    """MLPerf's LARS reference: end + (base - end) (1 - (t - Tw) / D)^2 after a linear warm-up."""
    steps_per_epoch, warmup, total = 10, 50, 420
    curve = rates("polynomial", base_lr=10, warmup_epochs=5, end_lr="1e-4", batch=4096, epochs=42)
    if step <= warmup:
        expected = 10 * step / warmup
    else:
        expected = 1e-4 + (10 - 1e-4) * (1 - (step - warmup) / (total - warmup)) ** 2
    assert float(curve.at(Fraction(step, steps_per_epoch))) == pytest.approx(expected, rel=1e-12)
