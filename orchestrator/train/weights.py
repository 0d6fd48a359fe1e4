"""Weights to start a training from: any safetensors file with torchvision's names."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ArgumentError, CheckpointError
from orchestrator.model.graph import Graph
from orchestrator.model.layers import Dense
from orchestrator.model.naming import from_torch, torch_shapes
from orchestrator.train.checkpoint import check_network, load_checkpoint
from orchestrator.train.state import MASTER_EXPONENT, MASTER_LIMIT, RUNNING_LIMIT
from orchestrator.train.tensorfile import DIGEST_KEY, TensorFile

_CHUNK = 1 << 20

G = TypeVar("G", np.int32, np.int64)


@dataclass(frozen=True, slots=True)
class LoadedWeights:
    """Weights on the grids of a training.

    Attributes
    ----------
    masters : int32 master weights by name, internal layout, grid 2^-28.
    running : int64 running statistics by name, grid 2^-28.
    fresh : parameters the file does not fit, which keep their fresh initial values: those of the
        last layer where the number of classes differs.
    """

    masters: dict[str, NDArray[np.int32]]
    running: dict[str, NDArray[np.int64]]
    fresh: tuple[str, ...]


def load_weights(
    path: Path, graph: Graph, notice: Callable[[str], None] = lambda message: None
) -> LoadedWeights:
    """Return the weights of a safetensors file for a network.

    Floating-point weights are rounded half up to the grid. Of a Regatta checkpoint the exact
    master weights are taken. A last layer for another number of classes (or none) is left out,
    with a notice; anything else must fit.

    Parameters
    ----------
    path : the file.
    graph : the network.
    notice : called with a sentence where the last layer is left out.

    Raises
    ------
    CheckpointError
        If the file is damaged, names are missing or unexpected, shapes differ, or a value is not
        finite or too large for the grid (8 for weights); the message names the tensor.
    """
    file = TensorFile(path)
    fresh = _classifier_to_leave_out(file, graph)
    if fresh:
        notice(
            f"{path}: its last layer does not fit {graph.output_shape[0]} classes; "
            f"{' and '.join(fresh)} start fresh"
        )
    if "regatta.format" in file.metadata:
        return _from_checkpoint(path, graph, fresh)
    if DIGEST_KEY in file.metadata:
        file.verify()
    return _from_floats(file, graph, fresh)


def _from_floats(file: TensorFile, graph: Graph, fresh: tuple[str, ...]) -> LoadedWeights:
    """Return floating-point weights on the grids, without those of `fresh`."""
    names = torch_shapes(graph)
    statistics = {buffer.name for buffer in graph.buffers}
    tensors: dict[str, NDArray[Any]] = {}
    for name in file.names:
        if name in names and name not in fresh:
            grid = np.int64 if name in statistics else np.int32
            tensors[name] = to_grid(f"{file.path}: {name}", file.read(name), grid)
        else:
            tensors[name] = np.empty(0, np.int32)
    missing = sorted(statistics - tensors.keys())
    if missing:
        raise CheckpointError(f"{file.path}: holds no {missing[0]}: running statistics are needed")
    try:
        moved = from_torch(graph, tensors, omit=fresh)
    except ArgumentError as error:
        raise CheckpointError(f"{file.path}: {error}") from error
    return LoadedWeights(
        {name: array for name, array in moved.items() if name not in statistics},
        {name: array for name, array in moved.items() if name in statistics},
        fresh,
    )


def to_grid(name: str, values: NDArray[Any], dtype: type[G]) -> NDArray[G]:
    """Return values rounded half up to multiples of 2^-28, as counts of them.

    Parameters
    ----------
    name : named in messages.
    values : floating-point numbers of any width.
    dtype : int32 for weights, below 8 in magnitude; int64 for running statistics, below 2^18.

    Raises
    ------
    CheckpointError
        If a value is not a floating-point number, not finite, or too large.

    Examples
    --------
    >>> to_grid("w", np.array([0.5, -(2.0**-29)]), np.int32).tolist()
    [134217728, 0]
    """
    if values.dtype.kind != "f":
        raise CheckpointError(f"{name} holds {values.dtype} elements; weights are floating point")
    limit = MASTER_LIMIT if dtype is np.int32 else RUNNING_LIMIT
    grid = np.empty(values.shape, dtype)
    flat, rounded = values.reshape(-1), grid.reshape(-1)
    for start in range(0, flat.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        scaled = flat[part].astype(np.float64) * 2.0**-MASTER_EXPONENT
        bad = ~((scaled >= -limit - 0.5) & (scaled < limit + 0.5))
        if bad.any():
            value = float(flat[part][bad][0])
            bound = 8 if dtype is np.int32 else 2**18
            raise CheckpointError(
                f"{name} holds {value:g}; magnitudes below {bound:,} can be represented"
            )
        # floor(x + 0.5) would round x + 0.5 first; the remainder above the floor is exact.
        whole = np.floor(scaled)
        whole += scaled - whole >= 0.5
        rounded[part] = whole.astype(dtype)
    return grid


def _classifier_to_leave_out(file: TensorFile, graph: Graph) -> tuple[str, ...]:
    """Return the last layer's parameters if the file has them for other classes, or not at all."""
    node = graph.node(graph.output)
    if not isinstance(node.layer, Dense):
        return ()
    shapes = torch_shapes(graph, buffers=False)
    names = tuple(name for name in shapes if name.rpartition(".")[0] == node.name)
    found = {name: file.shape(name) for name in names if name in file.names}
    if not found:
        exact = [f"regatta.master.{name}" for name in names]
        found = {
            name: file.shape(stored)
            for name, stored in zip(names, exact, strict=True)
            if stored in file.names
        }
    same_inputs = all(shape[1:] == shapes[name][1:] for name, shape in found.items())
    same_classes = all(shape[:1] == shapes[name][:1] for name, shape in found.items())
    if not found or (same_inputs and not same_classes):
        return names
    return ()


def _from_checkpoint(path: Path, graph: Graph, fresh: tuple[str, ...]) -> LoadedWeights:
    """Return the exact weights of a checkpoint, without those of the last layer if it differs."""
    state = load_checkpoint(path)
    check_network(path, state, graph, omit=fresh)
    masters = {name: array for name, array in state.masters.items() if name not in fresh}
    return LoadedWeights(masters, state.running, fresh)
