"""Lossless conversion between internal layouts and PyTorch's, under torchvision's names.

Names are the same on both sides; layouts differ:

| tensor | here | PyTorch |
|---|---|---|
| convolution weight | [K, R, S, C] | [K, C, R, S] |
| dense weight behind a Flatten of (H, W, C) | [K, H * W * C] | [K, C * H * W] |
| batch norm of such a vector | [H * W * C] | [C * H * W] |

PyTorch's batch norms also have a counter, `num_batches_tracked`: written, and ignored on reading.
Only elements move, so any dtype passes unchanged: weights, exact masters, momentum.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ArgumentError
from orchestrator.model.graph import Buffer, Graph, Parameter
from orchestrator.model.layers import Conv2D, Dense, Flatten, GlobalAvgPool
from orchestrator.model.symbolic import Shape

Array = NDArray[Any]

_NAMED = 8
"""Names of wrong tensors that one message lists."""


def to_torch(
    graph: Graph, arrays: Mapping[str, Array], *, batches_tracked: int = 0
) -> dict[str, Array]:
    """Return `arrays` in PyTorch's layouts, in node order.

    Parameters
    ----------
    graph
        The network.
    arrays
        Every parameter by name and, all or none, every buffer; internal layouts, any dtype.
    batches_tracked
        Value of each `num_batches_tracked` (int64), which is added where buffers are given: the
        number of updates of the running statistics.

    Returns
    -------
    Contiguous arrays of the same dtypes.

    Raises
    ------
    ArgumentError
        If a tensor is missing, unexpected or misshaped; the message names it.
    """
    names = internal_shapes(graph, buffers=_has_buffers(graph, arrays))
    _check(names, {name: array.shape for name, array in arrays.items()}, "the given arrays")
    orders = _orders(graph)
    converted: dict[str, Array] = {}
    for name in names:
        converted[name] = _move(arrays[name], orders[name], back=False)
        if name.endswith(".running_var"):
            counter = name.removesuffix("running_var") + "num_batches_tracked"
            converted[counter] = np.array(batches_tracked, np.int64)
    return converted


def from_torch(
    graph: Graph, tensors: Mapping[str, Array], *, omit: Collection[str] = ()
) -> dict[str, Array]:
    """Return the tensors of a PyTorch state dict in internal layouts, in node order.

    Parameters
    ----------
    graph
        The network.
    tensors
        Every parameter and, all or none, every buffer, in PyTorch's layouts, any dtype.
    omit
        Names that are not taken; they may be absent or have any shape. For fine-tuning: the last
        layer, where the number of classes differs.

    Returns
    -------
    Contiguous arrays of the same dtypes, without those of `omit`.

    Raises
    ------
    ArgumentError
        If a tensor is missing, unexpected or misshaped; the message names it.
    """
    shapes = torch_shapes(graph, buffers=_has_buffers(graph, tensors))
    wanted = {name: shape for name, shape in shapes.items() if name not in omit}
    counters = {f"{buffer.node}.num_batches_tracked" for buffer in graph.buffers}
    given = {
        name: tensor.shape
        for name, tensor in tensors.items()
        if name not in omit and name not in counters
    }
    _check(wanted, given, "the PyTorch weights")
    orders = _orders(graph)
    return {name: _move(tensors[name], orders[name], back=True) for name in wanted}


def internal_shapes(graph: Graph, *, buffers: bool = True) -> dict[str, Shape]:
    """Return the internal shape of every parameter and buffer, in node order."""
    items: list[Parameter | Buffer] = [*graph.parameters, *(graph.buffers if buffers else ())]
    position = {node.name: index for index, node in enumerate(graph.nodes)}
    ordered = sorted(items, key=lambda item: position[item.node])
    return {item.name: item.shape for item in ordered}


def torch_shapes(graph: Graph, *, buffers: bool = True) -> dict[str, Shape]:
    """Return the PyTorch shape of every parameter and buffer, in node order."""
    return {
        name: (shape[0], shape[3], *shape[1:3]) if len(shape) == 4 else shape
        for name, shape in internal_shapes(graph, buffers=buffers).items()
    }


def _has_buffers(graph: Graph, arrays: Mapping[str, Array]) -> bool:
    return any(buffer.name in arrays for buffer in graph.buffers)


def _check(wanted: Mapping[str, Shape], given: Mapping[str, Shape], where: str) -> None:
    faults = {
        "missing": [name for name in wanted if name not in given],
        "unexpected": [name for name in given if name not in wanted],
        "misshaped": [
            f"{name} {given[name]} instead of {shape}"
            for name, shape in wanted.items()
            if name in given and given[name] != shape
        ],
    }
    found = [f"{kind}: {_listed(names)}" for kind, names in faults.items() if names]
    if found:
        raise ArgumentError(f"{where} do not fit the network; {'; '.join(found)}")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _move(array: Array, order: Shape | None, *, back: bool) -> Array:
    """Move the channel axis of an array whose last axes are `order` (H, W, C), to or from front.

    For a convolution `order` is (R, S, C): the axes are there already and stay apart.
    """
    if order is None:
        return np.ascontiguousarray(array)
    height, width, channels = order
    lead = array.shape[:1] if array.ndim > 1 else ()
    split = (*lead, channels, height, width) if back else (*lead, *order)
    source, target = (-3, -1) if back else (-1, -3)
    moved = np.moveaxis(array.reshape(split), source, target)
    return np.ascontiguousarray(moved if array.ndim == 4 else moved.reshape(array.shape))


def _orders(graph: Graph) -> dict[str, Shape | None]:
    """(R, S, C) or (H, W, C) behind the last axes of each tensor; None where both layouts agree."""
    vectors = _vector_orders(graph)
    orders: dict[str, Shape | None] = {}
    for parameter in graph.parameters:
        node = graph.node(parameter.node)
        if parameter.kind == "conv":
            orders[parameter.name] = parameter.shape[1:]
        elif parameter.kind == "bias":
            orders[parameter.name] = None
        else:
            orders[parameter.name] = vectors[node.inputs[0]]
    for buffer in graph.buffers:
        orders[buffer.name] = vectors[graph.node(buffer.node).inputs[0]]
    return orders


def _vector_orders(graph: Graph) -> dict[str, Shape | None]:
    """(H, W, C) that each node's vector was flattened from; None for maps and other vectors."""
    orders: dict[str, Shape | None] = {}
    for node in graph.nodes:
        behind = {orders[name] for name in node.inputs}
        if isinstance(node.layer, Flatten):
            orders[node.name] = _flattened(graph.node(node.inputs[0]).shape, *behind)
        elif isinstance(node.layer, Conv2D | Dense | GlobalAvgPool) or not behind:
            orders[node.name] = None
        elif len(behind) > 1:
            raise ArgumentError(
                f"layer {node.name!r}: adds a flattened map to another vector; this network has "
                "no equivalent in PyTorch's layouts"
            )
        else:
            (orders[node.name],) = behind
    return orders


def _flattened(shape: Shape, behind: Shape | None) -> Shape | None:
    if len(shape) == 1:
        return behind
    return shape if shape[0] * shape[1] > 1 else None
