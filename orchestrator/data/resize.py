"""Crop and resize in integers: separable, antialiased bilinear (triangle filter).

This is the filter of Pillow's ``BILINEAR``: enlarging interpolates linearly, shrinking averages
over a triangle as wide as the shrink asks. For output i of n_out from n_in pixels, input x has the
exact weight ``max(0, S - |(2x + 1) * n_out - (2i + 1) * n_in|)`` with ``S = 2 * max(n_in, n_out)``,
in units of 1/(2 * n_out). Weights become 14-bit integers by rounding their running sum,
``half_up(2^14 * sum / total)``, and taking differences, so that each output's weights add up to
exactly 2^14 and a flat area keeps its value.

Rows first: ``t = half_up(sum(w * p), 7)``, 15 bits with 7 fraction bits. Then columns:
``half_up(sum(w * t), 21)``, 8 bits. `board_kernels/kernels/resize.c` does the same, bit for bit.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from orchestrator.data.base import Pixels

WEIGHT_BITS: Final = 14
FIRST_SHIFT: Final = 7
SECOND_SHIFT: Final = 2 * WEIGHT_BITS - FIRST_SHIFT


@dataclass(frozen=True, slots=True)
class Axis:
    """How one axis of the output is made.

    Parameters
    ----------
    start
        First input pixel of the crop.
    length
        Input pixels of the crop, at least 1.
    resized
        Output pixels the whole crop would become, at least 1.
    first
        First of these that is wanted.
    count
        How many are wanted; ``first + count <= resized``.
    reverse
        Mirror the wanted pixels.
    """

    start: int
    length: int
    resized: int
    first: int
    count: int
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Geometry:
    """The rows and columns of a crop and resize."""

    rows: Axis
    columns: Axis


@dataclass(frozen=True, slots=True)
class Taps:
    """Weights of one axis: output i is the sum of ``weights[i, k] * input[start[i] + k]``.

    ``start`` is int32 [n], ``weights`` int16 [n, taps]; taps past the crop have weight 0 and are
    never read beyond it.
    """

    start: NDArray[np.int32]
    weights: NDArray[np.int16]


def make_taps(axis: Axis) -> Taps:
    """Return the weights of an axis, with ``start`` counted from the image's edge.

    Every row of weights adds up to 2^14.
    """
    taps = _window_taps(axis.length, axis.resized, axis.first, axis.count)
    order = slice(None, None, -1) if axis.reverse else slice(None)
    start = np.ascontiguousarray(taps.start[order] + np.int32(axis.start))
    return Taps(start, np.ascontiguousarray(taps.weights[order]))


@lru_cache(maxsize=64)
def _window_taps(n_in: int, n_out: int, first: int, count: int) -> Taps:
    support = 2 * max(n_in, n_out)
    centre = (2 * np.arange(first, first + count, dtype=np.int64) + 1) * n_in
    width = min(n_in, -(-support // n_out))
    low = np.clip((centre - support - n_out) // (2 * n_out) + 1, 0, n_in - width)
    places = low[:, None] + np.arange(width)
    exact = np.maximum(support - np.abs((2 * places + 1) * n_out - centre[:, None]), 0)
    running = np.cumsum(exact, axis=1)
    total = running[:, -1:]
    rounded = ((running << (WEIGHT_BITS + 1)) + total) // (2 * total)
    weights = np.diff(rounded, axis=1, prepend=0).astype(np.int16)
    return Taps(low.astype(np.int32), weights)


def resize(image: Pixels, geometry: Geometry) -> Pixels:
    """Crop and resize an image.

    Parameters
    ----------
    image
        uint8 [height, width, channels].
    geometry
        Crop, size and window of the result; the crop lies inside the image.

    Returns
    -------
    uint8 [rows.count, columns.count, channels]
    """
    rows, columns = make_taps(geometry.rows), make_taps(geometry.columns)
    first = _weighted(image, rows, FIRST_SHIFT)
    across = np.ascontiguousarray(first.transpose(1, 0, 2))
    return _weighted(across, columns, SECOND_SHIFT).transpose(1, 0, 2).astype(np.uint8)


def _weighted(lines: NDArray[np.integer], taps: Taps, shift: int) -> NDArray[np.int32]:
    """Return the weighted sums of lines, [lines, ...] to [outputs, ...], rounded half up."""
    total = np.zeros((len(taps.start), *lines.shape[1:]), np.int32)
    for k in range(taps.weights.shape[1]):
        total += taps.weights[:, k, None, None].astype(np.int32) * lines[taps.start + k]
    return (total + (1 << (shift - 1))) >> shift
