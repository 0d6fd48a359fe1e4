"""Lower a graph of layers to the fused operations a replica executes.

A convolution writes 16-bit sums ``y``; one *apply* pass turns them into the next activation, doing
batch norm, residual addition and ReLU together (numerics page, section 4). This module finds those
patterns; it is pure and knows no kernel.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

from orchestrator.dfp import mantissa16
from orchestrator.errors import ArgumentError
from orchestrator.model.graph import Graph, Node
from orchestrator.model.layers import (
    Add,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    InputLayer,
    MaxPool2D,
    ReLU,
)


@dataclass(frozen=True)
class Norm:
    """Names of a batch norm's parameters and buffers, and its epsilon and momentum."""

    gamma: str
    beta: str
    mean: str
    var: str
    layer: BatchNorm


@dataclass(frozen=True)
class ConvOp:
    """A convolution or dense product: activation in, 16-bit sums ``y`` (or the logits) out."""

    name: str
    input: str
    output: str
    height: int
    width: int
    channels: int
    filters: int
    kernel: tuple[int, int]
    stride: int
    padding: int
    out_height: int
    out_width: int
    weight: str
    bias: str | None


@dataclass(frozen=True)
class Branch:
    """One operand of an apply: sums ``y`` of a convolution and the batch norm behind them."""

    y: str
    norm: Norm | None


@dataclass(frozen=True)
class ApplyOp:
    """Sums to activation: batch norm, optional shortcut, optional ReLU, one rounding.

    ``shortcut`` is another branch (projection) or the name of an activation (identity).
    """

    name: str
    main: Branch
    shortcut: Branch | str | None
    relu: bool
    output: str


@dataclass(frozen=True)
class PoolOp:
    """Max or average pooling of an activation."""

    name: str
    input: str
    output: str
    kind: str
    height: int
    width: int
    channels: int
    kernel: tuple[int, int]
    stride: int
    padding: int
    out_height: int
    out_width: int


@dataclass(frozen=True)
class DropoutOp:
    """Inverted dropout of an activation (numerics page, section 5)."""

    name: str
    input: str
    output: str
    rate: Fraction

    @property
    def threshold(self) -> int:
        """Random words below this drop their value."""
        return math.floor(self.rate * 2**32)

    @property
    def scale(self) -> tuple[int, int]:
        """1/(1 - rate) as a 16-bit mantissa and its exponent."""
        return mantissa16(1 / (1 - self.rate))


Op = ConvOp | ApplyOp | PoolOp | DropoutOp


@dataclass(frozen=True)
class Lowered:
    """Operations in forward order, and what a replica must know about the tensors between them.

    ``shapes`` gives each tensor's (h, w, c); ``masked`` names the activations that a ReLU wrote;
    ``contributions`` counts the consumers that send an error back to each activation; ``logits``
    is the operation whose sums are the network's output.
    """

    ops: tuple[Op, ...]
    input: str
    logits: ConvOp
    shapes: dict[str, tuple[int, int, int]]
    masked: frozenset[str]
    contributions: dict[str, int]
    norms: tuple[Norm, ...]


@dataclass(frozen=True)
class _Linear:
    """A value not yet written as an activation: one branch, or the sum of two."""

    name: str
    main: Branch
    shortcut: Branch | str | None = None


def lower(graph: Graph) -> Lowered:
    """Return the fused operations of ``graph``.

    Raises
    ------
    ArgumentError
        A pattern that no fused operation covers: an addition of two activations, a batch norm that
        does not follow a convolution, an output that is not a dense layer.
    """
    return _Lowering(graph).run()


def _hwc(shape: tuple[int, ...]) -> tuple[int, int, int]:
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else (1, 1, shape[0])


class _Lowering:
    """One walk over a graph in topological order."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.ops: list[Op] = []
        self.shapes: dict[str, tuple[int, int, int]] = {}
        self.linear: dict[str, _Linear] = {}
        self.alias: dict[str, str] = {}
        self.masked: set[str] = set()
        self.norms: list[Norm] = []
        self.consumers: dict[str, int] = {}
        for node in graph.nodes:
            for name in node.inputs:
                self.consumers[name] = self.consumers.get(name, 0) + 1

    def run(self) -> Lowered:
        for node in self.graph.nodes:
            self._visit(node)
        logits = self.ops[-1]
        if not isinstance(logits, ConvOp) or logits.output != self.graph.output:
            raise ArgumentError(
                f"the network ends in {self.graph.output!r}, which is not a dense layer; "
                "end it with Dense(classes)"
            )
        root = self.graph.input
        contributions: dict[str, int] = {}
        for op in self.ops:
            sources = [op.input] if not isinstance(op, ApplyOp) else [op.shortcut]
            for source in sources:
                if isinstance(source, str) and source != root:
                    contributions[source] = contributions.get(source, 0) + 1
        return Lowered(
            tuple(self.ops),
            root,
            logits,
            self.shapes,
            frozenset(self.masked),
            contributions,
            tuple(self.norms),
        )

    def _visit(self, node: Node) -> None:
        layer = node.layer
        match layer:
            case InputLayer():
                self.shapes[node.name] = _hwc(node.shape)
            case Conv2D() | Dense():
                self._product(node)
            case BatchNorm():
                self._norm(node, layer)
            case Add():
                self._add(node)
            case ReLU():
                value = self.linear.pop(node.inputs[0], None)
                if value is None:
                    raise ArgumentError(
                        f"layer {node.name!r}: ReLU must follow a convolution, dense layer, batch "
                        f"norm or addition, not {node.inputs[0]!r}"
                    )
                self._apply(value, node.name, relu=True)
            case MaxPool2D() | AvgPool2D() | GlobalAvgPool():
                self._pool(node)
            case Flatten():
                self.alias[node.name] = self._activation(node.inputs[0])
            case Dropout():
                source = self._activation(node.inputs[0])
                self.shapes[node.name] = self.shapes[source]
                self.ops.append(DropoutOp(node.name, source, node.name, layer.rate))
            case _:
                raise ArgumentError(f"layer {node.name!r}: {type(layer).__name__} is not supported")

    def _activation(self, name: str) -> str:
        """Return the activation behind ``name``, writing it first where it is still linear."""
        if name in self.linear:
            self._apply(self.linear.pop(name), name, relu=False)
        return self.alias.get(name, name)

    def _apply(self, value: _Linear, output: str, *, relu: bool) -> None:
        self.shapes[output] = self.shapes[value.main.y]
        if relu:
            self.masked.add(output)
        self.ops.append(ApplyOp(value.name, value.main, value.shortcut, relu, output))

    def _product(self, node: Node) -> None:
        layer = node.layer
        source = self._activation(node.inputs[0])
        h, w, c = self.shapes[source]
        p, q, k = _hwc(node.shape)
        if isinstance(layer, Conv2D):
            kernel, stride, padding = layer.window, layer.stride, layer.padding
        else:
            assert isinstance(layer, Dense)
            h, w, c, kernel, stride, padding = 1, 1, h * w * c, (1, 1), 1, 0
        bias = f"{node.name}.bias" if layer.bias else None
        op = ConvOp(
            node.name, source, node.name, h, w, c, k, kernel, stride, padding, p, q,
            f"{node.name}.weight", bias,
        )  # fmt: skip
        self.shapes[node.name] = (p, q, k)
        self.ops.append(op)
        if node.name != self.graph.output:
            self._pend(_Linear(node.name, Branch(node.name, None)))

    def _pend(self, value: _Linear) -> None:
        """Keep a linear value for the layer behind it; several consumers need it written."""
        self.linear[value.name] = value
        if self.consumers.get(value.name, 0) > 1:
            self._activation(value.name)

    def _norm(self, node: Node, layer: BatchNorm) -> None:
        value = self.linear.pop(node.inputs[0], None)
        if value is None or value.shortcut is not None or value.main.norm is not None:
            raise ArgumentError(
                f"layer {node.name!r}: a batch norm must directly follow a convolution or dense "
                f"layer that nothing else reads, not {node.inputs[0]!r}"
            )
        n = node.name
        norm = Norm(f"{n}.weight", f"{n}.bias", f"{n}.running_mean", f"{n}.running_var", layer)
        self.norms.append(norm)
        self._pend(_Linear(n, Branch(value.main.y, norm)))

    def _add(self, node: Node) -> None:
        first, second = node.inputs
        if first not in self.linear or self.linear[first].shortcut is not None:
            first, second = second, first
        main = self.linear.pop(first, None)
        if main is None or main.shortcut is not None:
            raise ArgumentError(
                f"layer {node.name!r}: one operand of an addition must be a convolution or batch "
                f"norm without ReLU, got {first!r} and {second!r}"
            )
        other = self.linear.get(second)
        shortcut: Branch | str
        if other is not None and other.shortcut is None:
            del self.linear[second]
            shortcut = other.main
        else:
            shortcut = self._activation(second)
        self._pend(_Linear(node.name, main.main, shortcut))

    def _pool(self, node: Node) -> None:
        layer = node.layer
        source = self._activation(node.inputs[0])
        h, w, c = self.shapes[source]
        p, q, _ = _hwc(node.shape)
        kind = "max" if isinstance(layer, MaxPool2D) else "average"
        if isinstance(layer, GlobalAvgPool):
            kernel, stride, padding = (h, w), 1, 0
        else:
            assert isinstance(layer, MaxPool2D | AvgPool2D)
            kernel = (layer.kernel, layer.kernel)
            stride, padding = layer.stride, layer.padding
        self.shapes[node.name] = (p, q, c)
        self.ops.append(
            PoolOp(node.name, source, node.name, kind, h, w, c, kernel, stride, padding, p, q)
        )
