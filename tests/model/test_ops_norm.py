"""The element-wise passes around batch norm against unbounded integers, element by element."""

import numpy as np
import pytest

from orchestrator.dfp import LIMIT13, LIMIT16, dither, half_up
from orchestrator.model import ops


def mantissas(rows: int, channels: int, seed: int, limit: int = LIMIT16) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(-limit, limit, (rows, channels), dtype=np.int16, endpoint=True)


def coefficients(channels: int, seed: int, limit: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(-limit, limit, channels, dtype=np.int32, endpoint=True)


def test_channel_statistics() -> None:
    y = np.array([[3, -LIMIT16], [-4, -LIMIT16], [0, -LIMIT16]], np.int16)
    s1, s2, lo, hi = ops.channel_statistics(y)
    assert s1.tolist() == [-1, -3 * LIMIT16]
    assert s2.tolist() == [25, 3 * LIMIT16**2]
    assert (lo.tolist(), hi.tolist()) == ([-4, -LIMIT16], [3, -LIMIT16])
    assert (s1.dtype, lo.dtype) == (np.int64, np.int32)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("shortcut", [False, True])
@pytest.mark.parametrize("shift", [0, 1, 14, 18])
def test_affine_forward(relu: bool, shortcut: bool, shift: int) -> None:
    y, z = mantissas(40, 3, 1), mantissas(40, 3, 2)
    a, r = coefficients(3, 3, 16383), coefficients(3, 4, 16383)
    b = coefficients(3, 5, 2**29)
    out = np.empty_like(y)
    got = ops.affine_forward(
        y, a, b, z if shortcut else None, r if shortcut else None, shift, relu, out
    )
    clipped = 0
    for i in range(40):
        for c in range(3):
            v = int(a[c]) * int(y[i, c]) + int(b[c])
            v += int(r[c]) * int(z[i, c]) if shortcut else 0
            v = half_up(v, shift)
            v = max(v, 0) if relu else v
            clipped += abs(v) > LIMIT13
            assert out[i, c] == max(-LIMIT13, min(LIMIT13, v))
    assert got[0] == clipped
    assert got[1].tolist() == out.min(axis=0).tolist()
    assert got[2].tolist() == out.max(axis=0).tolist()


def test_backward_sums() -> None:
    d, y = mantissas(50, 3, 6), mantissas(50, 3, 7)
    d[:, 1] = -LIMIT16
    d1, d2, dmax = ops.affine_backward_sums(d, y)
    for c in range(3):
        errors, outputs = d[:, c].tolist(), y[:, c].tolist()
        assert d1[c] == sum(errors)
        assert d2[c] == sum(e * o for e, o in zip(errors, outputs, strict=True))
        assert dmax[c] == max(abs(e) for e in errors)
    assert not ops.affine_backward_sums(d, None)[1].any()


@pytest.mark.parametrize("p", [0, 1, 4])
@pytest.mark.parametrize("shift", [0, 3, 15, 19])
def test_affine_backward(p: int, shift: int) -> None:
    d, y = mantissas(40, 3, 8), mantissas(40, 3, 9)
    a, c = coefficients(3, 10, 16383), coefficients(3, 11, 16383)
    b = coefficients(3, 12, 2**29)
    e = np.empty_like(d)
    saturated = ops.affine_backward(d, y, a, c, p, b, shift, 77, e)
    noise = dither(d.size, 77, shift).tolist()
    clipped = 0
    for i in range(40):
        for k in range(3):
            v = int(a[k]) * int(d[i, k]) + int(c[k]) * half_up(int(y[i, k]), p) + int(b[k])
            v = (v + noise[i * 3 + k]) >> shift
            clipped += abs(v) > LIMIT13
            assert e[i, k] == max(-LIMIT13, min(LIMIT13, v))
    assert saturated == clipped


def test_affine_backward_without_batch_norm_only_narrows() -> None:
    d = mantissas(30, 2, 13)
    e = np.empty_like(d)
    one, zero = np.ones(2, np.int32), np.zeros(2, np.int32)
    assert ops.affine_backward(d, None, one, zero, 0, zero, 3, 5, e) == 0
    assert np.abs(e.astype(np.int64) * 8 - d).max() < 8
