"""Which scalars each parameter's update gets."""

from dataclasses import dataclass
from fractions import Fraction

import pytest

from orchestrator.config import OptimizerConfig
from orchestrator.errors import ConfigError
from orchestrator.optim import Norms, StepRates, plan_updates


@dataclass(frozen=True)
class Parameter:
    name: str
    kind: str


PARAMETERS = [
    Parameter("conv1.weight", "conv"),
    Parameter("bn1.weight", "gamma"),
    Parameter("bn1.bias", "beta"),
    Parameter("fc.weight", "dense"),
    Parameter("fc.bias", "bias"),
]
RATES = StepRates(Fraction(1, 10), Fraction(1, 5), 64)
NORMS = Norms(Fraction(2), Fraction(64))


def value(scalar):
    m, exponent = scalar
    return m * Fraction(2) ** exponent


def near(expected):
    return pytest.approx(float(expected), rel=2**-16)


def test_sgd_scalars_are_folded_exactly():
    plan = plan_updates(OptimizerConfig(momentum="0.9", weight_decay="1e-4"), PARAMETERS)
    scalars = plan.scalars("conv1.weight", RATES, -20)
    assert float(value(scalars.momentum)) == near(Fraction("0.45"))
    assert float(value(scalars.gradient)) == near(Fraction(1, 640) / 2**20)
    assert float(value(scalars.decay)) == near(Fraction(1, 100_000))
    assert all(2**15 <= m < 2**16 for m, _ in scalars)


def test_the_scaled_form_keeps_the_momentum():
    plan = plan_updates(OptimizerConfig(momentum_form="scaled"), PARAMETERS)
    assert plan.momentum(RATES) == Fraction(9, 10)


@pytest.mark.parametrize("previous", [None, Fraction(0)])
def test_nothing_is_carried_over_from_no_step_or_a_step_at_rate_0(previous):
    plan = plan_updates(OptimizerConfig(), PARAMETERS)
    assert plan.momentum(RATES._replace(lr_previous=previous)) == Fraction(9, 10)


def test_a_gradient_without_history_counts_as_zero():
    plan = plan_updates(OptimizerConfig(), PARAMETERS)
    assert plan.scalars("conv1.weight", RATES, None).gradient == (0, 0)


def test_a_rate_of_zero_gives_zero_scalars():
    plan = plan_updates(OptimizerConfig(weight_decay="0.1"), PARAMETERS)
    scalars = plan.scalars("conv1.weight", RATES._replace(lr=Fraction(0)), -20)
    assert scalars == ((0, 0), (0, 0), (0, 0))


@pytest.mark.parametrize(
    ("exclude", "excluded"),
    [
        ((), set()),
        (("norm",), {"bn1.weight", "bn1.bias"}),
        (("norm", "bias"), {"bn1.weight", "bn1.bias", "fc.bias"}),
        (("fc.*",), {"fc.weight", "fc.bias"}),
        (("*.bias", "conv1.weight"), {"bn1.bias", "fc.bias", "conv1.weight"}),
    ],
)
def test_exclusions(exclude, excluded):
    optimizer = OptimizerConfig(name="lars", weight_decay="0.1", exclude=exclude)
    plan = plan_updates(optimizer, PARAMETERS)
    assert plan.excluded == excluded
    assert set(plan.trusted) == {p.name for p in PARAMETERS} - excluded
    for parameter in PARAMETERS:
        scalars = plan.scalars(parameter.name, RATES, -20, NORMS)
        without = parameter.name in excluded
        assert (scalars.decay == (0, 0)) == without
        ratio = Fraction(1) if without else Fraction(2, 1000) / (1 + Fraction(2, 10))
        assert float(value(scalars.gradient)) == pytest.approx(
            float(ratio / 640 / 2**20), rel=2**-13
        )


def test_a_pattern_that_matches_nothing_is_refused():
    with pytest.raises(
        ConfigError, match=r"'head.\*' matches no parameter .* such as conv1.weight"
    ):
        plan_updates(OptimizerConfig(exclude=("head.*",)), PARAMETERS)


def test_kinds_that_a_network_lacks_are_no_error():
    assert plan_updates(OptimizerConfig(), PARAMETERS[3:4]).excluded == frozenset()


def test_only_lars_needs_norms():
    assert plan_updates(OptimizerConfig(), PARAMETERS).trusted == ()
