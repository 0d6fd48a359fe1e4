"""The oracle's convolutions against float64 autograd on integers, and at their extremes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.dfp import LIMIT13, LIMIT16, Int64, half_up, or_bits
from orchestrator.errors import ArgumentError
from orchestrator.model import ops
from orchestrator.model.shapes import ConvShape

SHAPES = [
    ConvShape.of(2, 5, 6, 3, 4, 3, 3, 1, 1),
    ConvShape.of(2, 7, 8, 3, 2, 3, 3, 2, 1),
    ConvShape.of(1, 11, 9, 3, 4, 7, 7, 2, 3),
    ConvShape.of(3, 6, 5, 8, 4, 1, 1, 1, 0),
    ConvShape.of(2, 6, 7, 8, 4, 1, 1, 2, 0),
    ConvShape.of(2, 8, 8, 2, 3, 5, 3, 3, 0),
    ConvShape.of(2, 4, 4, 2, 3, 3, 3, 1, 2),
    ConvShape.dense(5, 12, 7),
]


def random13(shape: tuple[int, ...], seed: int, limit: int = LIMIT13) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(-limit, limit, shape, dtype=np.int16, endpoint=True)


def exact_sums(
    shape: ConvShape, x: np.ndarray, w: np.ndarray, e: np.ndarray
) -> tuple[Int64, Int64, Int64]:
    """Return y, the gradient of x and the gradient of w, by PyTorch in float64 (exact here)."""
    tx = torch.tensor(x.transpose(0, 3, 1, 2).astype(np.float64), requires_grad=True)
    tw = torch.tensor(w.transpose(0, 3, 1, 2).astype(np.float64), requires_grad=True)
    y = torch.nn.functional.conv2d(tx, tw, stride=shape.stride, padding=shape.pad)
    y.backward(torch.tensor(e.transpose(0, 3, 1, 2).astype(np.float64)))
    assert tx.grad is not None and tw.grad is not None
    parts = (y.detach(), tx.grad, tw.grad)
    forward, dx, dw = (t.numpy().transpose(0, 2, 3, 1).astype(np.int64) for t in parts)
    return forward, dx, dw


def sat16(v: Int64) -> Int64:
    return v.clip(-LIMIT16, LIMIT16)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_all_three_passes_equal_autograd(shape: ConvShape) -> None:
    x, w = random13(shape.x_shape, 1), random13(shape.w_shape, 2)
    e = random13(shape.y_shape, 3)
    forward, dx, dw = exact_sums(shape, x, w, e)
    y, d = np.empty(shape.y_shape, np.int16), np.empty(shape.x_shape, np.int16)
    total = np.full(shape.w_shape, 11, np.int32)

    sums = ops.conv_forward(shape, x, w, None, 10, y)
    assert np.array_equal(y, sat16(half_up(forward, 10)))
    assert sums.bits == or_bits(forward)
    assert sums.saturated == np.count_nonzero(np.abs(half_up(forward, 10)) > LIMIT16)

    sums = ops.conv_input_gradient(shape, e, w, None, 0, 0, None, 10, d)
    assert np.array_equal(d, sat16(half_up(dx, 10)))
    assert sums.bits == or_bits(dx)

    sums = ops.conv_weight_gradient(shape, e, x, 12, total)
    assert np.array_equal(total, 11 + sat16(half_up(dw, 12)))
    assert sums == (or_bits(dw), np.count_nonzero(np.abs(half_up(dw, 12)) > LIMIT16))


def test_bias_enters_the_exact_sum() -> None:
    shape = ConvShape.dense(2, 1, 3)
    x, w = np.array([1, -2], np.int16), np.array([1, 2, 3], np.int16)
    bias = np.array([1, -(2**41), 2**41], np.int64)
    y = np.empty(shape.y_shape, np.int16)
    sums = ops.conv_forward(shape, x.reshape(shape.x_shape), w.reshape(shape.w_shape), bias, 1, y)
    assert y.reshape(2, 3).tolist() == [[1, -LIMIT16, LIMIT16], [0, -LIMIT16, LIMIT16]]
    assert sums.saturated == 4
    assert sums.bits.bit_length() == 42


@pytest.mark.parametrize(("acc_shift", "addend_shift"), [(0, 0), (3, 0), (0, 5), (-4, 0), (20, -3)])
def test_input_gradient_adds_masks_and_rounds_once(acc_shift: int, addend_shift: int) -> None:
    shape = ConvShape.of(2, 4, 5, 3, 4, 3, 3, 1, 1)
    w, e = random13(shape.w_shape, 4), random13(shape.y_shape, 5)
    addend, mask = random13(shape.x_shape, 6, LIMIT16), random13(shape.x_shape, 7, 1)
    _, dx, _ = exact_sums(shape, mask, w, e)
    v = half_up(dx, -acc_shift) + half_up(addend.astype(np.int64), -addend_shift)
    v[mask <= 0] = 0
    d = np.empty(shape.x_shape, np.int16)
    shift = or_bits(v).bit_length() - 15
    sums = ops.conv_input_gradient(shape, e, w, addend, acc_shift, addend_shift, mask, shift, d)
    assert np.array_equal(d, sat16(half_up(v, shift)))
    assert sums.bits == or_bits(v)
    assert not d[mask <= 0].any()


@pytest.mark.parametrize("sign", [1, -1])
def test_all_extreme_inputs_are_exact(sign: int) -> None:
    shape = ConvShape.of(1, 3, 3, 512, 2, 3, 3, 1, 1)
    x = np.full(shape.x_shape, LIMIT13, np.int16)
    w = np.full(shape.w_shape, sign * LIMIT13, np.int16)
    y = np.empty(shape.y_shape, np.int16)
    ops.conv_forward(shape, x, w, None, 22, y)
    centre = sign * LIMIT13 * LIMIT13 * 9 * 512
    assert y[0, 1, 1].tolist() == [half_up(centre, 22)] * 2
    total = np.zeros(shape.w_shape, np.int32)
    e = np.full(shape.y_shape, sign * LIMIT13, np.int16)
    sums = ops.conv_weight_gradient(shape, e, x, None, total)
    assert sums.bits.bit_length() == (LIMIT13 * LIMIT13 * 9).bit_length()
    assert not total.any()


def test_channel_sums_are_exact() -> None:
    e = np.full((70000, 2), [[LIMIT13, -LIMIT13]], np.int16)
    assert ops.channel_sums(e).tolist() == [70000 * LIMIT13, -70000 * LIMIT13]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-(2**60), 2**60), min_size=1, max_size=8), st.integers(-40, 62))
def test_accumulate_saturates_the_unbounded_value(values: list[int], shift: int) -> None:
    total = np.arange(len(values), dtype=np.int32)
    sums = ops.accumulate(np.array(values, np.int64), shift, total)
    exact = [half_up(v, shift) for v in values]
    expected = [i + max(-LIMIT16, min(LIMIT16, v)) for i, v in enumerate(exact)]
    assert total.tolist() == expected
    assert sums.saturated == sum(abs(v) > LIMIT16 for v in exact)


def test_accumulate_without_shift_only_measures() -> None:
    total = np.zeros(2, np.int32)
    assert ops.accumulate(np.array([5, -9], np.int64), None, total) == (13, 0)
    assert not total.any()


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((1, 4, 4, 3, 2, 3, 3, 1, 1, 3, 4), "give 4 x 4"),
        ((1, 4, 4, 3, 0, 3, 3, 1, 1, 4, 4), "at least 1"),
        ((1, 2, 2, 3, 2, 5, 5, 1, 0, 1, 1), "larger than the padded input"),
        ((1, 4, 4, 3, 2, 3, 3, 0, 1, 4, 4), "stride 0"),
        ((1, 4, 4, 3, 2, 3, 3, 1, -1, 4, 4), "padding -1"),
    ],
)
def test_refuses_sizes_that_do_not_fit(sizes: tuple[int, ...], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        ConvShape(*sizes)
