"""The layers a network is made of, as frozen values.

>>> x = Input((8, 8, 1))
>>> y = ReLU()(Conv2D(16, 3, padding=1, name="conv1")(x))
>>> Dense(10, name="fc")(GlobalAvgPool()(y)).shape
(10,)
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import ClassVar

from orchestrator.errors import ArgumentError
from orchestrator.model.distributions import Distribution, HeNormal
from orchestrator.model.symbolic import Input, InputLayer, Layer, Node, Shape, Tensor, is_int

__all__ = [
    "Add",
    "AvgPool2D",
    "BatchNorm",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "Input",
    "InputLayer",
    "Layer",
    "MaxPool2D",
    "Node",
    "ReLU",
    "Shape",
    "Tensor",
]

LONGEST_SUM = (2**42 - 1) // 4095**2
"""Longest sum of products of two 13-bit mantissas below 2^42 (docs/numerics.md, section 3)."""


@dataclass(frozen=True, slots=True)
class _Window(Layer):
    """A layer that slides a window over a feature map; zero padding on all four sides."""

    def _place(
        self, name: str, shape: Shape, window: tuple[int, int], stride: int, pad: int
    ) -> Shape:
        height, width, _ = _map_shape(name, shape)
        rows = (height + 2 * pad - window[0]) // stride + 1
        columns = (width + 2 * pad - window[1]) // stride + 1
        if rows < 1 or columns < 1:
            raise ArgumentError(
                f"layer {name!r}: a {window[0]}x{window[1]} window does not fit a {height}x{width} "
                f"input with padding {pad}; use a larger image or a smaller window"
            )
        return rows, columns


@dataclass(frozen=True, slots=True)
class Conv2D(_Window):
    """2-D convolution over (H, W, C).

    The output is (P, Q, filters), P = (H + 2 padding - R) // stride + 1; weights are
    [filters, R, S, C] (KRSC).

    Parameters
    ----------
    filters
        Number of output channels K, at least 1.
    kernel
        Window size, one number or (R, S), at least 1.
    stride
        Step of the window in both directions, at least 1.
    padding
        Zeros added on each side, 0 or more.
    bias
        Whether a bias is added; leave it out before a batch norm.
    initial
        Distribution of the initial weights.
    """

    filters: int
    kernel: int | tuple[int, int]
    stride: int = 1
    padding: int = 0
    bias: bool = True
    initial: Distribution = HeNormal("fan_in")

    def __post_init__(self) -> None:
        _check_sizes(self, filters=self.filters)
        _check_window(self, self.window, self.stride, self.padding)

    @property
    def window(self) -> tuple[int, int]:
        """(R, S): rows and columns of the kernel."""
        return _pair(self.kernel)

    def output_shape(self, name: str, inputs: tuple[Shape, ...]) -> Shape:
        """Return (P, Q, filters)."""
        rows, columns = self._place(name, inputs[0], self.window, self.stride, self.padding)
        area = self.window[0] * self.window[1]
        _check_sum(name, area * max(inputs[0][2], self.filters))
        return rows, columns, self.filters

    def parameter_shapes(self, inputs: tuple[Shape, ...]) -> dict[str, Shape]:
        """Return the weight's KRSC shape and the bias's."""
        weight = (self.filters, *self.window, inputs[0][2])
        return {"weight": weight} | ({"bias": (self.filters,)} if self.bias else {})

    def macs(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        """Return P * Q * K * R * S * C."""
        return prod(output) * prod(self.window) * inputs[0][2]


@dataclass(frozen=True, slots=True)
class Dense(Layer):
    """Fully connected layer over a vector (C,); weights are [units, C].

    Parameters
    ----------
    units
        Number of outputs, at least 1.
    bias
        Whether a bias is added.
    initial
        Distribution of the initial weights.
    """

    units: int
    bias: bool = True
    initial: Distribution = HeNormal("fan_in")

    def __post_init__(self) -> None:
        _check_sizes(self, units=self.units)

    def output_shape(self, name: str, inputs: tuple[Shape, ...]) -> Shape:
        """Return (units,)."""
        if len(inputs[0]) != 1:
            raise ArgumentError(
                f"layer {name!r}: Dense takes a vector, its input has shape {inputs[0]}; "
                "put Flatten() or GlobalAvgPool() before it"
            )
        _check_sum(name, max(inputs[0][0], self.units))
        return (self.units,)

    def parameter_shapes(self, inputs: tuple[Shape, ...]) -> dict[str, Shape]:
        """Return the weight's [units, C] shape and the bias's."""
        weight = (self.units, inputs[0][0])
        return {"weight": weight} | ({"bias": (self.units,)} if self.bias else {})

    def macs(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        """Return units * C."""
        return self.units * inputs[0][0]


@dataclass(frozen=True, slots=True, init=False)
class BatchNorm(Layer):
    """Batch normalisation of each channel, with statistics of one ghost batch.

    Parameters
    ----------
    momentum
        Share of a new step in the running statistics, 0 < momentum <= 1 (PyTorch's convention).
    epsilon
        Added to the variance, above 0.
    zero_gamma
        Whether gamma starts at 0 instead of 1, for the last batch norm of a residual branch.

    Numbers given as float or text are taken by their decimal notation, exactly: 0.1 is 1/10.
    """

    momentum: Fraction
    epsilon: Fraction
    zero_gamma: bool

    def __init__(
        self,
        momentum: Fraction | float | str = Fraction(1, 10),
        epsilon: Fraction | float | str = Fraction(1, 100_000),
        zero_gamma: bool = False,
        *,
        name: str | None = None,
    ) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "momentum", _exact(self, "momentum", momentum))
        object.__setattr__(self, "epsilon", _exact(self, "epsilon", epsilon))
        object.__setattr__(self, "zero_gamma", zero_gamma)
        if not 0 < self.momentum <= 1:
            raise ArgumentError(
                f"{_label(self)}: momentum {float(self.momentum)} is not allowed; "
                "give a number above 0 and at most 1"
            )
        if self.epsilon <= 0:
            raise ArgumentError(
                f"{_label(self)}: epsilon {float(self.epsilon)} is not allowed; give one above 0"
            )

    def output_shape(self, name: str, inputs: tuple[Shape, ...]) -> Shape:
        """Return the input's shape."""
        return inputs[0]

    def parameter_shapes(self, inputs: tuple[Shape, ...]) -> dict[str, Shape]:
        """Return the shapes of gamma ('weight') and beta ('bias')."""
        return {"weight": inputs[0][-1:], "bias": inputs[0][-1:]}


@dataclass(frozen=True, slots=True)
class ReLU(Layer):
    """max(x, 0)."""

    def output_shape(self, name: str, inputs: tuple[Shape, ...]) -> Shape:
        """Return the input's shape."""
        return inputs[0]


@dataclass(frozen=True, slots=True)
class Add(Layer):
    """Sum of two tensors of the same shape: the end of a residual block."""

    arity: ClassVar[int] = 2

    def output_shape(self, name: str, inputs: tuple[Shape, ...]) -> Shape:
        """Return the common shape of both inputs."""
        if inputs[0] != inputs[1]:
            raise ArgumentError(
                f"layer {name!r}: cannot add tensors of shapes {inputs[0]} and {inputs[1]}; "
                "bring the shortcut to the same shape with a 1x1 convolution"
            )
        return inputs[0]


@dataclass(frozen=True, slots=True)
class _Pool(_Window):
    """A square window without weights."""

    kernel: int
    stride: int
    padding: int = 0

    def __post_init__(self) -> None:
        _check_window(self, self.window, self.stride, self.padding)
        if 2 * self.padding > self.kernel:
            raise ArgumentError(
                f"{_label(self)}: padding {self.padding} is more than half the kernel "
                f"{self.kernel}; some windows would hold padding only"
            )

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns of the window."""
        return self.kernel, self.kernel

    def output_shape(self, name: str, inputs: tuple[Shape, ...]) -> Shape:
        """Return (P, Q, C)."""
        place = self._place(name, inputs[0], self.window, self.stride, self.padding)
        return *place, inputs[0][2]


@dataclass(frozen=True, slots=True)
class MaxPool2D(_Pool):
    """Largest value of each window; padding (at most half the window) never wins."""


@dataclass(frozen=True, slots=True)
class AvgPool2D(_Pool):
    """Mean of each window; the area counts padding (at most half the window)."""


@dataclass(frozen=True, slots=True)
class GlobalAvgPool(Layer):
    """Mean over all positions: (H, W, C) becomes (C,)."""

    def output_shape(self, name: str, inputs: tuple[Shape, ...]) -> Shape:
        """Return (C,)."""
        return _map_shape(name, inputs[0])[2:]


@dataclass(frozen=True, slots=True)
class Flatten(Layer):
    """(H, W, C) becomes (H * W * C,) in that order; `naming` converts to PyTorch's C, H, W."""

    def output_shape(self, name: str, inputs: tuple[Shape, ...]) -> Shape:
        """Return (H * W * C,)."""
        return (prod(inputs[0]),)


@dataclass(frozen=True, slots=True, init=False)
class Dropout(Layer):
    """Zero a share `rate` of the values in training, scale the others by 1 / (1 - rate).

    0 <= rate < 1; a rate given as float or text is taken by its decimal notation, exactly.
    """

    rate: Fraction

    def __init__(self, rate: Fraction | float | str, *, name: str | None = None) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "rate", _exact(self, "rate", rate))
        if not 0 <= self.rate < 1:
            raise ArgumentError(
                f"{_label(self)}: rate {float(self.rate)} is not allowed; give 0 <= rate < 1"
            )

    def output_shape(self, name: str, inputs: tuple[Shape, ...]) -> Shape:
        """Return the input's shape."""
        return inputs[0]


def _label(layer: Layer) -> str:
    kind = type(layer).__name__
    return f"layer {layer.name!r} ({kind})" if layer.name else kind


def _pair(kernel: int | tuple[int, int]) -> tuple[int, int]:
    return kernel if isinstance(kernel, tuple) else (kernel, kernel)


def _exact(layer: Layer, key: str, value: Fraction | float | str) -> Fraction:
    try:
        return Fraction(repr(value) if isinstance(value, float) else value)
    except (TypeError, ValueError, ZeroDivisionError):
        raise ArgumentError(f"{_label(layer)}: {key} {value!r} is not a number") from None


def _check_sizes(layer: Layer, **sizes: int) -> None:
    for key, size in sizes.items():
        if not is_int(size) or size < 1:
            raise ArgumentError(
                f"{_label(layer)}: {key} {size!r} is not allowed; give an integer of 1 or more"
            )


def _check_window(layer: Layer, window: tuple[int, int], stride: int, padding: int) -> None:
    if len(window) != 2 or any(not is_int(size) or size < 1 for size in window):
        raise ArgumentError(
            f"{_label(layer)}: kernel {window} is not allowed; give sizes of 1 or more"
        )
    _check_sizes(layer, stride=stride)
    if not is_int(padding) or padding < 0:
        raise ArgumentError(
            f"{_label(layer)}: padding {padding!r} is not allowed; give an integer of 0 or more"
        )


def _map_shape(name: str, shape: Shape) -> Shape:
    if len(shape) != 3:
        raise ArgumentError(
            f"layer {name!r}: takes a feature map (H, W, C), its input has shape {shape}"
        )
    return shape


def _check_sum(name: str, length: int) -> None:
    if length > LONGEST_SUM:
        raise ArgumentError(
            f"layer {name!r}: sums {length} products, exact sums hold at most {LONGEST_SUM}; "
            "make the layer narrower or its input smaller"
        )
