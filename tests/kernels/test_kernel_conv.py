"""Convolution kernels against the oracle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mantissas import KINDS, kinds, mantissas, same_bits, seeds

from orchestrator.boards.kernels import Kernels
from orchestrator.boards.kernels_native import NativeKernels
from orchestrator.model.shapes import ConvShape

LIMIT13, LIMIT16 = 4095, 32767


@st.composite
def conv_shapes(draw: st.DrawFn) -> ConvShape:
    """Small convolutions of every kind: odd channels, even kernels, wide padding and strides."""
    r, s = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    pad = draw(st.integers(0, 3))
    h = draw(st.integers(max(1, r - 2 * pad), 9))
    w = draw(st.integers(max(1, s - 2 * pad), 9))
    n, c, k = (draw(st.integers(1, most)) for most in (3, 35, 35))
    return ConvShape.of(n, h, w, c, k, r, s, draw(st.integers(1, 4)), pad)


shifts = st.integers(-20, 60)


@settings(max_examples=40)
@given(
    shape=conv_shapes(), kind=kinds, seed=seeds, shift=shifts,
    bias_bits=st.none() | st.sampled_from([20, 40, 44, 58]),
)  # fmt: skip
def test_forward(
    kernels: Kernels, shape: ConvShape, kind: str, seed: int, shift: int,
    bias_bits: int | None,
) -> None:  # fmt: skip
    x, w = mantissas(kind, shape.x_shape, LIMIT13, seed), mantissas(kind, shape.w_shape, LIMIT13, 1)
    rng = np.random.default_rng(seed)
    bias = None if bias_bits is None else rng.integers(-(2**bias_bits), 2**bias_bits, shape.k)
    same_bits(kernels, "conv_forward", shape, x, w, bias, shift, _int16(shape.y_shape))


@settings(max_examples=40)
@given(
    shape=conv_shapes(), kind=kinds, seed=seeds, shift=shifts,
    acc_shift=st.integers(-45, 20), addend_shift=st.integers(-45, 44),
    with_addend=st.booleans(), with_mask=st.booleans(),
)  # fmt: skip
def test_input_gradient(
    kernels: Kernels, shape: ConvShape, kind: str, seed: int, shift: int, acc_shift: int,
    addend_shift: int, with_addend: bool, with_mask: bool,
) -> None:  # fmt: skip
    e, w = mantissas(kind, shape.y_shape, LIMIT13, seed), mantissas(kind, shape.w_shape, LIMIT13, 1)
    addend = mantissas(kind, shape.x_shape, LIMIT16, 2) if with_addend else None
    mask = mantissas("sparse", shape.x_shape, LIMIT13, seed) if with_mask else None
    same_bits(
        kernels, "conv_input_gradient", shape, e, w, addend, acc_shift, addend_shift, mask, shift,
        _int16(shape.x_shape),
    )  # fmt: skip


@settings(max_examples=40)
@given(shape=conv_shapes(), kind=kinds, seed=seeds, shift=st.none() | shifts)
def test_weight_gradient(
    kernels: Kernels, shape: ConvShape, kind: str, seed: int, shift: int | None
) -> None:
    e, x = mantissas(kind, shape.y_shape, LIMIT13, seed), mantissas(kind, shape.x_shape, LIMIT13, 1)
    total = np.random.default_rng(seed).integers(-(2**20), 2**20, shape.w_shape, dtype=np.int32)
    same_bits(kernels, "conv_weight_gradient", shape, e, x, shift, total)


LARGE = {
    "3x3": ConvShape.of(4, 14, 14, 64, 70, 3, 3, 1, 1),
    "3x3 stride 2": ConvShape.of(3, 15, 13, 48, 64, 3, 3, 2, 1),
    "1x1": ConvShape.of(3, 14, 14, 96, 130, 1, 1),
    "1x1 stride 2": ConvShape.of(4, 14, 14, 64, 128, 1, 1, 2),
    "image": ConvShape.of(3, 32, 32, 3, 64, 7, 7, 2, 3),
    "one channel": ConvShape.of(9, 8, 8, 1, 32, 3, 3, 1, 1),
    "few positions": ConvShape.of(1, 3, 3, 512, 96, 3, 3, 1, 1),
    "dense": ConvShape.dense(5, 1030, 300),
    "16 channels": ConvShape.of(5, 16, 16, 16, 16, 3, 3, 1, 1),
    "16 channels stride 2": ConvShape.of(3, 32, 32, 16, 16, 3, 3, 2, 1),
    "odd channels": ConvShape.of(2, 9, 24, 5, 13, 3, 3, 1, 1),
    "many images": ConvShape.of(37, 4, 4, 20, 24, 3, 3, 1, 1),
    "one image": ConvShape.of(1, 50, 70, 8, 16, 5, 5, 1, 2),
    "kernel below stride": ConvShape.of(2, 23, 21, 33, 16, 2, 2, 3, 1),
    "deep": ConvShape.of(1, 5, 5, 1100, 40, 3, 3, 1, 1),
}


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("sparse", "zero")])
@pytest.mark.parametrize("shape", LARGE.values(), ids=list(LARGE))
def test_split_over_threads(team: NativeKernels, shape: ConvShape, kind: str) -> None:
    """Sizes that threads share: a chunk, a panel or a block that is missed shows here."""
    x, e = mantissas(kind, shape.x_shape, LIMIT13, 1), mantissas(kind, shape.y_shape, LIMIT13, 2)
    w = mantissas(kind, shape.w_shape, LIMIT13, 3)
    mask = mantissas("random", shape.x_shape, LIMIT13, 4)
    total = np.zeros(shape.w_shape, np.int32)
    same_bits(team, "conv_forward", shape, x, w, None, 18, _int16(shape.y_shape))
    same_bits(team, "conv_input_gradient", shape, e, w, x, 0, 9, mask, 19, _int16(shape.x_shape))
    same_bits(team, "conv_weight_gradient", shape, e, x, 17, total)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("last", [254, 255, 256, 257])
def test_weights_at_the_bound_of_32_bits(kernels: Kernels, last: int, sign: int) -> None:
    """Sums of 128 * 4095 + 255 in weights times 4095 are the largest that fit."""
    shape = ConvShape.of(2, 4, 8, 130, 130, 1, 1)
    x, w = mantissas("highest", shape.x_shape, LIMIT13), np.zeros(shape.w_shape, np.int16)
    w[3, :, :, :128], w[3, :, :, 129] = sign * LIMIT13, sign * last
    w[:128, :, :, 7], w[129, :, :, 7] = sign * LIMIT13, sign * last
    for shift in (0, 15, 16, 17, 31):
        same_bits(kernels, "conv_forward", shape, x, w, None, shift, _int16(shape.y_shape))
        same_bits(
            kernels, "conv_input_gradient", shape, x, w, x, 0, 15, x, shift, _int16(shape.x_shape)
        )


def test_dense_tensors_need_no_singleton_axes(kernels: Kernels) -> None:
    shape = ConvShape.dense(3, 20, 7)
    x, w = mantissas("random", (3, 20), LIMIT13), mantissas("random", (7, 20), LIMIT13, 1)
    y, y4 = _int16((3, 7)), _int16(shape.y_shape)
    kernels.conv_forward(shape, x, w, None, 12, y)
    kernels.conv_forward(shape, x.reshape(shape.x_shape), w.reshape(shape.w_shape), None, 12, y4)
    np.testing.assert_array_equal(y, y4.reshape(y.shape))


def _int16(shape: tuple[int, ...]) -> np.ndarray:
    return np.zeros(shape, np.int16)
