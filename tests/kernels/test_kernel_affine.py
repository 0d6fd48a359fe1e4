"""Batch norm passes and statistics against the oracle, at the bounds of their coefficients."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mantissas import KINDS, kinds, mantissas, same_bits, seeds

from orchestrator.boards.kernels import Kernels
from orchestrator.boards.kernels_native import NativeKernels

LIMIT16, FACTOR = 32767, 16383
rows_and_channels = st.tuples(st.integers(1, 40), st.integers(1, 70))


def coefficients(kind: str, channels: int, limit: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind == "random":
        return rng.integers(-limit, limit + 1, channels).astype(np.int32)
    signs = mantissas("zero" if kind == "sparse" else kind, (channels,), 1, seed)
    return signs.astype(np.int32) * np.int32(limit)


@given(size=rows_and_channels, kind=kinds, seed=seeds)
def test_channel_statistics(kernels: Kernels, size: tuple[int, int], kind: str, seed: int) -> None:
    same_bits(kernels, "channel_statistics", mantissas(kind, size, LIMIT16, seed))


@given(size=rows_and_channels, kind=kinds, seed=seeds)
def test_channel_sums(kernels: Kernels, size: tuple[int, int], kind: str, seed: int) -> None:
    same_bits(kernels, "channel_sums", mantissas(kind, size, LIMIT16, seed))


@given(size=rows_and_channels, kind=kinds, seed=seeds, shortcut=st.booleans())
def test_affine_backward_sums(
    kernels: Kernels, size: tuple[int, int], kind: str, seed: int, shortcut: bool
) -> None:
    y = mantissas("random sign", size, LIMIT16, seed) if shortcut else None
    same_bits(kernels, "affine_backward_sums", mantissas(kind, size, LIMIT16, seed), y)


@given(
    size=rows_and_channels, kind=kinds, factor_kind=kinds, seed=seeds,
    shift=st.integers(0, 29), relu=st.booleans(), shortcut=st.booleans(),
)  # fmt: skip
def test_affine_forward(
    kernels: Kernels, size: tuple[int, int], kind: str, factor_kind: str, seed: int,
    shift: int, relu: bool, shortcut: bool,
) -> None:  # fmt: skip
    channels = size[1]
    y = mantissas(kind, size, LIMIT16, seed)
    a = coefficients(factor_kind, channels, FACTOR, seed)
    b = coefficients(factor_kind, channels, 2**30 - 2**shift, seed)
    z = mantissas(kind, size, LIMIT16, seed + 1) if shortcut else None
    r = coefficients(factor_kind, channels, FACTOR, seed + 1) if shortcut else None
    same_bits(kernels, "affine_forward", y, a, b, z, r, shift, relu, np.zeros_like(y))


@given(
    size=rows_and_channels, kind=kinds, factor_kind=kinds, seed=seeds,
    shift=st.integers(0, 29), p=st.integers(0, 4), normalised=st.booleans(),
)  # fmt: skip
def test_affine_backward(
    kernels: Kernels, size: tuple[int, int], kind: str, factor_kind: str, seed: int,
    shift: int, p: int, normalised: bool,
) -> None:  # fmt: skip
    channels = size[1]
    d = mantissas(kind, size, LIMIT16, seed)
    y = mantissas(kind, size, LIMIT16, seed + 1) if normalised else None
    a = coefficients(factor_kind, channels, FACTOR, seed)
    c = coefficients(factor_kind, channels, FACTOR, seed + 1)
    b = coefficients(factor_kind, channels, 2**30 - 2**shift, seed)
    same_bits(kernels, "affine_backward", d, y, a, c, p, b, shift, seed, np.zeros_like(d))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(70, 300), (33, 2051), (300, 16), (67, 255)])
def test_statistics_of_many_rows(native: NativeKernels, size: tuple[int, int], kind: str) -> None:
    """Whole blocks of rows, what is left of them, and columns that fill no vector."""
    y = mantissas(kind, size, LIMIT16, 1)
    same_bits(native, "channel_statistics", y)
    same_bits(native, "channel_sums", y)
    same_bits(native, "affine_backward_sums", y, mantissas(kind, size, LIMIT16, 2))
    same_bits(native, "affine_backward_sums", y, None)


def test_split_over_threads(team: NativeKernels) -> None:
    size = (3001, 37)
    for kind in KINDS:
        y, z = mantissas(kind, size, LIMIT16, 1), mantissas("random", size, LIMIT16, 2)
        a, b = coefficients("random", 37, FACTOR, 3), coefficients("random", 37, 2**29, 4)
        same_bits(team, "channel_statistics", y)
        same_bits(team, "channel_sums", y)
        same_bits(team, "affine_backward_sums", y, z)
        same_bits(team, "affine_forward", y, a, b, z, a, 18, False, np.zeros_like(y))
        same_bits(team, "affine_backward", y, z, a, a, 3, b, 17, 99, np.zeros_like(y))
