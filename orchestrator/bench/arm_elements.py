"""Cycles per element of a core's kernels that are not convolutions, for `bench.arm_kernels`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from orchestrator.dfp import LIMIT13, LIMIT16
from orchestrator.model.ops import loss_targets
from orchestrator.model.shapes import DropoutKey, PoolShape
from orchestrator.virtual.arm_kernels import ArmKernels

TENSOR: Final = (2, 28, 28, 64)
POOL: Final = PoolShape.of(2, 28, 28, 64, 3, 3, 2, 1)
CLASSES: Final = 1000
SAMPLES: Final = 8
WEIGHTS: Final = 36864
"""A 3x3 convolution's with 64 channels on both sides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementFigures:
    """What a kernel costs a core, all of its task included, where DMA takes no time.

    Attributes
    ----------
    kernel : its name, and what of it.
    elements : of the tensor it is named after: outputs, or inputs of a reduction.
    cycles_per_element, dma_bytes_per_element : averages over them.
    """

    kernel: str
    elements: int
    cycles_per_element: float
    dma_bytes_per_element: float


def measure_elements(kernels: ArmKernels) -> list[ElementFigures]:
    """Run every kernel once on a core.

    Parameters
    ----------
    kernels : on a core whose DMA takes no time.
    """
    found = []
    for name, elements, call in (*_passes(kernels), *_pools(kernels), *_others(kernels)):
        call()
        found.append(
            ElementFigures(
                kernel=name,
                elements=elements,
                cycles_per_element=kernels.cycles / elements,
                dma_bytes_per_element=kernels.dma_bytes / elements,
            )
        )
    return found


_Case = tuple[str, int, Callable[[], object]]


def _mantissas(shape: tuple[int, ...], limit: int, seed: int) -> NDArray[np.int16]:
    rng = np.random.default_rng(seed)
    return rng.integers(-limit, limit + 1, shape).astype(np.int16)


def _passes(k: ArmKernels) -> Iterator[_Case]:
    """Yield statistics, batch norm and its backward pass."""
    channels = TENSOR[-1]
    y, d = (_mantissas((int(np.prod(TENSOR[:3])), channels), LIMIT16, i) for i in (0, 1))
    a = np.full(channels, 9000, np.int32)
    b = np.full(channels, 1000, np.int32)
    out = np.empty_like(y)
    yield "statistics", y.size, lambda: k.channel_statistics(y)
    yield (
        "batch norm, ReLU",
        y.size,
        lambda: k.affine_forward(y, a, b, None, None, 17, True, out),
    )
    yield (
        "batch norm, shortcut, ReLU",
        y.size,
        lambda: k.affine_forward(y, a, b, d, a, 17, True, out),
    )
    yield "backward sums", y.size, lambda: k.affine_backward_sums(d, y)
    yield (
        "batch norm backward",
        y.size,
        lambda: k.affine_backward(d, y, a, a, 4, b, 17, 1, out),
    )


def _pools(k: ArmKernels) -> Iterator[_Case]:
    """Yield pools with windows of 3x3, stride 2, and over a whole map."""
    x, d = _mantissas(POOL.x_shape, LIMIT13, 2), _mantissas(POOL.y_shape, LIMIT16, 3)
    y, index = np.empty(POOL.y_shape, np.int16), np.empty(POOL.y_shape, np.uint8)
    error = np.empty_like(x)
    k.max_pool_forward(POOL, x, y, index)
    yield "max pool 3x3/2, outputs", y.size, lambda: k.max_pool_forward(POOL, x, y, index)
    yield (
        "max pool 3x3/2 backward",
        x.size,
        lambda: k.window_backward(POOL, d, index, None, 0, 0, x, 3, error),
    )
    whole = PoolShape.of(*POOL.x_shape, POOL.h, POOL.w)
    mean, spread = np.empty(whole.y_shape, np.int16), _mantissas(whole.y_shape, LIMIT16, 4)
    yield "global average pool", x.size, lambda: k.avg_pool_forward(whole, x, 42799, 25, mean)
    yield (
        "global average pool backward",
        x.size,
        lambda: k.window_backward(whole, spread, None, None, 0, 0, x, 3, error),
    )


def _others(k: ArmKernels) -> Iterator[_Case]:
    """Yield the input table, dropout, the loss and the masters' kernels."""
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    table, image = _mantissas((256, 3), LIMIT13, 6), np.empty(pixels.shape, np.int16)
    yield "input table", pixels.size, lambda: k.normalise(pixels, table, image)
    x, kept = _mantissas((SAMPLES, 512), LIMIT13, 7), np.empty((SAMPLES, 512), np.int16)
    key = DropoutKey(1, 0, 2, np.arange(SAMPLES))
    yield "dropout", x.size, lambda: k.dropout(x, key, 1 << 31, 65535, LIMIT13, kept)
    yield "scale", x.size, lambda: k.scale16(x, 42799, 16, LIMIT16, kept)
    logits, error = _mantissas((SAMPLES, CLASSES), 5000, 8), np.empty((SAMPLES, CLASSES), np.int16)
    labels, targets = np.arange(SAMPLES, dtype=np.int32), loss_targets(CLASSES, Fraction(1, 10))
    yield "loss", logits.size, lambda: k.softmax_loss(logits, labels, *targets, 1, error)
    w, v, g = (rng.integers(-(2**26), 2**26, WEIGHTS, dtype=np.int32) for _ in range(3))
    copy = np.empty(w.size, np.int16)
    rates = ((58982, -16), (52429, -43), (42950, -29))
    yield "update", w.size, lambda: k.update(w, v, g, *rates, None)
    yield "update, Nesterov", w.size, lambda: k.update(w, v, g, *rates, (58982, -16))
    yield "13-bit copy", w.size, lambda: k.quantise(w, 14, LIMIT13, copy)
    yield "bit length", w.size, lambda: k.bits_i32(w)
    yield "norm", w.size, lambda: k.sum_squares(w, 12)
