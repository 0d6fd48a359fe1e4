"""Export of a trained network to ONNX, in float32.

The exported model takes pixels and returns logits: the input 'input' is [N, C, H, W] float32 with
raw pixel values 0 .. 255, and the normalisation (p / 255 - mean) / std is part of the model, so
that a user need not know it. The output 'logits' is [N, classes]. N is free.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator import __version__
from orchestrator.errors import ArgumentError, MissingToolError
from orchestrator.model.graph import Graph
from orchestrator.model.layers import (
    Add,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    MaxPool2D,
    ReLU,
)
from orchestrator.model.naming import to_torch
from orchestrator.model.symbolic import Node

OPSET = 17
_IR_VERSION = 8
"""The file version that belongs to opset 17; newer ones are refused by older runtimes."""


def export_onnx(
    graph: Graph,
    float_state: Mapping[str, NDArray[Any]],
    path: str | os.PathLike[str],
    *,
    mean: Sequence[Fraction],
    std: Sequence[Fraction],
) -> None:
    """Write the network with these weights as an ONNX model (opset 17), atomically.

    Dropout is left out and batch norm uses the running statistics, as in evaluation.

    Parameters
    ----------
    graph
        The network.
    float_state
        Every parameter and buffer by name, real values in internal layout; written as float32.
    path
        The file to write.
    mean, std
        Of each input channel, in units of 0 .. 1 (`data.mean` and `data.std`).

    Raises
    ------
    ArgumentError
        If a tensor is missing, unexpected or misshaped, or mean and std do not fit the channels.
    MissingToolError
        If the package onnx is not installed.
    """
    model = _model(graph, float_state, mean, std)
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        draft.write_bytes(model)
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def _model(
    graph: Graph,
    float_state: Mapping[str, NDArray[Any]],
    mean: Sequence[Fraction],
    std: Sequence[Fraction],
) -> bytes:
    try:
        import onnx
        from onnx import helper, numpy_helper
    except ImportError:
        raise MissingToolError(
            "ONNX export needs the package onnx, which is not installed: pip install onnx"
        ) from None
    tensors = _initializers(graph, float_state, mean, std)
    nodes, values = [], {graph.input: "normalised"}
    for op, node_inputs, output, attributes in _operations(graph, values):
        nodes.append(helper.make_node(op, node_inputs, [output], output, **attributes))
    real = onnx.TensorProto.FLOAT
    shape = graph.input_shape
    image: list[str | int | None] = ["N", shape[-1], *shape[:-1]]
    body = helper.make_graph(
        nodes,
        "regatta",
        [helper.make_tensor_value_info("input", real, image)],
        [helper.make_tensor_value_info("logits", real, ["N", *graph.output_shape])],
        [numpy_helper.from_array(tensor, name) for name, tensor in tensors.items()],
    )
    model = helper.make_model(
        body,
        producer_name="regatta",
        producer_version=__version__,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=_IR_VERSION,
    )
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized


def _initializers(
    graph: Graph,
    float_state: Mapping[str, NDArray[Any]],
    mean: Sequence[Fraction],
    std: Sequence[Fraction],
) -> dict[str, NDArray[np.float32]]:
    channels = graph.input_shape[-1]
    if len(mean) != channels or len(std) != channels or any(value <= 0 for value in std):
        raise ArgumentError(
            f"ONNX export: mean {_decimals(mean)} and std {_decimals(std)} do not fit {channels} "
            "channel(s); give one mean and one std above 0 for each"
        )
    missing = [buffer.name for buffer in graph.buffers if buffer.name not in float_state]
    if missing:
        raise ArgumentError(f"ONNX export: running statistics are missing: {', '.join(missing)}")
    tensors = {
        name: tensor.astype(np.float32)
        for name, tensor in to_torch(graph, float_state).items()
        if not name.endswith(".num_batches_tracked")
    }
    broadcast = (channels, *(1 for _ in graph.input_shape[1:]))
    for name, statistic in (("pixel_mean", mean), ("pixel_std", std)):
        pixels = [float(value * 255) for value in statistic]
        tensors[name] = np.array(pixels, np.float32).reshape(broadcast)
    return tensors


def _decimals(values: Sequence[Fraction]) -> list[float]:
    return [float(value) for value in values]


_Operation = tuple[str, list[str], str, dict[str, Any]]


def _operations(graph: Graph, values: dict[str, str]) -> list[_Operation]:
    """Operator, inputs, output and attributes of every step; fills `values`: node to output."""
    operations: list[_Operation] = [
        ("Sub", ["input", "pixel_mean"], "centred", {}),
        ("Div", ["centred", "pixel_std"], values[graph.input], {}),
    ]
    for node in graph.nodes[1:]:
        inputs = [values[name] for name in node.inputs]
        if isinstance(node.layer, Dropout):
            values[node.name] = inputs[0]
            continue
        output = values[node.name] = f"{node.name}.output"
        if isinstance(node.layer, GlobalAvgPool):
            operations.append(("GlobalAveragePool", inputs, f"{node.name}.map", {}))
            inputs = [f"{node.name}.map"]
        op, parameters, attributes = _operator(node)
        operations.append((op, inputs + parameters, output, attributes))
    operations.append(("Identity", [values[graph.output]], "logits", {}))
    return operations


def _operator(node: Node) -> tuple[str, list[str], dict[str, Any]]:
    weight, bias = f"{node.name}.weight", f"{node.name}.bias"
    match node.layer:
        case Conv2D() as layer:
            attributes = _window(layer.window, layer.stride, layer.padding)
            return "Conv", [weight, bias] if layer.bias else [weight], attributes
        case Dense() as layer:
            return "Gemm", [weight, bias] if layer.bias else [weight], {"transB": 1}
        case BatchNorm() as layer:
            running = [f"{node.name}.running_mean", f"{node.name}.running_var"]
            epsilon = float(layer.epsilon)
            return "BatchNormalization", [weight, bias, *running], {"epsilon": epsilon}
        case MaxPool2D() as layer:
            return "MaxPool", [], _window(layer.window, layer.stride, layer.padding)
        case AvgPool2D() as layer:
            attributes = _window(layer.window, layer.stride, layer.padding)
            return "AveragePool", [], attributes | {"count_include_pad": 1}
        case ReLU():
            return "Relu", [], {}
        case Add():
            return "Add", [], {}
        case Flatten() | GlobalAvgPool():
            return "Flatten", [], {"axis": 1}
        case other:
            raise ArgumentError(
                f"layer {node.name!r}: {type(other).__name__} has no ONNX operator here"
            )


def _window(window: tuple[int, int], stride: int, padding: int) -> dict[str, Any]:
    return {"kernel_shape": window, "strides": (stride, stride), "pads": (padding,) * 4}
