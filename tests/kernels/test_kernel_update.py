"""The masters' kernels against the oracle."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from mantissas import same_bits, seeds

from orchestrator.boards.kernels import Kernels
from orchestrator.boards.kernels_native import NativeKernels

LARGEST = 2**31 - 1
sizes = st.integers(1, 150)
magnitudes = st.sampled_from([1, 1000, 2**20, LARGEST])
scalars = st.tuples(st.just(0), st.just(0)) | st.tuples(
    st.integers(2**15, 2**16 - 1) | st.integers(1 - 2**16, -(2**15)), st.integers(-70, 60)
)


def integers(size: int, magnitude: int, seed: int) -> np.ndarray:
    """Random int32 values of which a third sit at the ends of the range."""
    rng = np.random.default_rng(seed)
    values = rng.integers(-magnitude, magnitude + 1, size)
    return np.where(rng.integers(0, 3, size), values, np.sign(values) * magnitude).astype(np.int32)


@given(
    size=sizes, magnitude=magnitudes, seed=seeds, shift=st.integers(-40, 40),
    limit=st.sampled_from([4095, 32767]),
)  # fmt: skip
def test_quantise_and_norms(
    kernels: Kernels, size: int, magnitude: int, seed: int, shift: int, limit: int
) -> None:
    t = integers(size, magnitude, seed)
    same_bits(kernels, "quantise", t, shift, limit, np.zeros(size, np.int16))
    same_bits(kernels, "sum_squares", t, shift)
    same_bits(kernels, "bits_i32", t)


@given(size=sizes, bits=st.integers(1, 61), seed=seeds, shift=st.none() | st.integers(-20, 70))
def test_accumulate(kernels: Kernels, size: int, bits: int, seed: int, shift: int | None) -> None:
    v = np.random.default_rng(seed).integers(-(2**bits), 2**bits, size)
    total = integers(size, 2**30, seed)
    same_bits(kernels, "accumulate", v, shift, total)


@given(
    size=sizes, magnitude=magnitudes, seed=seeds, m=scalars, l=scalars, d=scalars,
    ahead=st.none() | scalars,
)  # fmt: skip
def test_update(
    kernels: Kernels, size: int, magnitude: int, seed: int, m: tuple[int, int],
    l: tuple[int, int], d: tuple[int, int], ahead: tuple[int, int] | None,  # noqa: E741
) -> None:  # fmt: skip
    w, v, g = (integers(size, magnitude, seed + i) for i in range(3))
    same_bits(kernels, "update", w, v, g, m, l, d, ahead)


def test_update_as_in_training(kernels: Kernels) -> None:
    """Momentum 0.9, a small rate: nothing saturates and every term counts."""
    w, v, g = integers(1000, 2**26, 1), integers(1000, 2**24, 2), integers(1000, 2**20, 3)
    arguments = (w, v, g, (58982, -16), (52429, -43), (42950, -29))
    assert same_bits(kernels, "update", *arguments, None) == (0, 0)
    assert same_bits(kernels, "update", *arguments, (58982, -16)) == (0, 0)


def test_split_over_threads(team: NativeKernels) -> None:
    w, v, g = (integers(100003, LARGEST, i) for i in range(3))
    same_bits(team, "quantise", w, 18, 4095, np.zeros(w.shape, np.int16))
    same_bits(team, "sum_squares", w, 16)
    same_bits(team, "bits_i32", w)
    same_bits(team, "update", w, v, g, (58982, -16), (52429, -13), (42950, -15), (58982, -16))
