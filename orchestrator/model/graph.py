"""A network as a value: nodes in order, with their parameters, buffers and costs.

Nodes stand in the order in which they were created, which is a topological order: every input of a
node comes before it. The same building code always gives the same order, so everything derived from
it is deterministic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Literal

from orchestrator.errors import ArgumentError
from orchestrator.model.layers import BatchNorm
from orchestrator.model.symbolic import Input, InputLayer, Layer, Node, Shape, Tensor

__all__ = ["Buffer", "Graph", "Node", "Parameter", "build_graph", "sequential"]

Kind = Literal["conv", "dense", "gamma", "beta", "bias"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One trained tensor.

    Attributes
    ----------
    name
        Node name + '.weight' or '.bias': the name in PyTorch's state dicts.
    shape
        Internal layout: conv [K, R, S, C], dense [K, C], others [C].
    kind
        conv, dense, bias (of either), gamma or beta (of a batch norm).
    node
        Name of the node it belongs to.
    fan_in, fan_out
        Products in a sum of the node's forward and backward pass: R * S * C and R * S * K;
        1 for gamma and beta.
    """

    name: str
    shape: Shape
    kind: Kind
    node: str
    fan_in: int
    fan_out: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Buffer:
    """One running statistic of a batch norm, [C]: node name + '.running_mean' or '.running_var'."""

    name: str
    shape: Shape
    kind: Literal["mean", "var"]
    node: str


@dataclass(frozen=True)
class Graph:
    """A checked network.

    Parameters
    ----------
    nodes
        In topological order, the input node first.
    input, output
        Names of the node where images enter and of the node whose output is the network's.

    Raises
    ------
    ArgumentError
        If names repeat, an input is not defined before its use, a shape is wrong, a node does not
        lead to the output, or there is not exactly one input node, in front.
    """

    nodes: tuple[Node, ...]
    input: str
    output: str

    def __post_init__(self) -> None:
        known: dict[str, Node] = {}
        for node in self.nodes:
            _check_node(node, known)
            known[node.name] = node
        entries = [node.name for node in self.nodes if isinstance(node.layer, InputLayer)]
        if entries != [self.input] or self.nodes[0].name != self.input:
            raise ArgumentError(
                f"graph: input nodes are {entries}, expected only {self.input!r}, as the first node"
            )
        if self.output not in known:
            raise ArgumentError(f"graph: output {self.output!r} is not one of its nodes")
        idle = [node.name for node in self.nodes if node.name not in _needed(known, self.output)]
        if idle:
            raise ArgumentError(
                f"graph: {', '.join(idle)} do not lead to the output {self.output!r}"
            )

    def node(self, name: str) -> Node:
        """Node of this name.

        Raises
        ------
        ArgumentError
            If there is none.
        """
        if name not in self._by_name:
            raise ArgumentError(f"graph: there is no node {name!r}")
        return self._by_name[name]

    def input_shapes(self, node: Node) -> tuple[Shape, ...]:
        """Shapes of the inputs of `node`."""
        return tuple(self.node(name).shape for name in node.inputs)

    def consumers(self, name: str) -> tuple[Node, ...]:
        """Nodes that take the output of node `name`, in order of execution."""
        return tuple(node for node in self.nodes if name in node.inputs)

    @property
    def input_shape(self) -> Shape:
        """(H, W, C) of an image."""
        return self.node(self.input).shape

    @property
    def output_shape(self) -> Shape:
        """Shape of the output for one image: (classes,) for a classifier."""
        return self.node(self.output).shape

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """All trained tensors, in node order, weight before bias."""
        return tuple(item for node in self.nodes for item in _parameters_of(self, node))

    @cached_property
    def buffers(self) -> tuple[Buffer, ...]:
        """All running statistics, in node order, mean before variance."""
        kinds: tuple[tuple[str, Literal["mean", "var"]], ...]
        kinds = (("running_mean", "mean"), ("running_var", "var"))
        return tuple(
            Buffer(f"{node.name}.{suffix}", node.shape[-1:], kind, node.name)
            for node in self.nodes
            if isinstance(node.layer, BatchNorm)
            for suffix, kind in kinds
        )

    @property
    def parameter_count(self) -> int:
        """Number of trained values."""
        return sum(parameter.size for parameter in self.parameters)

    def node_macs(self, node: Node) -> int:
        """Multiply-accumulates of one node's forward pass for one image."""
        return node.layer.macs(self.input_shapes(node), node.shape)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a forward pass for one image; only those with weights."""
        return sum(self.node_macs(node) for node in self.nodes)

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}


def build_graph(inputs: Tensor, outputs: Tensor) -> Graph:
    """Return the network that computes `outputs` from `inputs`.

    Recorded layers that `outputs` does not depend on are left out.

    Raises
    ------
    ArgumentError
        If `inputs` is not made by `Input`, or `outputs` does not come from it.

    Examples
    --------
    >>> from orchestrator.model.layers import Dense
    >>> x = Input((4,))
    >>> build_graph(x, Dense(3, name="fc")(x)).parameter_count
    15
    """
    if not isinstance(inputs.recording[inputs.name].layer, InputLayer):
        raise ArgumentError(f"build_graph: {inputs.name!r} is not made by Input()")
    if outputs.recording is not inputs.recording:
        raise ArgumentError(
            f"build_graph: output {outputs.name!r} does not come from input {inputs.name!r}"
        )
    needed = _needed(inputs.recording, outputs.name)
    nodes = tuple(node for node in inputs.recording.values() if node.name in needed)
    return Graph(nodes, inputs.name, outputs.name)


def sequential(input_shape: Sequence[int], layers: Sequence[Layer]) -> Graph:
    """Return the chain of `layers` on images of shape `input_shape`.

    Raises
    ------
    ArgumentError
        As for `Input` and for calling a layer.

    Examples
    --------
    >>> from orchestrator.model.layers import Dense, Flatten, ReLU
    >>> sequential((8, 8, 1), [Flatten(), Dense(32), ReLU(), Dense(10)]).macs
    2368
    """
    inputs = tensor = Input(input_shape)
    for layer in layers:
        tensor = layer(tensor)
    return build_graph(inputs, tensor)


def _check_node(node: Node, known: dict[str, Node]) -> None:
    if node.name in known:
        raise ArgumentError(f"graph: two nodes are called {node.name!r}")
    missing = [name for name in node.inputs if name not in known]
    if missing:
        raise ArgumentError(
            f"graph: node {node.name!r} takes {', '.join(missing)}, which no earlier node makes"
        )
    if len(node.inputs) != node.layer.arity:
        raise ArgumentError(
            f"graph: node {node.name!r} takes {node.layer.arity} input(s), "
            f"it has {len(node.inputs)}"
        )
    shape = node.layer.output_shape(node.name, tuple(known[name].shape for name in node.inputs))
    if shape != node.shape:
        raise ArgumentError(f"graph: node {node.name!r} makes shape {shape}, not {node.shape}")


def _needed(known: dict[str, Node], output: str) -> set[str]:
    needed: set[str] = set()
    waiting = [output]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting.extend(known[name].inputs)
    return needed


def _parameters_of(graph: Graph, node: Node) -> list[Parameter]:
    shapes = node.layer.parameter_shapes(graph.input_shapes(node))
    if not shapes:
        return []
    norm = isinstance(node.layer, BatchNorm)
    weight = shapes["weight"]
    area = prod(weight[1:-1])
    fan_in, fan_out = (1, 1) if norm else (area * weight[-1], area * weight[0])
    kinds: dict[str, Kind] = {"weight": "gamma", "bias": "beta"} if norm else {"bias": "bias"}
    kinds.setdefault("weight", "conv" if len(weight) == 4 else "dense")
    return [
        Parameter(f"{node.name}.{suffix}", shape, kinds[suffix], node.name, fan_in, fan_out)
        for suffix, shape in shapes.items()
    ]
