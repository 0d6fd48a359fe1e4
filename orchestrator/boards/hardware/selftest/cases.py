"""Small calls of every kernel, seeded: random and all-extreme mantissas, odd shapes.

Random mantissas never overflow a sum, and a core that carries wrongly passes them; so kernels also
get tensors whose mantissas all have the largest magnitude.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from orchestrator.dfp import LIMIT13, LIMIT16
from orchestrator.model import ops
from orchestrator.model.ops import loss_targets
from orchestrator.model.shapes import ConvShape, DropoutKey, PoolShape

Array = NDArray[Any]

SEED: Final = 968
COPY, ADD, DTCM = "copy", "add", "dtcm"
"""Calls beside the kernels of a replica, by their names in `SelfTestKernels`."""

_FACTOR: Final = 16383
"""Largest magnitude of batch norm's coefficients (docs/numerics.md)."""
_LARGEST: Final = 2**31 - 1
_WORKSPACE_WORDS: Final = 56 * 1024 // 4
"""A core's workspace (runtime.h), through which `copy` takes its data."""


@dataclass(frozen=True)
class Case:
    """A call of a kernel whose results are known.

    Attributes
    ----------
    kernel : its name, a method of `SelfTestKernels`.
    data : which mantissas it gets, for people.
    arguments : of the call; arrays among them are written by copies of it.
    oracle : does the same on the host; defines the result.
    """

    kernel: str
    data: str
    arguments: tuple[Any, ...]
    oracle: Callable[..., Any]

    @property
    def name(self) -> str:
        """Kernel, sizes and data: what a report calls it."""
        sizes = next(
            (a for a in self.arguments if isinstance(a, ConvShape | PoolShape)), self.arguments[0]
        )
        return f"{self.kernel} {_sizes(sizes)}, {self.data}"


def _sizes(of: Any) -> str:
    if isinstance(of, ConvShape):
        kernel = f"{of.r}x{of.s}" + (f"/{of.stride}" if of.stride > 1 else "")
        return f"{of.n}x{of.h}x{of.w}x{of.c} to {of.k}, {kernel}"
    if isinstance(of, PoolShape):
        return f"{of.n}x{of.h}x{of.w}x{of.c}, {of.kr}x{of.ks}/{of.stride}"
    return "x".join(map(str, of.shape))


def every_case() -> tuple[Case, ...]:
    """Return all cases, the cheapest kernels first: a dead core shows early."""
    groups = (_moves, _masters, _norms, _pools, _elements, _losses, _gradients, _convolutions)
    return tuple(case for group in groups for case in group())


def _case(kernel: str, data: str, *arguments: Any) -> Case:
    return Case(kernel, data, arguments, getattr(ops, kernel))


def mantissas(data: str, shape: tuple[int, ...], limit: int, salt: int = 0) -> NDArray[np.int16]:
    """Return int16 mantissas of at most a limit's magnitude.

    Parameters
    ----------
    data : "random", "highest", "lowest", "signs" (the limit with random signs) or "sparse" (one in
        nine not 0).
    shape, limit : of the tensor.
    salt : makes tensors of one call differ.
    """
    rng = np.random.default_rng((SEED, salt))
    values: dict[str, Callable[[], Array]] = {
        "random": lambda: rng.integers(-limit, limit + 1, shape),
        "highest": lambda: np.full(shape, limit),
        "lowest": lambda: np.full(shape, -limit),
        "signs": lambda: np.where(rng.integers(0, 2, shape), limit, -limit),
        "sparse": lambda: np.where(rng.integers(0, 9, shape), 0, limit),
    }
    return values[data]().astype(np.int16)


def _masters_like(size: int, magnitude: int, salt: int) -> NDArray[np.int32]:
    """Return int32 values of which a third sit at the ends of the range."""
    rng = np.random.default_rng((SEED, salt))
    values = rng.integers(-magnitude, magnitude + 1, size)
    return np.where(rng.integers(0, 3, size), values, np.sign(values) * magnitude).astype(np.int32)


def _zeros(shape: tuple[int, ...]) -> NDArray[np.int16]:
    return np.zeros(shape, np.int16)


# ---- copies, sums of gradients, the data memory ----


def _moves() -> Iterator[Case]:
    rng = np.random.default_rng(SEED)
    for size in (8, 1000, 2056):
        data = rng.integers(0, 256, size, dtype=np.uint8)
        yield Case(COPY, "random", (data, np.zeros_like(data)), _copy)
    pattern = rng.integers(-_LARGEST, _LARGEST, _WORKSPACE_WORDS, dtype=np.int32)
    yield Case(DTCM, "a pattern and its complement", (pattern,), lambda _: 0)
    total, parts = _masters_like(101, 2**29, 1), _masters_like(3 * 102, 2**28, 2).reshape(3, 102)
    yield Case(ADD, "random", (total, parts), _add)


def _copy(source: Array, target: Array) -> None:
    target[...] = source


def _add(total: Array, parts: Array) -> None:
    total += parts[:, : total.size].sum(axis=0, dtype=np.int32)


# ---- masters ----


def _masters() -> Iterator[Case]:
    for magnitude, data in ((2**26, "as in training"), (_LARGEST, "extreme")):
        w, v, g = (_masters_like(135, magnitude, salt) for salt in range(3))
        for shift, limit in ((14, LIMIT13), (-9, LIMIT16)):
            yield _case("quantise", data, w, shift, limit, _zeros(w.shape))
        yield _case("bits_i32", data, w)
        yield _case("sum_squares", data, w, 12)
        rates = ((58982, -16), (52429, -43), (42950, -29))
        yield _case("update", data, w, v, g, *rates, None)
        yield _case("update", f"{data}, Nesterov", w, v, g, *rates, (58982, -16))
        yield _case("update", f"{data}, rates too", w, v, g, *[(65535, 20)] * 3, (-65535, 3))
    rng = np.random.default_rng((SEED, 5))
    ways: tuple[tuple[int, int | None], ...] = ((40, 21), (61, 45), (20, -9), (61, None))
    for bits, by in ways:
        sums = rng.integers(-(2**bits), 2**bits, 67)
        yield _case("accumulate", f"{bits} bits", sums, by, _masters_like(67, 2**30, bits))


# ---- batch norm ----


def _norms() -> Iterator[Case]:
    for data in ("random", "highest", "lowest", "signs"):
        rows, channels = (19, 37) if data == "random" else (9, 33)
        y, z, d = (mantissas(data, (rows, channels), LIMIT16, salt) for salt in range(3))
        a, c = (_coefficients(data, channels, _FACTOR, salt) for salt in (3, 4))
        # The lowest sums get the highest addend: below 0, nothing is left of them.
        addend = "highest" if data == "lowest" else data
        b = _coefficients(addend, channels, 2**30 - 2**17, 5)
        out = np.zeros_like(y)
        yield _case("channel_statistics", data, y)
        yield _case("affine_backward_sums", data, d, y)
        yield _case("affine_backward_sums", f"{data}, no norm", d, None)
        yield _case("affine_forward", f"{data}, ReLU", y, a, b, None, None, 17, True, out)
        yield _case("affine_forward", f"{data}, shortcut", y, a, b, z, c, 17, False, out)
        yield _case("affine_backward", data, d, y, a, c, 3, b, 17, SEED, out)
        yield _case("affine_backward", f"{data}, no norm", d, None, a, c, 0, b, 15, SEED, out)


def _coefficients(data: str, channels: int, limit: int, salt: int) -> NDArray[np.int32]:
    if data == "random":
        rng = np.random.default_rng((SEED, salt))
        return rng.integers(-limit, limit + 1, channels).astype(np.int32)
    return mantissas(data, (channels,), 1, salt).astype(np.int32) * np.int32(limit)


# ---- pools ----


def _pools() -> Iterator[Case]:
    shapes = (PoolShape.of(2, 5, 4, 20, 3, 3, 2, 1), PoolShape.of(1, 3, 5, 35, 3, 5, 1, 0))
    for shape in shapes:
        for data in ("random", "highest"):
            x = mantissas(data, shape.x_shape, LIMIT13)
            d = mantissas(data, shape.y_shape, LIMIT16, 1)
            y, index = _zeros(shape.y_shape), np.zeros(shape.y_shape, np.uint8)
            yield _case("max_pool_forward", data, shape, x, y, index)
            yield _case("avg_pool_forward", data, shape, x, 43691, 18, y)
            ops.max_pool_forward(shape, mantissas("random", shape.x_shape, 3, 2), y, index)
            yield from _window_backward(shape, data, d, index, x)


def _window_backward(
    shape: PoolShape, data: str, d: Array, index: Array, x: Array
) -> Iterator[Case]:
    """Yield the error to the windows' maxima and to all of them; with and without an addend."""
    mask = mantissas("random", shape.x_shape, LIMIT13, 3)
    finishes: tuple[tuple[Any, ...], ...]
    if data == "random":
        finishes = ((index, None, 0, 0, None), (None, x, -3, 44, None))
    else:
        finishes = ((index, x, 2, 5, mask), (None, None, 0, 0, mask))
    for routed, *finish in finishes:
        which = f"{data}, {'to all' if routed is None else 'to maxima'}"
        arguments = (shape, d, routed, *finish, 3, _zeros(shape.x_shape))
        yield _case("window_backward", which, *arguments)


# ---- element by element ----


def _elements() -> Iterator[Case]:
    for data in ("random", "highest", "lowest"):
        x = mantissas(data, (3, 25), LIMIT16)
        out = np.zeros_like(x)
        key = DropoutKey(SEED << 32 | 7, 3, 2**32 - 5, np.array([0, 2**32 - 1, 12345]))
        yield _case("scale16", data, x, 42799, 16, LIMIT16, out)
        yield _case("scale16", f"{data}, to 13 bits", x, -65536, 13, LIMIT13, out)
        yield _case("dropout", data, x, key, 1 << 31, 65535, LIMIT13, out)
    for channels in (1, 3, 4):
        rng = np.random.default_rng((SEED, channels))
        pixels = rng.integers(0, 256, (2, 5, 7, channels), dtype=np.uint8)
        table = mantissas("random", (256, channels), LIMIT13, channels)
        yield _case("normalise", "random", pixels, table, _zeros(pixels.shape))


# ---- loss ----


def _losses() -> Iterator[Case]:
    """Yield losses of random logits, and of such that every word of both tables counts."""
    random = [
        mantissas(data, (3, 37), limit) for data, limit in (("random", 5000), ("signs", LIMIT16))
    ]
    steps = (np.arange(259)[::-1] * 3)[None]  # 128 entries lie within ln(2) * 2^10 = 710
    # Two logits whose exponentials add up to 1 + (j + 1/2) / 128.
    distances = np.log((np.arange(128) + 0.5) / 128) * -1024
    pairs = np.stack([np.zeros(128), -distances], axis=1)
    for data, logits in (
        *zip(("random", "signs"), random, strict=True),
        ("every exponential", steps.astype(np.int16)),
        ("every logarithm", pairs.astype(np.int16)),
    ):
        n, classes = logits.shape
        labels = (np.arange(n, dtype=np.int32) * 18) % classes
        targets = loss_targets(classes, Fraction(1, 10))
        yield _case("softmax_loss", data, logits, labels, *targets, SEED, np.zeros_like(logits))
        yield _case("evaluate_logits", data, logits, labels, *targets)


# ---- gradients of weights ----


def _gradients() -> Iterator[Case]:
    shapes = (
        ConvShape.of(1, 3, 5, 37, 5, 3, 3, 1, 1),
        ConvShape.of(2, 5, 7, 3, 13, 3, 3, 2, 1),
        ConvShape.of(2, 3, 5, 20, 33, 1, 1),
    )
    for shape in shapes:
        for data, shift in (("random", 12), ("signs", 15), ("highest", None)):
            e, x = (
                mantissas(data, s, LIMIT13, i) for i, s in enumerate((shape.y_shape, shape.x_shape))
            )
            total = _masters_like(int(np.prod(shape.w_shape)), 2**20, 2).reshape(shape.w_shape)
            yield _case("conv_weight_gradient", data, shape, e, x, shift, total)


# ---- convolutions ----


def _convolutions() -> Iterator[Case]:
    yield from _forward()
    yield from _backward()


def _forward() -> Iterator[Case]:
    """Yield convolutions whose sums are rounded in 32 bits, in more, and by C; one in slices."""
    image, wide = (
        ConvShape.of(2, 9, 7, 3, 13, 3, 3, 2, 1),
        ConvShape.of(1, 5, 6, 37, 13, 3, 3, 1, 1),
    )
    small, deep = ConvShape.of(3, 3, 5, 20, 24, 1, 1), ConvShape.of(1, 1, 1, 800, 4, 3, 3, 1, 1)
    for shape, shift, kinds in (
        (image, 9, ("random", "highest")),
        (small, 12, ("random", "lowest")),
        (wide, 18, ("random", "signs")),
        (deep, 20, ("signs",)),
    ):
        for data in kinds:
            x, w = (
                mantissas(data, s, LIMIT13, i) for i, s in enumerate((shape.x_shape, shape.w_shape))
            )
            yield _case("conv_forward", data, shape, x, w, None, shift, _zeros(shape.y_shape))
    dense = ConvShape.dense(3, 133, 9)  # all 64 words of the inner product, and some more
    x, w = (
        mantissas("random", dense.x_shape, LIMIT13),
        mantissas("random", dense.w_shape, LIMIT13, 1),
    )
    bias = np.random.default_rng(SEED).integers(-(2**40), 2**40, dense.k)
    for shift in (12, -3):
        data = f"random, bias, shift {shift}"
        yield _case("conv_forward", data, dense, x, w, bias, shift, _zeros(dense.y_shape))


def _backward() -> Iterator[Case]:
    """Yield gradients at inputs: of every stride, with and without an addend and a mask."""
    for shape, finish in (
        (ConvShape.of(1, 3, 4, 33, 18, 3, 3, 1, 1), (False, 0, 0, False, 17, "signs")),
        (ConvShape.of(1, 5, 4, 20, 37, 3, 3, 2, 1), (True, 0, 12, True, 18, "random")),
        (ConvShape.of(1, 6, 5, 13, 24, 1, 1, 2), (True, 0, 9, True, 13, "random", "signs")),
        (ConvShape.of(1, 4, 4, 35, 9, 1, 1), (True, -2, 9, False, 11, "random", "signs")),
        (ConvShape.of(1, 6, 5, 5, 6, 2, 2, 3, 1), (False, 5, 0, True, 14, "random", "signs")),
    ):
        with_addend, acc_shift, addend_shift, with_mask, shift, *kinds = finish
        for data in kinds:
            e, w = (
                mantissas(data, s, LIMIT13, i) for i, s in enumerate((shape.y_shape, shape.w_shape))
            )
            addend = mantissas(data, shape.x_shape, LIMIT16, 2) if with_addend else None
            mask = mantissas("random", shape.x_shape, LIMIT13, 3) if with_mask else None
            arguments = (shape, e, w, addend, acc_shift, addend_shift, mask, shift)
            yield _case("conv_input_gradient", data, *arguments, _zeros(shape.x_shape))
