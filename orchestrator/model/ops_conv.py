"""Oracle of the convolutions: forward, gradient of the input, gradient of the weights.

Legend: x [n, h, w, c], w [k, r, s, c], y and e [n, p, q, k]. A dense layer is a 1x1 convolution on
1x1 maps.

Sums run through float64 matrix products of patches, image by image. All mantissas of x, e and w
have 13 bits, so that up to 2^29 products (4095^2 * 2^29 < 2^53) add without rounding in any order:
the float result is the exact integer.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from orchestrator.dfp import LIMIT16, Int16, Int32, Int64, half_up, or_bits, round_saturate
from orchestrator.model.shapes import ConvShape, Sums

Float64 = NDArray[np.float64]


def conv_forward(
    shape: ConvShape, x: Int16, w: Int16, bias: Int64 | None, shift: int, y: Int16
) -> Sums:
    """Write y = sat16(half_up(conv(x, w) + bias, shift)).

    Parameters
    ----------
    shape : the convolution's sizes.
    x, w : 13-bit mantissas.
    bias : [k] at the exponent of the products, or None.
    shift : from the exponent of the products to y's.
    y : output.
    """
    kernel = w.reshape(shape.k, -1).astype(np.float64).T
    bits = saturated = 0
    for image, patches in enumerate(_patches(shape, x)):
        total = (patches @ kernel).astype(np.int64)
        if bias is not None:
            total += bias
        bits |= or_bits(total)
        rounded, clipped = round_saturate(total, shift, LIMIT16)
        saturated += clipped
        y[image] = rounded.reshape(shape.p, shape.q, shape.k)
    return Sums(bits, saturated)


def conv_input_gradient(
    shape: ConvShape,
    e: Int16,
    w: Int16,
    addend: Int16 | None,
    acc_shift: int,
    addend_shift: int,
    mask: Int16 | None,
    shift: int,
    d: Int16,
) -> Sums:
    """Write the error at the convolution's input, added to what other consumers contribute.

    `v = lsh(acc, acc_shift) + lsh(addend, addend_shift)`, 0 where mask <= 0;
    `d = sat16(half_up(v, shift))`. lsh is a left shift; a negative one rounds half up.

    Parameters
    ----------
    e, w : error at the output and weights, 13-bit mantissas.
    addend : the other consumers' exact sum [n, h, w, c], or None.
    acc_shift, addend_shift, shift : from `dfp.align`, and from its exponent to d's.
    mask : the stored activation after a ReLU [n, h, w, c], or None.
    d : output [n, h, w, c].
    """
    kernel = w.reshape(shape.k, -1).astype(np.float64)
    bits = saturated = 0
    for image in range(shape.n):
        columns = e[image].reshape(-1, shape.k).astype(np.float64) @ kernel
        v = half_up(_gathered(shape, columns).astype(np.int64), -acc_shift)
        if addend is not None:
            v = v + half_up(addend[image].astype(np.int64), -addend_shift)
        if mask is not None:
            v = np.where(mask[image] > 0, v, 0)
        bits |= or_bits(v)
        rounded, clipped = round_saturate(v, shift, LIMIT16)
        saturated += clipped
        d[image] = rounded
    return Sums(bits, saturated)


def conv_weight_gradient(
    shape: ConvShape, e: Int16, x: Int16, shift: int | None, total: Int32
) -> Sums:
    """Add a ghost batch's weight gradient to a total: `total += sat16(half_up(v, shift))`.

    Parameters
    ----------
    shape : the convolution's sizes.
    e, x : error at the output and input, 13-bit mantissas.
    shift : from the exponent of the products to the gradient's; None only measures the sums.
    total : int32 [k, r, s, c], exact over 65536 ghost batches.
    """
    v: Float64 = np.zeros((shape.k, shape.r * shape.s * shape.c))
    for image, patches in enumerate(_patches(shape, x)):
        v += e[image].reshape(-1, shape.k).astype(np.float64).T @ patches
    return accumulate(v.astype(np.int64).reshape(shape.w_shape), shift, total)


def channel_sums(e: Int16) -> Int64:
    """Return the exact sum over rows of e [rows, c] per channel: the gradient of a bias."""
    total: Int64 = e.sum(axis=0, dtype=np.int64)
    return total


def accumulate(v: Int64, shift: int | None, total: Int32) -> Sums:
    """Add one ghost batch's exact gradient to a total: `total += sat16(half_up(v, shift))`.

    Parameters
    ----------
    v : exact gradient, int64, of total's shape.
    shift : from v's exponent to the gradient's; None only measures v.
    total : int32.
    """
    if shift is None:
        return Sums(or_bits(v), 0)
    rounded, saturated = round_saturate(v, shift, LIMIT16)
    total += rounded.astype(np.int32)
    return Sums(or_bits(v), saturated)


def _patches(shape: ConvShape, x: Int16) -> Iterator[Float64]:
    """Yield per image the matrix [p*q, r*s*c] of the inputs under each output."""
    margin = ((shape.pad, shape.pad), (shape.pad, shape.pad), (0, 0))
    for image in x:
        padded = np.pad(image.astype(np.float64), margin)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (shape.r, shape.s), (0, 1))
        taken = windows[:: shape.stride, :: shape.stride].transpose(0, 1, 3, 4, 2)
        yield taken.reshape(shape.p * shape.q, -1)


def _gathered(shape: ConvShape, columns: Float64) -> Float64:
    """Return [h, w, c]: each input's sum over the windows it lies in, columns [p*q, r*s*c]."""
    parts = columns.reshape(shape.p, shape.q, shape.r, shape.s, shape.c)
    padded = np.zeros((shape.h + 2 * shape.pad, shape.w + 2 * shape.pad, shape.c))
    for i in range(shape.r):
        for j in range(shape.s):
            rows = slice(i, i + shape.stride * shape.p, shape.stride)
            columns_j = slice(j, j + shape.stride * shape.q, shape.stride)
            padded[rows, columns_j] += parts[:, :, i, j]
    return padded[shape.pad : shape.pad + shape.h, shape.pad : shape.pad + shape.w]
