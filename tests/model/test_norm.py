"""Batch norm's integer coefficients against float64, autograd and exact rationals."""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.dfp import LIMIT13, LIMIT16, absolute_bits
from orchestrator.errors import ArgumentError
from orchestrator.model import norm, ops

EPSILON = Fraction(1, 100000)
SEEDS = st.integers(0, 2**32 - 1)

quick = settings(max_examples=40, deadline=None)


@dataclass
class Layer:
    """A convolution output with its batch norm, and what norm.py makes of it."""

    y: np.ndarray
    exponent: int
    gamma: np.ndarray
    beta: np.ndarray

    def __post_init__(self) -> None:
        s1, s2, lo, hi = ops.channel_statistics(self.y)
        self.statistics = norm.batch_statistics(s1, s2, len(self.y))
        self.branch = norm.normalised(
            exponent=self.exponent,
            lo=lo,
            hi=hi,
            gamma=self.gamma,
            beta=self.beta,
            statistics=self.statistics,
            epsilon=EPSILON,
        )

    def real(self) -> np.ndarray:
        return self.y * 2.0**self.exponent

    def output(self) -> np.ndarray:
        """Return batch norm in float64."""
        y = self.real()
        centred = (y - y.mean(axis=0)) / np.sqrt(y.var(axis=0) + float(EPSILON))
        return centred * self.gamma / 2.0**28 + self.beta / 2.0**28


def layer(
    seed: int,
    rows: int = 64,
    channels: int = 6,
    *,
    exponent: int = -12,
    spread: float = 4000,
    zero: float = 0,
) -> Layer:
    """Return a random layer whose channels differ in mean, deviation, gamma and beta."""
    rng = np.random.default_rng(seed)
    scale = spread * np.exp(rng.normal(0, 1, channels))
    y = rng.normal(rng.normal(0, spread / 2, channels), scale, (rows, channels))
    gamma = rng.normal(0.5, 0.5, channels) * (rng.random(channels) >= zero)
    return Layer(
        y=np.rint(y).clip(-LIMIT16, LIMIT16).astype(np.int16),
        exponent=exponent,
        gamma=np.rint(gamma * 2**28).astype(np.int32),
        beta=np.rint(rng.normal(0, 0.5, channels) * 2**28).astype(np.int32),
    )


def safe_in_int32(a: np.ndarray, r: np.ndarray | None, b: np.ndarray, shift: int) -> bool:
    """Say whether the coefficients keep every intermediate of a pass inside an int32."""
    factors = np.abs(a).max() <= 16383 and (r is None or np.abs(r).max() <= 16383)
    return bool(factors and int(np.abs(b.astype(np.int64)).max()) + 2**shift <= 2**30)


def forward_tolerance(
    coefficients: norm.ForwardCoefficients, branches: list[tuple[Layer, np.ndarray]]
) -> np.ndarray:
    """Return how far, in steps of the output, rounding can move a result.

    Half a step for the one rounding, half a unit of A per mantissa from the mean (B follows the
    rounded A), and a little for B's own rounding and for 1/sigma (statistics of Q16).
    """
    total: np.ndarray = np.zeros(1)
    for source, factors in branches:
        centred = np.abs(source.y - source.statistics.mean / 2**16)
        relative = 2**-14 / np.maximum(source.statistics.variance / 2**16, 2**-10) + 2**-24
        total = total + centred * (0.5 + np.abs(factors) * relative) + 1
    return np.asarray(total / 2.0**coefficients.shift + 0.5)


class TestForward:
    @quick
    @given(
        SEEDS,
        st.booleans(),
        st.sampled_from([0.0, 0.5, 1.0]),
        st.integers(-30, 4),
        st.sampled_from([3, 300, 20000]),
    )
    def test_follows_float64(
        self, seed: int, relu: bool, zero: float, exponent: int, spread: float
    ) -> None:
        source = layer(seed, exponent=exponent, spread=spread, zero=zero)
        got = norm.forward_coefficients(source.branch, None, relu=relu)
        assert safe_in_int32(got.a, got.r, got.b, got.shift)
        out = np.empty_like(source.y)
        ops.affine_forward(source.y, got.a, got.b, None, None, got.shift, relu, out)
        exact = np.maximum(source.output(), 0) if relu else source.output()
        steps = np.abs(out - exact / 2.0**got.exponent)
        clamped = np.abs(out) == LIMIT13
        assert (steps <= forward_tolerance(got, [(source, got.a)]) + clamped).all()

    @quick
    @given(SEEDS, st.booleans(), st.booleans())
    def test_shortcuts_follow_float64(self, seed: int, relu: bool, projection: bool) -> None:
        source = layer(seed, zero=0.3)
        out = np.empty_like(source.y)
        if projection:
            other = layer(seed + 1, exponent=-10, spread=900)
            z, extra = other.y, other.output()
            shortcut = other.branch
        else:
            rng = np.random.default_rng(seed)
            z = rng.integers(0, LIMIT13, source.y.shape).astype(np.int16)
            lo, hi = z.min(axis=0).astype(np.int32), z.max(axis=0).astype(np.int32)
            shortcut = norm.plain(exponent=-9, lo=lo, hi=hi, channels=6)
            extra = z * 2.0**-9
        got = norm.forward_coefficients(source.branch, shortcut, relu=relu)
        assert got.r is not None
        assert safe_in_int32(got.a, got.r, got.b, got.shift)
        if not projection:
            assert (got.r == 2.0 ** (got.f - 9)).all()
        ops.affine_forward(source.y, got.a, got.b, z, got.r, got.shift, relu, out)
        exact = source.output() + extra
        exact = np.maximum(exact, 0) if relu else exact
        parts = [(source, got.a)] + ([(other, got.r)] if projection else [])
        steps = np.abs(out - exact / 2.0**got.exponent)
        assert (steps <= forward_tolerance(got, parts) + (np.abs(out) == LIMIT13)).all()

    @quick
    @given(SEEDS, st.booleans())
    def test_the_bound_holds_and_is_the_reported_length(self, seed: int, relu: bool) -> None:
        source = layer(seed, rows=5)
        got = norm.forward_coefficients(source.branch, None, relu=relu)
        sums = source.y.astype(np.int64) * got.a + got.b
        largest = int(np.maximum(sums, 0).max() if relu else np.abs(sums).max())
        assert got.bits == absolute_bits(largest, -got.f)
        out = np.empty_like(source.y)
        ops.affine_forward(source.y, got.a, got.b, None, None, got.shift, relu, out)
        assert np.abs(out).max() >= 2047
        assert (np.abs(sums) < 2 ** (got.shift + 12))[sums > (0 if relu else -(2**62))].all()

    def test_coefficient_is_the_nearest_integer(self) -> None:
        source = layer(11)
        got = norm.forward_coefficients(source.branch, None, relu=True)
        variance = source.statistics.variance / 2**16 * 2.0**-24 + float(EPSILON)
        exact = source.gamma / 2.0**28 / np.sqrt(variance) * 2.0 ** (got.f - 12)
        assert np.abs(got.a - exact).max() <= 0.5 + 1e-4
        assert 2**13 <= np.abs(got.a).max() <= 16383

    def test_gamma_zero_leaves_beta(self) -> None:
        source = layer(3, zero=1)
        got = norm.forward_coefficients(source.branch, None, relu=False)
        assert not got.a.any()
        assert np.allclose(got.b * 2.0**-got.f, source.beta / 2**28, atol=2.0 ** (-got.f - 1))

    def test_gamma_and_beta_zero_give_a_zero_tensor_without_bits(self) -> None:
        source = layer(3, zero=1)
        source.beta[:] = 0
        source.__post_init__()
        got = norm.forward_coefficients(source.branch, None, relu=True)
        assert (got.f, got.shift, got.exponent, got.bits) == (40, 0, -40, None)
        assert not got.b.any()

    def test_zero_gamma_behind_an_identity_passes_the_shortcut_exactly(self) -> None:
        source = layer(3, zero=1)
        source.beta[:] = 0
        source.__post_init__()
        z = np.full_like(source.y, 4000)
        edge = np.full(6, 4000, np.int32)
        shortcut = norm.plain(exponent=-11, lo=edge, hi=edge, channels=6)
        got = norm.forward_coefficients(source.branch, shortcut, relu=True)
        out = np.empty_like(z)
        ops.affine_forward(source.y, got.a, got.b, z, got.r, got.shift, True, out)
        assert np.array_equal(out, z)
        assert got.exponent == -11

    @pytest.mark.parametrize("rows", [1, 2])
    def test_extreme_outputs_and_few_rows(self, rows: int) -> None:
        y = np.full((rows, 2), LIMIT16, np.int16)
        y[0] = -LIMIT16
        gamma = np.array([2**31 - 1, -(2**31 - 1)], np.int32)
        source = Layer(y, -2, gamma, -gamma)
        got = norm.forward_coefficients(source.branch, None, relu=False)
        assert safe_in_int32(got.a, got.r, got.b, got.shift)
        out = np.empty_like(y)
        ops.affine_forward(y, got.a, got.b, None, None, got.shift, False, out)
        assert np.abs(out * 2.0**got.exponent - source.output()).max() <= 2.0**got.exponent

    def test_large_beta_beside_tiny_gamma_lowers_f(self) -> None:
        source = layer(5)
        source.gamma[:], source.beta[:] = 1, 2**31 - 1
        source.__post_init__()
        got = norm.forward_coefficients(source.branch, None, relu=True)
        assert safe_in_int32(got.a, got.r, got.b, got.shift)
        assert got.b.max() > 2**28

    def test_no_batch_norm_keeps_a_power_of_two(self) -> None:
        y = layer(6).y
        _, _, lo, hi = ops.channel_statistics(y)
        branch = norm.plain(exponent=-7, lo=lo, hi=hi, channels=6)
        got = norm.forward_coefficients(branch, None, relu=False)
        assert (got.a == 2.0 ** (got.f - 7)).all()
        assert not got.b.any()
        out = np.empty_like(y)
        ops.affine_forward(y, got.a, got.b, None, None, got.shift, False, out)
        steps = np.abs(out - y * 2.0 ** (-7 - got.exponent))
        assert (steps <= np.where(np.abs(out) == LIMIT13, 1, 0.5)).all()

    def test_needs_extremes_or_frozen_bits(self) -> None:
        branch = norm.plain(exponent=0, lo=None, hi=None, channels=2)
        with pytest.raises(ArgumentError, match="extremes"):
            norm.forward_coefficients(branch, None, relu=True)


class TestEvaluation:
    def test_frozen_bits_fix_the_exponent_whatever_the_batch(self) -> None:
        source = layer(7)
        branch = replace(source.branch, lo=None, hi=None)
        trained = norm.forward_coefficients(source.branch, None, relu=True)
        assert trained.bits is not None
        got = norm.forward_coefficients(branch, None, relu=True, frozen_bits=trained.bits + 1)
        assert got.exponent == trained.exponent + 1
        assert got.bits is None
        assert np.array_equal(got.a, trained.a)

    @pytest.mark.parametrize("bits", [-200, -20, 0, 25, 200])
    def test_any_frozen_length_stays_inside_an_int32(self, bits: int) -> None:
        source = layer(8)
        got = norm.forward_coefficients(source.branch, None, relu=True, frozen_bits=bits)
        assert safe_in_int32(got.a, got.r, got.b, got.shift)

    @pytest.mark.parametrize("exponent", [-22, -12, -8])
    def test_running_values_come_back_as_statistics(self, exponent: int) -> None:
        statistics = layer(9, exponent=exponent).statistics
        real = norm.running_contribution(statistics, exponent)
        back = norm.statistics_from_running(real.mean, real.variance, exponent)
        assert np.allclose(
            real.mean / 2.0**28, statistics.mean * 2.0 ** (exponent - 16), atol=2.0**-29
        )
        step = max(1.0, 2.0 ** -(12 + exponent))
        assert np.abs(back.mean - statistics.mean).max() <= step
        step = max(1.0, 2.0 ** -(12 + 2 * exponent))
        assert np.abs(back.variance - statistics.variance).max() <= step

    def test_far_values_stop_at_their_limits(self) -> None:
        far = norm.Statistics(np.array([-(2**31), 2**31]), np.array([2**46, 2**46]))
        real = norm.running_contribution(far, 20)
        assert real.mean.tolist() == [-(2**46), 2**46]
        assert real.variance.tolist() == [2**46] * 2
        back = norm.statistics_from_running(real.mean, real.variance, -60)
        assert back.mean.tolist() == [-(2**40), 2**40]
        assert back.variance.tolist() == [2**61] * 2
        branch = norm.normalised(
            exponent=-60,
            lo=None,
            hi=None,
            gamma=np.array([2**31 - 1] * 2, np.int32),
            beta=np.array([2**31 - 1] * 2, np.int32),
            statistics=back,
            epsilon=EPSILON,
        )
        got = norm.forward_coefficients(branch, branch, relu=True, frozen_bits=0)
        assert safe_in_int32(got.a, got.r, got.b, got.shift)


def autograd(source: Layer, d: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of y, gamma and beta by PyTorch in float64."""
    y = torch.tensor(source.real(), requires_grad=True)
    gamma = torch.tensor(source.gamma / 2.0**28, requires_grad=True)
    beta = torch.tensor(source.beta / 2.0**28, requires_grad=True)
    out = torch.nn.functional.batch_norm(
        y, None, None, gamma, beta, training=True, eps=float(EPSILON)
    )
    out.backward(torch.tensor(d))
    assert y.grad is not None and gamma.grad is not None and beta.grad is not None
    return y.grad.numpy(), gamma.grad.numpy(), beta.grad.numpy()


def backward(source: Layer, d: np.ndarray, exponent: int) -> norm.BackwardCoefficients:
    d1, d2, dmax = ops.affine_backward_sums(d, source.y)
    return norm.backward_coefficients(
        source.branch, d1=d1, d2=d2, dmax=dmax, rows=len(d), error_exponent=exponent
    )


class TestBackward:
    @quick
    @example(seed=417245, zero=0.0, exponent=-10, spread=200, rows=3)  # one error among zeros
    @given(
        SEEDS,
        st.sampled_from([0.0, 0.5]),
        st.integers(-40, -10),
        st.sampled_from([200, 8000]),
        st.sampled_from([3, 50, 400]),
    )
    def test_follows_autograd(
        self, seed: int, zero: float, exponent: int, spread: float, rows: int
    ) -> None:
        source = layer(seed, rows=rows, spread=spread, zero=zero)
        rng = np.random.default_rng(seed + 1)
        d = rng.normal(0, 6000, source.y.shape).round().clip(-LIMIT16, LIMIT16).astype(np.int16)
        d[:, 0] = np.where(rng.random(rows) < 0.9, 0, d[:, 0])
        got = backward(source, d, exponent)
        assert safe_in_int32(got.a, got.c, got.b, got.shift)
        e = np.empty_like(d)
        assert ops.affine_backward(d, source.y, got.a, got.c, got.p, got.b, got.shift, 7, e) == 0
        dy, dgamma, dbeta = autograd(source, d * 2.0**exponent)

        # Half a unit of A and of C's last place, half of y's rounding, and 1/sigma's own error.
        mean = source.statistics.mean / 2**16
        mean_error = d.mean(axis=0)
        a, c = np.abs(got.a), np.abs(got.c)
        relative = 2**-12 / np.maximum(source.statistics.variance / 2**16, 1) + 2**-22
        units = np.abs(d - mean_error) * (0.5 + a * relative) + 2
        units += np.abs(source.y - mean) / 2**got.p * (0.5 + c * relative) + c * (got.p > 0) / 2
        steps = np.abs(e - dy / 2.0**got.exponent)
        assert (steps <= 1 + units / 2.0**got.shift).all()

        assert got.gamma is not None and got.beta is not None
        assert np.array_equal(got.beta.values * 2.0**got.beta.exponent, dbeta)
        size = np.abs(d * 2.0**exponent).sum(axis=0) * np.sqrt(rows)
        error = np.abs(got.gamma.values * 2.0**got.gamma.exponent - dgamma)
        # The sum of d * (y - mean) is rounded to a whole unit before 1/sigma.
        sigma = np.sqrt(np.maximum(source.statistics.variance / 2**16, 1))
        assert (error <= size * (relative + 2**-15) + 0.5 * 2.0**exponent / sigma).all()

    def test_error_keeps_its_mean_and_slope(self) -> None:
        source = layer(21, rows=4000, channels=4)
        d = np.random.default_rng(1).normal(0, 5000, source.y.shape).astype(np.int16)
        got = backward(source, d, -20)
        e = np.empty_like(d)
        ops.affine_backward(d, source.y, got.a, got.c, got.p, got.b, got.shift, 3, e)
        dy, _, _ = autograd(source, d * 2.0**-20)
        difference = e - dy / 2.0**got.exponent
        # The gradient sums to zero over the rows; rounding must not bring a mean back. Half-up
        # rounding of y by p bits leaves |C| * 2^-p / 2 units, at most 0.016 steps here.
        assert np.abs(difference.mean(axis=0)).max() < 0.03
        assert np.abs((difference * (source.y / 4000)).mean(axis=0)).max() < 0.05

    def test_the_bound_leaves_no_bit_unused(self) -> None:
        source = layer(22, rows=200)
        d = np.random.default_rng(2).normal(0, 5000, source.y.shape).astype(np.int16)
        got = backward(source, d, -20)
        e = np.empty_like(d)
        ops.affine_backward(d, source.y, got.a, got.c, got.p, got.b, got.shift, 3, e)
        assert LIMIT13 >= np.abs(e).max() > 1000

    @pytest.mark.parametrize("zeroed", ["gamma", "d"])
    def test_nothing_to_carry_gives_a_zero_tensor(self, zeroed: str) -> None:
        source = layer(23, zero=1 if zeroed == "gamma" else 0)
        d = np.full_like(source.y, 0 if zeroed == "d" else 1000)
        d[0] += zeroed == "gamma"
        got = backward(source, d, -20)
        e = np.empty_like(d)
        ops.affine_backward(d, source.y, got.a, got.c, got.p, got.b, got.shift, 3, e)
        assert not e.any()
        assert got.gamma is not None
        assert got.gamma.values.any() == (zeroed == "gamma")

    @pytest.mark.parametrize("rows", [1, 2, 3])
    @pytest.mark.parametrize("pattern", ["same", "opposite", "alternating"])
    def test_extremes_stay_inside_an_int32(self, rows: int, pattern: str) -> None:
        y = np.full((rows, 2), LIMIT16, np.int16)
        y[1:] = -LIMIT16
        d = -y if pattern == "opposite" else y.copy()
        if pattern == "alternating":
            d[::2] *= -1
        gamma = np.array([2**31 - 1, 1], np.int32)
        for exponent in (-25, -2, 6):
            source = Layer(y, exponent, gamma, gamma)
            got = backward(source, d, -20)
            assert safe_in_int32(got.a, got.c, got.b, got.shift)
            assert 0 <= got.p <= 4
            e = np.empty_like(d)
            assert ops.affine_backward(d, y, got.a, got.c, got.p, got.b, got.shift, 3, e) == 0

    def test_zero_variance_is_held_by_epsilon(self) -> None:
        y = np.full((10, 1), 123, np.int16)
        source = Layer(y, -12, np.array([2**28], np.int32), np.zeros(1, np.int32))
        d = np.arange(-4500, 5500, 1000).astype(np.int16)[:, None]
        got = backward(source, d, -20)
        e = np.empty_like(d)
        ops.affine_backward(d, y, got.a, got.c, got.p, got.b, got.shift, 3, e)
        dy, _, _ = autograd(source, d * 2.0**-20)
        assert np.abs(e * 2.0**got.exponent - dy).max() <= 2 * 2.0**got.exponent

    def test_no_batch_norm_narrows_only(self) -> None:
        branch = norm.plain(exponent=-7, lo=None, hi=None, channels=3)
        dmax = np.array([5, 9000, 0], np.int32)
        zeros = np.zeros(3, np.int64)
        got = norm.backward_coefficients(
            branch, d1=zeros, d2=zeros, dmax=dmax, rows=4, error_exponent=-20
        )
        assert (got.a.tolist(), got.c.tolist(), got.b.tolist()) == ([1] * 3, [0] * 3, [0] * 3)
        assert (got.p, got.shift, got.exponent) == (0, 2, -18)
        assert got.gamma is None and got.beta is None

    def test_needs_the_extremes_of_y(self) -> None:
        source = layer(24)
        branch = replace(source.branch, lo=None, hi=None)
        zeros = np.zeros(6, np.int64)
        with pytest.raises(ArgumentError, match="extremes"):
            norm.backward_coefficients(
                branch,
                d1=zeros,
                d2=zeros,
                dmax=np.zeros(6, np.int32),
                rows=4,
                error_exponent=-20,
            )
