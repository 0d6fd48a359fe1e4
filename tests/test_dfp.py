"""Roundings, exponents and soft scalars against exact integers and rationals."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator import dfp

INT64 = st.integers(-(2**63), 2**63 - 1)
POSITIVE = st.integers(1, 62).flatmap(lambda bits: st.integers(2 ** (bits - 1), 2**bits - 1))
SIGNED = st.tuples(POSITIVE, st.sampled_from([-1, 1])).map(math.prod) | st.just(0)
RATIONAL = st.fractions(min_value=Fraction(1, 10**9), max_value=10**9)

quick = settings(max_examples=50, deadline=None)


def array(*values: int) -> dfp.Int64:
    return np.array(values, dtype=np.int64)


def rounded(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def power(exponent: int) -> Fraction:
    return Fraction(2) ** exponent


def soft(v: int, e: int) -> tuple[int, int]:
    """Return norm(v, e) as section 2 words it, in unbounded integers."""
    if v == 0:
        return 0, 0
    s = abs(v).bit_length() - 30
    m = rounded(v * power(-s))
    return (m // 2, e + s + 1) if abs(m) == 2**30 else (m, e + s)


def pairs(a: dfp.Soft) -> list[tuple[int, int]]:
    return list(zip(a.m.tolist(), a.e.tolist(), strict=True))


class TestRounding:
    @quick
    @given(INT64, st.integers(1, 80))
    @example(2**63 - 1, 1)
    @example(-(2**63), 63)
    @example(2**63 - 1, 64)
    def test_half_up_is_the_floor_of_the_rational_plus_a_half(self, v: int, s: int) -> None:
        assert dfp.half_up(v, s) == rounded(v * power(-s))
        assert dfp.half_up(array(v), s).tolist() == [rounded(v * power(-s))]

    def test_half_up_to_the_left_is_exact(self) -> None:
        assert dfp.half_up(array(-3, 5), -4).tolist() == [-48, 80]
        assert dfp.half_up(-3, 0) == -3

    def test_ties_go_up(self) -> None:
        assert dfp.half_up(array(1, 3, -1, -3), 1).tolist() == [1, 2, 0, -1]

    @quick
    @given(INT64, st.integers(-90, 80), st.sampled_from([40, 46, 55, 60, 62]))
    @example(1, -62, 62)
    @example(-(2**63), -1, 62)
    def test_saturating_form_clamps_the_unbounded_value(self, v: int, s: int, bits: int) -> None:
        expected = max(-(2**bits), min(2**bits, rounded(v * power(-s))))
        assert dfp.half_up_saturating(array(v), s, bits).tolist() == [expected]

    def test_saturate_counts_what_it_changes(self) -> None:
        clamped, count = dfp.saturate(array(-4097, -4096, -4095, 4095, 4096), 4095)
        assert clamped.tolist() == [-4095, -4095, -4095, 4095, 4095]
        assert count == 3

    @quick
    @given(RATIONAL, st.sampled_from([15, 16]))
    def test_mantissa_is_the_nearest_of_its_width(self, value: Fraction, bits: int) -> None:
        m, e = dfp.mantissa(value, bits)
        assert 2 ** (bits - 1) <= m < 2**bits
        assert abs(m * power(e) - value) <= power(e - 1)
        assert dfp.mantissa(-value, bits) == (-m, e)

    def test_mantissa_known_answers(self) -> None:
        assert dfp.mantissa16(Fraction(0)) == (0, 0)
        assert dfp.mantissa16(Fraction(1)) == (2**15, -15)
        assert dfp.mantissa16(Fraction(1, 49)) == (42799, -21)
        assert dfp.mantissa16(Fraction(2**17 - 1)) == (2**15, 2)
        assert dfp.mantissa16(Fraction(2**16 + 1)) == (2**15 + 1, 1)

    def test_half_up_rational(self) -> None:
        assert dfp.half_up_rational(Fraction(5, 2), 0) == 3
        assert dfp.half_up_rational(Fraction(-5, 2), 0) == -2
        assert dfp.half_up_rational(Fraction(3), 2) == 1


class TestDither:
    def test_follows_its_formula(self) -> None:
        seed = 0xDEADBEEF
        words = [((seed + i * 0x9E3779B9) % 2**32) >> 16 for i in range(2000)]
        assert dfp.dither(2000, seed, 16).tolist() == words
        assert dfp.dither(2000, seed, 12).tolist() == [u >> 4 for u in words]
        assert dfp.dither(2000, seed, 18).tolist() == [u << 2 for u in words]
        assert not dfp.dither(2000, seed, 0).any()

    @pytest.mark.parametrize("shift", [1, 4, 16, 19])
    def test_is_below_one_step_and_unbiased(self, shift: int) -> None:
        u = dfp.dither(1 << 14, 12345, shift)
        assert u.min() >= 0
        assert u.max() < 1 << shift
        assert u.mean() / 2**shift == pytest.approx(0.5 - 0.5 / 2 ** min(shift, 16), abs=2e-3)


class TestExponents:
    def test_bit_length_of_a_tensor(self) -> None:
        assert dfp.or_bits(array(0, -1)) == 0
        assert dfp.or_bits(array(5, -9)).bit_length() == 4
        assert dfp.or_bits(array(-8)).bit_length() == 3
        assert dfp.or_bits(array(-(2**63))).bit_length() == 63
        assert dfp.absolute_bits(0, -7) is None
        assert dfp.absolute_bits(0b1010, -7) == -3

    @pytest.mark.parametrize(
        ("history", "exponent"),
        [
            ((), None),
            ((None, None), None),
            ((4,), 4 + 3 - 15),
            ((4, None, None, None), 4 + 3 - 15),
            ((4, 6, 5), 6 + 3 - 15),
            ((4, 6, 5, 2), 6 + 1 - 15),
            ((-30, -31, -29, None, -33), -29 + 1 - 15),
        ],
    )
    def test_delayed(self, history: tuple[int | None, ...], exponent: int | None) -> None:
        assert dfp.delayed_exponent(history) == exponent

    def test_exact_exponent_fills_sixteen_bits(self) -> None:
        assert dfp.exact_exponent(0, -20) == -20
        assert dfp.exact_exponent(0x12345, -20) == -20 + 17 - 15
        assert dfp.exact_exponent(3, -20) == -20 + 2 - 15

    def test_frozen_and_extended_history(self) -> None:
        assert dfp.frozen_bits((None, 3, 5, None)) == 6
        assert dfp.frozen_bits((None,)) is None
        assert dfp.extend_history((1, 2, 3, 4), None, 4) == (2, 3, 4, None)
        assert dfp.extend_history((), 7, 4) == (7,)

    @quick
    @given(st.integers(-80, 80), st.integers(-80, 80))
    def test_alignment_fits_an_int64_and_is_exact_where_it_can(self, e1: int, e2: int) -> None:
        aligned = dfp.align(e1, e2)
        assert aligned.acc_shift == e1 - aligned.exponent
        assert aligned.addend_shift == e2 - aligned.exponent
        assert aligned.acc_shift <= 20
        assert aligned.addend_shift <= 44
        if -44 <= e1 - e2 <= 20:
            assert aligned.exponent == min(e1, e2)
        else:
            assert aligned.acc_shift == 20 or aligned.addend_shift == 44

    def test_epsilon(self) -> None:
        eps = Fraction(1, 100000)
        assert dfp.epsilon_q16(eps, 0) == 1
        assert dfp.epsilon_q16(eps, -12) == math.floor(eps * 2**40)
        assert dfp.epsilon_q16(eps, -60) == 2**60
        assert dfp.weight_shift(0xFFFFF) == 20 - 12


class TestSoftScalars:
    @quick
    @given(SIGNED, st.integers(-100, 100))
    @example(2**31 - 1, 0)
    @example(-(2**31 - 1), 0)
    @example(-(2**62) + 1, 0)
    def test_norm(self, v: int, e: int) -> None:
        assert pairs(dfp.soft_norm(array(v), e)) == [soft(v, e)]

    @quick
    @given(SIGNED, SIGNED, st.integers(1, 2**31 - 1), st.integers(-60, 60))
    def test_mul_and_div(self, v: int, w: int, n: int, f: int) -> None:
        (a, ea), (b, eb) = soft(v, -5), soft(w, 7)
        first, second = dfp.soft_norm(array(v), -5), dfp.soft_norm(array(w), 7)
        assert pairs(dfp.soft_mul(first, second)) == [soft(a * b, ea + eb)]
        assert pairs(dfp.soft_div_int(first, n)) == [soft((a << 32) // n, ea - 32)]
        expected = rounded(a * power(ea + f))
        if ea + f > 0:
            expected = max(-(2**40), min(2**40, expected))
        assert dfp.soft_to_int(first, f).tolist() == [expected]

    def test_division_is_close_to_the_quotient(self) -> None:
        quotient = dfp.soft_div_int(dfp.soft_norm(array(1, -1), 0), 3)
        for (m, e), exact in zip(pairs(quotient), (Fraction(1, 3), Fraction(-1, 3)), strict=True):
            assert abs(m * power(e) - exact) < power(-30)

    @quick
    @given(POSITIVE)
    @example(1)
    @example(2**60 - 1)
    @example(2**60)
    @example(2**62 - 1)
    def test_rsqrt(self, v: int) -> None:
        t = 0
        while v << (2 * t) < 2**60:
            t += 1
        got = dfp.soft_rsqrt(array(v))
        assert pairs(got) == [soft(2**60 // math.isqrt(v << (2 * t)), t - 60)]
        value = int(got.m[0]) * power(int(got.e[0]))
        assert abs(value * value * v - 1) < power(-27)

    def test_scaling_and_powers(self) -> None:
        three = dfp.soft_norm(array(3, 0), 0)
        assert pairs(dfp.soft_scale(three, 8)) == [soft(3, 8), (0, 0)]
        assert pairs(dfp.soft_power_of_two(-11, 2)) == [soft(1, -11)] * 2

    def test_largest_bits(self) -> None:
        a = dfp.soft_norm(array(3, 0), -100)
        assert dfp.soft_bits(a) == 2 - 100
        assert dfp.soft_bits(a, dfp.soft_norm(array(1), 5)) == 6
        assert dfp.soft_bits(dfp.soft_norm(array(0), 0)) is None

    @quick
    @given(st.lists(st.tuples(SIGNED, st.integers(-70, 70)), min_size=1, max_size=6))
    def test_align_keeps_the_largest_exactly(self, items: list[tuple[int, int]]) -> None:
        v, e = (array(*column) for column in zip(*items, strict=True))
        a = dfp.soft_norm(v, e)
        values, exponent = dfp.soft_align(a)
        assert int(np.abs(values).max()) < 2**46
        for got, (m, own) in zip(values.tolist(), pairs(a), strict=True):
            assert got == rounded(m * power(own - exponent))

    @quick
    @given(POSITIVE)
    @example(2**53 - 1)
    @example(2**61 - 1)
    def test_bit_length_and_root(self, v: int) -> None:
        assert dfp.bit_length(array(0, v)).tolist() == [0, v.bit_length()]
        assert dfp.integer_sqrt(array(0, v)).tolist() == [0, math.isqrt(v)]
