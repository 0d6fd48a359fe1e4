"""Activations as a whole and batch norm's coefficients in C against the oracle, bit for bit.

Random layers reach neither the ends of exponents nor coefficients that do not fit at first, so
statistics, parameters and exponents are drawn from their whole ranges.
"""

import ctypes
from collections.abc import Callable
from ctypes import POINTER, Structure, c_int, c_int32, c_int64
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mantissas import KINDS, kinds, mantissas, seeds

from orchestrator.boards.kernel_library import Channel, load_library
from orchestrator.boards.kernels import Kernels
from orchestrator.boards.kernels_native import NativeKernels
from orchestrator.dfp import MASTER_EXPONENT
from orchestrator.errors import ArgumentError
from orchestrator.model import norm, ops, statistics
from orchestrator.model.norm import NormBranch, Statistics
from orchestrator.model.ops_apply import Gradient, NormSource

LIMIT16, MASTER = 32767, 2**31 - 1
EPSILONS = (Fraction(1, 10**5), Fraction(1, 10**12), Fraction(1000))
rows_and_channels = st.tuples(st.integers(1, 40), st.integers(1, 70))
exponents = st.integers(-60, 30)
epsilons = st.sampled_from(EPSILONS)


def masters(kind: str, channels: int, seed: int) -> np.ndarray:
    """Return parameters of a kind: random, of random magnitude too, or all of the largest one."""
    rng = np.random.default_rng(seed)
    if kind == "random":
        values = rng.integers(-MASTER, MASTER + 1, channels) >> rng.integers(0, 32, channels)
        return values.astype(np.int32)
    return mantissas(kind, (channels,), 1, seed).astype(np.int32) * np.int32(MASTER)


def source(kind: str, channels: int, seed: int, epsilon: Fraction) -> NormSource:
    sums = Statistics(np.full(channels, 5, np.int64), np.full(channels, 7, np.int64))
    gamma, beta = masters(kind, channels, seed), masters(kind, channels, seed + 1)
    return NormSource(gamma, beta, epsilon, sums, False)


def running_source(kind: str, channels: int, seed: int, epsilon: Fraction) -> NormSource:
    """Return running values of any magnitude."""
    rng = np.random.default_rng(seed)
    mean = rng.integers(-(2**46), 2**46 + 1, channels) >> rng.integers(0, 47, channels)
    variance = rng.integers(0, 2**46 + 1, channels) >> rng.integers(0, 47, channels)
    values = source(kind, channels, seed, epsilon)
    return values._replace(statistics=Statistics(mean, variance), running=True)


Scenario = Callable[[Any], list[Any]]


def same(kernels: Kernels, scenario: Scenario) -> None:
    """Run a scenario on both sets of kernels; all it returns must be equal."""
    for ours, theirs in zip(scenario(kernels), scenario(ops), strict=True):
        np.testing.assert_equal(ours, theirs)


@given(
    size=rows_and_channels, kind=kinds, parameters=kinds, seed=seeds, exponent=exponents,
    other=exponents, epsilon=epsilons, relu=st.booleans(),
    shortcut=st.sampled_from(["none", "projection", "identity", "measured identity", "plain"]),
    normalised=st.booleans(),
)  # fmt: skip
@example((1, 1), "zero", "zero", 0, 0, 0, EPSILONS[0], True, "none", True)
@example((7, 3), "highest", "highest", 0, -60, 30, EPSILONS[0], False, "projection", True)
@example((2, 3), "alternating", "lowest", 0, 30, -60, EPSILONS[1], True, "identity", True)
def test_training(
    kernels: Kernels, size: tuple[int, int], kind: str, parameters: str, seed: int,
    exponent: int, other: int, epsilon: Fraction, relu: bool, shortcut: str, normalised: bool,
) -> None:  # fmt: skip
    channels = size[1]
    y, z = mantissas(kind, size, LIMIT16, seed), mantissas("random", size, 4095, seed + 1)
    d = mantissas(kind, size, LIMIT16, seed + 2)

    def scenario(k: Any) -> list[Any]:
        sources = [source(parameters, channels, seed + i, epsilon) for i in (0, 1)]
        main = k.branch(y, exponent, sources[0] if normalised else None)
        second = {
            "none": lambda: None,
            "projection": lambda: k.branch(z, other, sources[1]),
            "identity": lambda: k.branch(
                z, other, None, (z.min(axis=0).astype(np.int32), z.max(axis=0).astype(np.int32))
            ),
            "measured identity": lambda: k.branch(z, other, None),
            "plain": lambda: k.branch(z, other, None),
        }[shortcut]()
        out, e = np.zeros_like(y), np.zeros_like(y)
        applied = k.apply_forward(main, second, relu, None, out)
        totals = [np.arange(channels, dtype=np.int32) for _ in range(2)]
        gradients = (Gradient(totals[0], -20), Gradient(totals[1], None)) if normalised else ()
        carried = k.apply_backward(main, d, -17, seed, e, gradients)
        return [*applied, out, *carried, e, *totals, *(s.statistics for s in sources)]

    same(kernels, scenario)


@given(
    size=rows_and_channels, kind=kinds, parameters=kinds, seed=seeds, exponent=exponents,
    epsilon=epsilons, relu=st.booleans(), projection=st.booleans(),
    frozen_bits=st.none() | st.integers(-200, 200),
)  # fmt: skip
def test_evaluation(
    kernels: Kernels, size: tuple[int, int], kind: str, parameters: str, seed: int,
    exponent: int, epsilon: Fraction, relu: bool, projection: bool, frozen_bits: int | None,
) -> None:  # fmt: skip
    y, z = mantissas(kind, size, LIMIT16, seed), mantissas("random", size, LIMIT16, seed + 1)
    frozen = frozen_bits is not None

    def scenario(k: Any) -> list[Any]:
        values = running_source(parameters, size[1], seed, epsilon)
        main = k.branch(y, exponent, values, frozen=frozen)
        shortcut = k.branch(z, -9, values if projection else None, frozen=frozen)
        out = np.zeros_like(y)
        return [*k.apply_forward(main, shortcut, relu, frozen_bits, out), out, values.statistics]

    same(kernels, scenario)


@pytest.mark.parametrize("size", [(3001, 37), (50, 300)], ids=["many rows", "many channels"])
def test_a_team_gives_the_same(team: NativeKernels, size: tuple[int, int]) -> None:
    for kind in KINDS:
        y, d = mantissas(kind, size, LIMIT16, 1), mantissas("random", size, LIMIT16, 2)

        def scenario(k: Any, y: np.ndarray = y, d: np.ndarray = d) -> list[Any]:
            sums = source("random", size[1], 3, EPSILONS[0])
            main, out, e = k.branch(y, -11, sums), np.zeros_like(y), np.zeros_like(y)
            applied = k.apply_forward(main, k.branch(d, -12, None), True, None, out)
            totals = [np.zeros(size[1], np.int32) for _ in range(2)]
            gradients = (Gradient(totals[0], -20), Gradient(totals[1], -21))
            carried = k.apply_backward(main, d, -17, 99, e, gradients)
            return [*applied, out, *carried, e, *totals, sums.statistics]

        same(team, scenario)


@pytest.mark.parametrize("which", ["native", "oracle"])
def test_a_bound_needs_extremes(which: str, native: NativeKernels) -> None:
    k: Any = native if which == "native" else ops
    y = np.ones((2, 2), np.int16)
    values = running_source("random", 2, 0, EPSILONS[0])
    frozen = k.branch(y, 0, values, frozen=True)
    with pytest.raises(ArgumentError, match="needs the extremes of y and of the shortcut"):
        k.apply_forward(k.branch(y, 0, None), frozen, True, None, y.copy())
    totals = (Gradient(np.zeros(2, np.int32), 0),) * 2
    with pytest.raises(ArgumentError, match="a backward pass needs the extremes of y"):
        k.apply_backward(frozen, y, 0, 0, y.copy(), totals)


def test_operands_that_do_not_fit_are_refused(native: NativeKernels) -> None:
    y = np.ones((4, 2), np.int16)
    main = native.branch(y, 0, None)
    with pytest.raises(ArgumentError, match=r"a shortcut of shape \(2, 4\) cannot be added"):
        native.apply_forward(main, native.branch(y.reshape(2, 4), 0, None), True, None, y.copy())
    with pytest.raises(ArgumentError, match="give gamma's and beta's, or none without"):
        native.apply_backward(main, y, 0, 0, y.copy(), (Gradient(np.zeros(2, np.int32), 0),))
    with pytest.raises(ArgumentError, match=r"gamma has shape \(3,\): it must be \(2,\)"):
        native.branch(y, 0, source("random", 3, 0, EPSILONS[0]))


# ---- coefficients from sums that no tensor of a test's size has ----------------------------------


class CStatistics(Structure):
    _fields_ = [("mean", c_int64), ("variance", c_int64)]


class CSlope(Structure):
    _fields_ = [(name, c_int32) for name in "slope_m slope_e gamma_m gamma_e".split()] + [
        ("mean_error", c_int64)
    ]


class CBackward(Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("a", "c", "b", "gamma")] + [
        (name, c_int32) for name in ("p", "shift", "f", "gamma_exponent")
    ]


def functions(native: NativeKernels) -> ctypes.CDLL:
    library = load_library(native.name)
    library.bk_batch_statistics.argtypes = (c_int64, c_int64, c_int64)
    library.bk_running_contribution.argtypes = (CStatistics, c_int)
    library.bk_statistics_from_running.argtypes = (CStatistics, c_int)
    for name in ("batch_statistics", "running_contribution", "statistics_from_running"):
        getattr(library, f"bk_{name}").restype = CStatistics
    library.bk_channel_normalised.argtypes = (
        *(POINTER(Channel), CStatistics, c_int32, c_int32, c_int64),
    )
    library.bk_channel_normalised.restype = None
    library.bk_backward_coefficients.argtypes = (
        *(ctypes.c_void_p, c_int64, c_int64, *[ctypes.c_void_p] * 4, POINTER(CBackward)),
    )
    library.bk_backward_coefficients.restype = None
    return library


def pair(values: Any) -> tuple[int, int]:
    if isinstance(values, CStatistics):
        return values.mean, values.variance
    return int(values.mean[0]), int(values.variance[0])


def one(*values: int) -> list[np.ndarray]:
    return [np.array([value], np.int64) for value in values]


@st.composite
def exact_sums(draw: st.DrawFn, largest: int = LIMIT16) -> tuple[int, int, int]:
    """Return (rows, s1, s2) as a channel of mantissas can have them."""
    rows = draw(st.integers(1, 2**24) | st.sampled_from([1, 2, 3, 2**24]))
    s1 = draw(st.integers(-largest * rows, largest * rows) | st.just(largest * rows))
    least = -(-s1 * s1 // rows)
    s2 = draw(st.integers(least, largest * largest * rows) | st.just(least))
    return rows, s1, s2


@given(sums=exact_sums(), exponent=exponents)
def test_statistics(native: NativeKernels, sums: tuple[int, int, int], exponent: int) -> None:
    rows, s1, s2 = sums
    library = functions(native)
    ours = library.bk_batch_statistics(s1, s2, rows)
    theirs = statistics.batch_statistics(*one(s1, s2), rows)
    assert pair(ours) == pair(theirs)
    assert pair(library.bk_running_contribution(ours, exponent)) == pair(
        statistics.running_contribution(theirs, exponent)
    )


@given(
    mean=st.integers(-(2**46), 2**46), variance=st.integers(-1, 2**46),
    exponent=st.integers(-120, 120),
)  # fmt: skip
def test_statistics_from_running(
    native: NativeKernels, mean: int, variance: int, exponent: int
) -> None:
    ours = functions(native).bk_statistics_from_running(CStatistics(mean, variance), exponent)
    theirs = statistics.statistics_from_running(*one(mean, variance), exponent)
    assert pair(ours) == pair(theirs)


masters_of_any_size = st.integers(-MASTER, MASTER) | st.sampled_from([0, 1, -1, MASTER, -MASTER])


@given(
    mean=st.integers(-(2**40), 2**40), variance=st.integers(0, 2**61) | st.just(2**61),
    gamma=masters_of_any_size, beta=masters_of_any_size,
    epsilon=st.integers(1, 2**60) | st.sampled_from([1, 2**60]),
)  # fmt: skip
def test_a_normalised_channel(
    native: NativeKernels, mean: int, variance: int, gamma: int, beta: int, epsilon: int
) -> None:
    channel = Channel()
    functions(native).bk_channel_normalised(
        channel, CStatistics(mean, variance), gamma, beta, epsilon
    )
    expected = norm.normalised(
        exponent=8,  # so that epsilon is the argument itself
        lo=None,
        hi=None,
        gamma=np.array([gamma], np.int32),
        beta=np.array([beta], np.int32),
        statistics=Statistics(*one(mean, variance)),
        epsilon=Fraction(epsilon),
    )
    assert expected.inverse_sigma is not None
    assert (channel.mean, channel.beta) == (mean, beta)
    assert (channel.scale_m, channel.scale_e) == tuple(int(v[0]) for v in expected.scale)
    assert (channel.inverse_sigma_m, channel.inverse_sigma_e) == tuple(
        int(v[0]) for v in expected.inverse_sigma
    )


def channel_of(branch: NormBranch, i: int) -> tuple[int, ...]:
    assert branch.inverse_sigma is not None and branch.lo is not None and branch.hi is not None
    parts = (branch.mean, *branch.scale, *branch.inverse_sigma, branch.beta, branch.lo, branch.hi)
    return (*(int(part[i]) for part in parts), 0)


@st.composite
def backward_sums(draw: st.DrawFn) -> tuple[int, list[tuple[int, ...]]]:
    """Return rows, and for each channel s1, s2, d1, d2, dmax, gamma."""
    rows, s1, s2 = draw(exact_sums())
    channels = []
    for _ in range(draw(st.integers(1, 4))):
        dmax = draw(st.integers(0, LIMIT16) | st.just(LIMIT16))
        d1 = draw(st.integers(-dmax * rows, dmax * rows) | st.just(dmax * rows))
        most = dmax * LIMIT16 * rows
        d2 = draw(st.integers(-most, most) | st.sampled_from([0, most, -most]))
        channels.append((s1, s2, d1, d2, dmax, draw(masters_of_any_size)))
    return rows, channels


@given(sums=backward_sums(), exponent=exponents)
def test_backward_coefficients(
    native: NativeKernels, sums: tuple[int, list[tuple[int, ...]]], exponent: int
) -> None:
    rows, channels = sums
    s1, s2, d1, d2, dmax, gamma = np.array(channels, np.int64).T.copy()
    n, narrow = len(channels), dmax.astype(np.int32)
    branch = norm.normalised(
        exponent=exponent,
        lo=np.full(n, -LIMIT16, np.int32),
        hi=np.full(n, LIMIT16, np.int32),
        gamma=gamma.astype(np.int32),
        beta=np.zeros(n, np.int32),
        statistics=statistics.batch_statistics(s1, s2, rows),
        epsilon=EPSILONS[0],
    )
    expected = norm.backward_coefficients(
        branch, d1=d1, d2=d2, dmax=narrow, rows=rows, error_exponent=-17
    )
    coefficients, gradient = np.zeros((3, n), np.int32), np.zeros(n, np.int64)
    got = CBackward(*(row.ctypes.data for row in coefficients), gradient.ctypes.data)
    slopes = (CSlope * n)()
    memory = (Channel * n)(*(channel_of(branch, i) for i in range(n)))
    functions(native).bk_backward_coefficients(
        *(ctypes.addressof(memory), n, rows, d1.ctypes.data, d2.ctypes.data, narrow.ctypes.data),
        *(ctypes.addressof(slopes), got),
    )
    for ours, theirs in zip(coefficients, (expected.a, expected.c, expected.b), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (got.p, got.shift) == (expected.p, expected.shift)
    assert -17 - exponent - got.f + got.shift == expected.exponent
    assert expected.gamma is not None
    np.testing.assert_array_equal(gradient, expected.gamma.values)
    assert got.gamma_exponent - 17 == expected.gamma.exponent


def test_masters_have_the_exponent_c_assumes() -> None:
    assert MASTER_EXPONENT == -28
