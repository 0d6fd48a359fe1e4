"""Pools and the element-wise kernels against the oracle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mantissas import kinds, mantissas, same_bits, seeds

from orchestrator.boards.kernels import Kernels
from orchestrator.boards.kernels_native import NativeKernels
from orchestrator.errors import ArgumentError
from orchestrator.model.shapes import DropoutKey, PoolShape

LIMIT13, LIMIT16 = 4095, 32767


@st.composite
def pool_shapes(draw: st.DrawFn) -> PoolShape:
    kr, ks = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    pad = draw(st.integers(0, min(kr, ks) - 1))
    h = draw(st.integers(max(1, kr - 2 * pad), 9))
    w = draw(st.integers(max(1, ks - 2 * pad), 9))
    n, c = draw(st.integers(1, 3)), draw(st.integers(1, 20))
    return PoolShape.of(n, h, w, c, kr, ks, draw(st.integers(1, 4)), pad)


@given(shape=pool_shapes(), kind=kinds, seed=seeds)
def test_max_pool(kernels: Kernels, shape: PoolShape, kind: str, seed: int) -> None:
    x = mantissas(kind, shape.x_shape, LIMIT13, seed)
    out, index = np.zeros(shape.y_shape, np.int16), np.zeros(shape.y_shape, np.uint8)
    same_bits(kernels, "max_pool_forward", shape, x, out, index)


@given(shape=pool_shapes(), kind=kinds, seed=seeds, q=st.integers(10, 22))
def test_average_pool(kernels: Kernels, shape: PoolShape, kind: str, seed: int, q: int) -> None:
    x = mantissas(kind, shape.x_shape, LIMIT13, seed)
    out = np.zeros(shape.y_shape, np.int16)
    same_bits(kernels, "avg_pool_forward", shape, x, 43691, q, out)


@given(
    shape=pool_shapes(), kind=kinds, seed=seeds, routed=st.booleans(), masked=st.booleans(),
    acc_shift=st.integers(-20, 20), addend_shift=st.none() | st.integers(-20, 44),
    shift=st.integers(-20, 40),
)  # fmt: skip
def test_window_backward(
    kernels: Kernels, shape: PoolShape, kind: str, seed: int, routed: bool, masked: bool,
    acc_shift: int, addend_shift: int | None, shift: int,
) -> None:  # fmt: skip
    d = mantissas(kind, shape.y_shape, LIMIT16, seed)
    index = None
    if routed:
        x = mantissas("random", shape.x_shape, 3, seed)
        index = np.zeros(shape.y_shape, np.uint8)
        kernels.max_pool_forward(shape, x, np.zeros(shape.y_shape, np.int16), index)
    addend = None if addend_shift is None else mantissas(kind, shape.x_shape, LIMIT16, seed + 1)
    mask = mantissas("random", shape.x_shape, LIMIT13, seed) if masked else None
    same_bits(
        kernels, "window_backward", shape, d, index, addend, acc_shift, addend_shift or 0, mask,
        shift, np.zeros(shape.x_shape, np.int16),
    )  # fmt: skip


@given(
    shape=pool_shapes(), kind=kinds, seed=seeds, masked=st.booleans(), shift=st.integers(-20, 40)
)
def test_window_backward_of_sums_alone(
    kernels: Kernels, shape: PoolShape, kind: str, seed: int, masked: bool, shift: int
) -> None:
    """As it mostly is: nothing to add, nothing to align."""
    d = mantissas(kind, shape.y_shape, LIMIT16, seed)
    mask = mantissas("random", shape.x_shape, LIMIT13, seed) if masked else None
    out = np.zeros(shape.x_shape, np.int16)
    same_bits(kernels, "window_backward", shape, d, None, None, 0, 0, mask, shift, out)


def test_a_max_pool_window_that_an_index_cannot_address_is_refused(kernels: Kernels) -> None:
    shape = PoolShape.of(1, 17, 17, 1, 17, 17)
    out = np.zeros(shape.y_shape, np.int16)
    with pytest.raises(ArgumentError, match="at most 256 elements"):
        kernels.max_pool_forward(
            shape, np.zeros(shape.x_shape, np.int16), out, out.astype(np.uint8)
        )


@given(
    size=st.integers(1, 200), kind=kinds, seed=seeds, m=st.integers(-(2**16), 2**16),
    q=st.integers(-20, 40), limit=st.sampled_from([LIMIT13, LIMIT16]),
)  # fmt: skip
def test_scale(
    kernels: Kernels, size: int, kind: str, seed: int, m: int, q: int, limit: int
) -> None:
    x = mantissas(kind, (size,), LIMIT16, seed)
    same_bits(kernels, "scale16", x, m, q, limit, np.zeros_like(x))


@given(
    size=st.tuples(st.integers(1, 4), st.integers(1, 30)), kind=kinds,
    seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 2**24 - 1), tensor=seeds,
    threshold=seeds, m=st.integers(2**15, 2**16), limit=st.sampled_from([LIMIT13, LIMIT16]),
)  # fmt: skip
def test_dropout(
    kernels: Kernels, size: tuple[int, int], kind: str, seed: int, epoch: int, tensor: int,
    threshold: int, m: int, limit: int,
) -> None:  # fmt: skip
    x = mantissas(kind, size, LIMIT16, seed % 1000)
    positions = np.random.default_rng(epoch).integers(0, 2**32, size[0])
    key = DropoutKey(seed, epoch, tensor, positions)
    same_bits(kernels, "dropout", x, key, threshold, m, limit, np.zeros_like(x))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_normalise(kernels: Kernels, channels: int) -> None:
    rng = np.random.default_rng(channels)
    pixels = rng.integers(0, 256, (2, 5, 7, channels), dtype=np.uint8)
    table = mantissas("random", (256, channels), LIMIT13)
    same_bits(kernels, "normalise", pixels, table, np.zeros(pixels.shape, np.int16))


def test_split_over_threads(team: NativeKernels) -> None:
    shape = PoolShape.of(5, 31, 33, 20, 3, 3, 2, 1)
    x, d = mantissas("random", shape.x_shape, 40, 1), mantissas("random", shape.y_shape, LIMIT16, 2)
    out, index = np.zeros(shape.y_shape, np.int16), np.zeros(shape.y_shape, np.uint8)
    same_bits(team, "max_pool_forward", shape, x, out, index)
    same_bits(team, "avg_pool_forward", shape, x, 58254, 19, out)
    team.max_pool_forward(shape, x, out, index)
    for routed in (index, None):
        same_bits(team, "window_backward", shape, d, routed, x, 2, -1, x, 3, np.zeros_like(x))
    same_bits(team, "scale16", x, 50000, 13, LIMIT13, np.zeros_like(x))
    key = DropoutKey(7, 1, 2, np.arange(shape.n))
    same_bits(team, "dropout", x, key, 2**31, 2**16 - 1, LIMIT13, np.zeros_like(x))
    pixels = (x % 256).astype(np.uint8)
    table = mantissas("random", (256, shape.c), LIMIT13)
    same_bits(team, "normalise", pixels, table, np.zeros_like(x))
