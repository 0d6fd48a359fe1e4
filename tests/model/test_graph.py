"""Graphs: order, checks, parameters, buffers and costs."""

import pytest

from orchestrator.errors import ArgumentError
from orchestrator.model.graph import Graph, Node, Parameter, build_graph, sequential
from orchestrator.model.layers import (
    Add,
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool,
    Input,
    InputLayer,
    MaxPool2D,
    ReLU,
)


def residual() -> Graph:
    x = Input((8, 8, 3))
    y = BatchNorm(name="bn")(Conv2D(4, 3, 2, 1, bias=False, name="conv")(x))
    z = Conv2D(4, 1, 2, name="short")(x)
    out = Dense(2, name="fc")(GlobalAvgPool(name="pool")(ReLU(name="relu")(Add(name="add")(y, z))))
    MaxPool2D(2, 2, name="unused")(x)
    return build_graph(x, out)


def test_nodes_stand_in_order_of_creation_without_unused_ones() -> None:
    graph = residual()
    names = ["input", "conv", "bn", "short", "add", "relu", "pool", "fc"]
    assert [node.name for node in graph.nodes] == names
    assert (graph.input, graph.output) == ("input", "fc")
    assert residual() == graph
    assert hash(residual()) == hash(graph)


def test_parameters_and_buffers() -> None:
    graph = residual()
    assert graph.parameters == (
        Parameter("conv.weight", (4, 3, 3, 3), "conv", "conv", 27, 36),
        Parameter("bn.weight", (4,), "gamma", "bn", 1, 1),
        Parameter("bn.bias", (4,), "beta", "bn", 1, 1),
        Parameter("short.weight", (4, 1, 1, 3), "conv", "short", 3, 4),
        Parameter("short.bias", (4,), "bias", "short", 3, 4),
        Parameter("fc.weight", (2, 4), "dense", "fc", 4, 2),
        Parameter("fc.bias", (2,), "bias", "fc", 4, 2),
    )
    buffers = [(buffer.name, buffer.shape, buffer.kind) for buffer in graph.buffers]
    assert buffers == [("bn.running_mean", (4,), "mean"), ("bn.running_var", (4,), "var")]
    assert graph.parameter_count == 108 + 8 + 12 + 4 + 8 + 2


def test_costs_count_products_with_weights() -> None:
    graph = residual()
    assert graph.macs == 4 * 4 * 4 * 27 + 4 * 4 * 4 * 3 + 8
    assert graph.node_macs(graph.node("bn")) == 0
    assert graph.node("conv").elements == 64


def test_neighbours_and_shapes() -> None:
    graph = residual()
    assert [node.name for node in graph.consumers("input")] == ["conv", "short"]
    assert graph.input_shapes(graph.node("add")) == ((4, 4, 4), (4, 4, 4))
    assert (graph.input_shape, graph.output_shape) == ((8, 8, 3), (2,))
    with pytest.raises(ArgumentError, match="no node 'conv9'"):
        graph.node("conv9")


def test_sequential_is_the_chain_written_out() -> None:
    x = Input((8, 8, 1))
    written = build_graph(x, Dense(10)(ReLU()(Dense(32)(Flatten()(x)))))
    assert sequential((8, 8, 1), [Flatten(), Dense(32), ReLU(), Dense(10)]) == written


def test_output_must_come_from_the_input() -> None:
    x = Input((4,))
    y = Dense(3)(x)
    with pytest.raises(ArgumentError, match="'dense' does not come from input 'input'"):
        build_graph(Input((4,)), y)
    with pytest.raises(ArgumentError, match="'dense' is not made by Input"):
        build_graph(y, Dense(3)(y))


IMAGE = Node("input", InputLayer((4,)), (), (4,))
FC = Node("fc", Dense(2), ("input",), (2,))


@pytest.mark.parametrize(
    ("nodes", "output", "message"),
    [
        ((IMAGE, FC, FC), "fc", "two nodes are called 'fc'"),
        ((FC, IMAGE), "fc", "'fc' takes input, which no earlier node makes"),
        ((IMAGE, Node("fc", Dense(2), ("input",), (3,))), "fc", r"makes shape \(2,\), not \(3,\)"),
        ((IMAGE, Node("add", Add(), ("input",), (4,))), "add", "takes 2 input.s., it has 1"),
        ((IMAGE, FC), "logits", "output 'logits' is not one of its nodes"),
        ((IMAGE, FC, Node("side", ReLU(), ("fc",), (2,))), "fc", "side do not lead to the output"),
        ((IMAGE, Node("x", InputLayer((4,)), (), (4,)), FC), "fc", "input nodes are"),
        ((), "fc", "input nodes are"),
    ],
)
def test_graphs_that_are_not_networks_are_refused(
    nodes: tuple[Node, ...], output: str, message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        Graph(nodes, "input", output)
