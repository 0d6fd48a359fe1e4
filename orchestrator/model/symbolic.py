"""Symbolic tensors that record a network while it is written down, and what every layer has.

A layer is a frozen description (sizes, strides, rates). Calling it on a symbolic `Tensor` adds one
node to the network under construction and returns the tensor of its output, as in Keras.
Shapes carry no batch axis: an image or feature map is (H, W, C), a vector (C,).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import ClassVar

from orchestrator.errors import ArgumentError

Shape = tuple[int, ...]

_NAME = re.compile(r"\w+(\.\w+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Node:
    """One layer of a network: its name, what it is, its inputs' names, its output's shape."""

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    shape: Shape

    @property
    def elements(self) -> int:
        """Number of values of the output for one image."""
        return prod(self.shape)


class Tensor:
    """The symbolic output of a layer in a network under construction.

    Attributes
    ----------
    recording
        The nodes so far, in order of creation; shared by all tensors of one `Input`.
    name
        Name of the node that makes this tensor.
    shape
        (H, W, C) or (C,), without the batch.
    """

    __slots__ = ("name", "recording", "shape")

    def __init__(self, recording: dict[str, Node], name: str, shape: Shape) -> None:
        self.recording = recording
        self.name = name
        self.shape = shape

    def __repr__(self) -> str:
        return f"Tensor({self.name!r}, shape={self.shape})"


@dataclass(frozen=True, slots=True)
class Layer:
    """Base of all layers; one without a name gets a free one: 'conv2d', 'conv2d_1', ..."""

    arity: ClassVar[int] = 1
    name: str | None = field(default=None, kw_only=True)

    def output_shape(self, name: str, inputs: tuple[Shape, ...]) -> Shape:
        """Shape of the output for inputs of these shapes; `name` is for messages.

        Raises
        ------
        ArgumentError
            If the layer cannot take inputs of these shapes.
        """
        raise NotImplementedError

    def parameter_shapes(self, inputs: tuple[Shape, ...]) -> dict[str, Shape]:
        """Shapes of the trained tensors by suffix ('weight', 'bias'), in internal layout."""
        return {}

    def macs(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        """Multiply-accumulates of the forward pass for one image; only those with weights."""
        return 0

    def __call__(self, *inputs: Tensor | list[Tensor]) -> Tensor:
        """Add this layer to the network that `inputs` belong to; return its output.

        Several inputs are given one by one or as a list. Every call makes a node with weights of
        its own: sharing weights between two places is not supported.

        Raises
        ------
        ArgumentError
            If shapes or the number of inputs do not fit, a name is taken, or inputs belong to
            different networks.
        """
        tensors = _flat(inputs)
        label = self.name or type(self).__name__
        if len(tensors) != self.arity:
            raise ArgumentError(
                f"layer {label!r}: takes {self.arity} input(s), was called with {len(tensors)}"
            )
        recording = tensors[0].recording
        if any(tensor.recording is not recording for tensor in tensors):
            names = ", ".join(tensor.name for tensor in tensors)
            raise ArgumentError(
                f"layer {label!r}: its inputs {names} come from different Input() tensors; "
                "a network has one input"
            )
        name = _node_name(self, recording)
        shape = self.output_shape(name, tuple(tensor.shape for tensor in tensors))
        recording[name] = Node(name, self, tuple(tensor.name for tensor in tensors), shape)
        return Tensor(recording, name, shape)


@dataclass(frozen=True, slots=True)
class InputLayer(Layer):
    """Where images enter: the layer of the first node of every graph. Made by `Input`."""

    arity: ClassVar[int] = 0
    shape: Shape

    def output_shape(self, name: str, inputs: tuple[Shape, ...]) -> Shape:
        """Return the shape the input was declared with."""
        return self.shape


def Input(shape: Sequence[int], name: str = "input") -> Tensor:  # noqa: N802
    """Start a network: return the symbolic tensor of its images.

    Parameters
    ----------
    shape
        (H, W, C) of an image, or (C,) for vectors; every size at least 1.
    name
        Name of the input node.

    Raises
    ------
    ArgumentError
        If the shape or the name is not allowed.
    """
    sizes = tuple(shape)
    if len(sizes) not in (1, 3) or any(not is_int(size) or size < 1 for size in sizes):
        raise ArgumentError(
            f"Input: shape {sizes} is not allowed; give (H, W, C) or (C,) with sizes of 1 or more"
        )
    layer = InputLayer(sizes, name=name)
    recording: dict[str, Node] = {}
    node = _node_name(layer, recording)
    recording[node] = Node(node, layer, (), sizes)
    return Tensor(recording, node, sizes)


def _flat(inputs: tuple[Tensor | list[Tensor], ...]) -> list[Tensor]:
    tensors: list[Tensor] = []
    for item in inputs:
        tensors.extend(item if isinstance(item, list) else [item])
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise ArgumentError(
                f"a layer is called on symbolic tensors, not on {type(tensor).__name__}; "
                "start with Input()"
            )
    return tensors


def _node_name(layer: Layer, recording: dict[str, Node]) -> str:
    if layer.name is None:
        base = type(layer).__name__.lower()
        name, count = base, 0
        while name in recording:
            count += 1
            name = f"{base}_{count}"
        return name
    if not isinstance(layer.name, str) or not _NAME.fullmatch(layer.name):
        raise ArgumentError(
            f"layer name {layer.name!r} is not allowed; "
            "use letters, digits and _ in parts joined by dots"
        )
    if layer.name in recording:
        raise ArgumentError(
            f"layer name {layer.name!r} is used twice in this network; names must differ "
            "(a layer called twice does not share its weights)"
        )
    return layer.name


def is_int(value: object) -> bool:
    """Whether `value` is an integer and not a truth value."""
    return isinstance(value, int) and not isinstance(value, bool)
