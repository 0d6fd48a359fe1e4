"""Pools, dropout, scaling and normalisation of the oracle."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from orchestrator.dfp import LIMIT13, LIMIT16, half_up, mantissa16, or_bits
from orchestrator.errors import ArgumentError
from orchestrator.model import ops
from orchestrator.model.shapes import DropoutKey, PoolShape
from orchestrator.philox import DROPOUT, philox4x32, tensor_id

SHAPES = [
    PoolShape.of(2, 6, 6, 3, 2, 2, 2, 0),
    PoolShape.of(2, 7, 9, 3, 3, 3, 2, 1),
    PoolShape.of(1, 5, 6, 2, 3, 3, 1, 0),
    PoolShape.of(2, 5, 5, 2, 3, 2, 3, 0),
    PoolShape.of(2, 4, 3, 5, 4, 3, 1, 0),
]


def random16(shape: tuple[int, ...], seed: int, limit: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(-limit, limit, shape, dtype=np.int16, endpoint=True)


def window(shape: PoolShape, x: np.ndarray, n: int, i: int, j: int, c: int) -> list[int | None]:
    """Return a window's elements in raster order, None in the padding."""
    found: list[int | None] = []
    for r in range(i * shape.stride - shape.pad, i * shape.stride - shape.pad + shape.kr):
        for s in range(j * shape.stride - shape.pad, j * shape.stride - shape.pad + shape.ks):
            inside = 0 <= r < shape.h and 0 <= s < shape.w
            found.append(int(x[n, r, s, c]) if inside else None)
    return found


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("limit", [1, LIMIT13])
def test_max_pool_takes_the_first_of_equals(shape: PoolShape, limit: int) -> None:
    x = random16(shape.x_shape, 1, limit)
    out, index = np.empty(shape.y_shape, np.int16), np.empty(shape.y_shape, np.uint8)
    ops.max_pool_forward(shape, x, out, index)
    for place in np.ndindex(shape.y_shape):
        elements = window(shape, x, *place)
        best = max(e for e in elements if e is not None)
        assert out[place] == best
        assert index[place] == elements.index(best)


def test_padding_never_wins() -> None:
    shape = PoolShape.of(1, 3, 3, 1, 3, 3, 2, 1)
    x = np.full(shape.x_shape, -LIMIT16, np.int16)
    out, index = np.empty(shape.y_shape, np.int16), np.empty(shape.y_shape, np.uint8)
    ops.max_pool_forward(shape, x, out, index)
    assert (out == -LIMIT16).all()
    assert index.ravel().tolist() == [4, 3, 1, 0]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_average_pool_counts_the_padding(shape: PoolShape) -> None:
    x = random16(shape.x_shape, 2, LIMIT13)
    m, e = mantissa16(Fraction(1, shape.kr * shape.ks))
    out = np.empty(shape.y_shape, np.int16)
    ops.avg_pool_forward(shape, x, m, -e, out)
    for place in np.ndindex(shape.y_shape):
        total = sum(v or 0 for v in window(shape, x, *place))
        assert out[place] == half_up(total * m, -e)
        assert abs(out[place] - total / (shape.kr * shape.ks)) <= 0.5 + 4096 / 2**16


def pool_gradient(shape: PoolShape, x: np.ndarray, d: np.ndarray, maximum: bool) -> np.ndarray:
    """Return the exact sum of d routed to each input, by float64 autograd."""
    tx = torch.tensor(x.transpose(0, 3, 1, 2).astype(np.float64), requires_grad=True)
    kernel = (shape.kr, shape.ks)
    if maximum:
        # Explicit padding: PyTorch allows half a kernel only.
        margin = (shape.pad,) * 4
        padded = torch.nn.functional.pad(tx, margin, value=float("-inf"))
        y = torch.nn.functional.max_pool2d(padded, kernel, shape.stride)
    else:
        y = torch.nn.functional.avg_pool2d(tx, kernel, shape.stride, shape.pad) * (
            shape.kr * shape.ks
        )
    y.backward(torch.tensor(d.transpose(0, 3, 1, 2).astype(np.float64)))
    assert tx.grad is not None
    return np.rint(tx.grad.numpy().transpose(0, 2, 3, 1)).astype(np.int64)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("maximum", [True, False])
def test_backward_equals_autograd(shape: PoolShape, maximum: bool) -> None:
    rng = np.random.default_rng(3)
    count = int(np.prod(shape.x_shape))
    x = rng.permutation(np.arange(count) - count // 2).astype(np.int16).reshape(shape.x_shape)
    d = random16(shape.y_shape, 4, LIMIT16)
    out, index = np.empty(shape.y_shape, np.int16), np.empty(shape.y_shape, np.uint8)
    ops.max_pool_forward(shape, x, out, index)
    acc = pool_gradient(shape, x, d, maximum)
    dx = np.empty(shape.x_shape, np.int16)
    sums = ops.window_backward(
        shape, d, index if maximum else None, None, 0, 0, None, 2, dx
    )  # fmt: skip
    assert np.array_equal(dx, half_up(acc, 2).clip(-LIMIT16, LIMIT16))
    assert sums == (or_bits(acc), np.count_nonzero(np.abs(half_up(acc, 2)) > LIMIT16))

    addend, mask = random16(shape.x_shape, 5, LIMIT16), random16(shape.x_shape, 6, 1)
    v = half_up(acc, 2) + (addend.astype(np.int64) << 3)
    v[mask <= 0] = 0
    sums = ops.window_backward(shape, d, index if maximum else None, addend, -2, 3, mask, 5, dx)
    assert np.array_equal(dx, half_up(v, 5).clip(-LIMIT16, LIMIT16))
    assert sums.bits == or_bits(v)


def test_scale16_rounds_clamps_and_counts() -> None:
    x = np.array([-LIMIT16, -3, 0, 3, LIMIT16], np.int16)
    out = np.empty_like(x)
    assert ops.scale16(x, 2**15, 16, LIMIT13, out) == 2
    assert out.tolist() == [-LIMIT13, -1, 0, 2, LIMIT13]
    assert ops.scale16(x, 65535, 16, LIMIT16, out) == 0
    assert out.tolist() == [half_up(int(v) * 65535, 16) for v in x]


class TestDropout:
    key = DropoutKey(2**63 + 5, 3, tensor_id("dropout1"), np.array([9, 2, 70000], np.int64))
    shape = (3, 3, 2, 5)
    threshold = 2**31
    m, e = mantissa16(Fraction(2))

    def run(self, x: np.ndarray, key: DropoutKey, limit: int) -> np.ndarray:
        out = np.empty_like(x)
        ops.dropout(x, key, self.threshold, self.m, limit, out)
        return out

    def test_each_element_has_its_own_address(self) -> None:
        x = np.full(self.shape, 1000, np.int16)
        out = self.run(x, self.key, LIMIT13).reshape(3, -1)
        for sample, position in enumerate(self.key.positions):
            for i in range(30):
                counter = (int(position), i // 4, self.key.tensor, (DROPOUT << 24) + 3)
                kept = philox4x32(counter, self.key.seed)[i % 4] >= self.threshold
                assert out[sample, i] == (half_up(1000 * self.m, 16) if kept else 0)
        assert self.m * 2.0**self.e == 2

    def test_order_of_samples_does_not_matter(self) -> None:
        x = random16(self.shape, 7, LIMIT13 // 2)
        turned = self.key._replace(positions=self.key.positions[::-1].copy())
        back = self.run(x[::-1].copy(), turned, LIMIT13)[::-1]
        assert np.array_equal(back, self.run(x, self.key, LIMIT13))

    def test_clamps_to_the_limit_and_counts(self) -> None:
        x = np.full(self.shape, LIMIT13, np.int16)
        out = np.empty_like(x)
        m = mantissa16(Fraction(2**16 - 1, 2**15))[0]
        assert ops.dropout(x, self.key, 0, m, LIMIT13, out) == 0
        assert (out == half_up(LIMIT13 * m, 16)).all()
        assert ops.dropout(x, self.key, 0, m, 4000, out) == x.size

    def test_rate_is_kept(self) -> None:
        key = self.key._replace(positions=np.arange(64))
        x = np.ones((64, 256), np.int16)
        dropped = np.count_nonzero(self.run(x * 4, key, LIMIT13) == 0)
        assert dropped / x.size == pytest.approx(0.5, abs=0.02)


def test_normalise_looks_up_each_channel() -> None:
    table = np.stack([np.arange(256) - 128, 7 * np.arange(256)], axis=1).astype(np.int16)
    pixels = np.random.default_rng(8).integers(0, 256, (2, 3, 3, 2), dtype=np.uint8)
    out = np.empty(pixels.shape, np.int16)
    ops.normalise(pixels, table, out)
    assert np.array_equal(out[..., 0], pixels[..., 0].astype(int) - 128)
    assert np.array_equal(out[..., 1], pixels[..., 1].astype(int) * 7)


def test_refuses_what_cannot_work() -> None:
    with pytest.raises(ArgumentError, match="padding 2"):
        PoolShape.of(1, 4, 4, 1, 2, 2, 2, 2)
    with pytest.raises(ArgumentError, match="give 2 x 2"):
        PoolShape(1, 4, 4, 1, 2, 2, 2, 0, 3, 2)
    shape = PoolShape.of(1, 17, 17, 1, 17, 17, 1, 0)
    x = np.zeros(shape.x_shape, np.int16)
    with pytest.raises(ArgumentError, match="at most 256"):
        ops.max_pool_forward(shape, x, x[:, :1, :1], np.zeros(shape.y_shape, np.uint8))
