"""Checkpoints: one safetensors file with weights anybody can use and the exact state to go on from.

=============================  =======  ==============================================
tensors                        type     content
=============================  =======  ==============================================
``conv1.weight``, ...          float32  weights and running statistics, rounded, under
                                        torchvision's names and in PyTorch's layouts
``regatta.master.NAME``        int32    master weight, internal layout, grid 2^-28
``regatta.momentum.NAME``      int32    momentum, grid 2^-30
``regatta.running.NAME``       int64    running statistic, grid 2^-28
``regatta.extra.NAME``         int64    second moments of RMSprop, grid 2^-56
=============================  =======  ==============================================

Everything else is text in the header's metadata, under keys that start with ``regatta.``; see
:func:`_metadata`. The file depends on the state alone (no time, no rank), so equal states give
equal files. A SHA-256 covers every byte (``tensorfile``). Nothing is pickled.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator import __version__
from orchestrator.errors import CheckpointError
from orchestrator.model.graph import Graph
from orchestrator.model.naming import internal_shapes, to_torch
from orchestrator.train.state import (
    MASTER_EXPONENT,
    MOMENTUM_EXPONENT,
    RUNNING_EXPONENT,
    SECOND_MOMENT_EXPONENT,
    TrainState,
)
from orchestrator.train.tensorfile import TensorFile, TensorSource, write_tensors

FORMAT = "1"
"""Version of the checkpoint's layout; a reader refuses another one."""

_GROUPS: dict[str, type[np.signedinteger[Any]]] = {
    "master": np.int32,
    "momentum": np.int32,
    "running": np.int64,
    "extra": np.int64,
}
_EXPONENTS = {
    "master": MASTER_EXPONENT,
    "momentum": MOMENTUM_EXPONENT,
    "running": RUNNING_EXPONENT,
    "extra": SECOND_MOMENT_EXPONENT,
}
_LISTED = 5


def save_checkpoint(
    path: Path,
    state: TrainState,
    graph: Graph,
    *,
    float_weights: bool = True,
    correct: int | None = None,
) -> int:
    """Write a checkpoint as a whole and return its size in bytes.

    Parameters
    ----------
    path : the file; an older one is replaced once the new one is safely on the disk.
    state : what to keep.
    graph : the network.
    float_weights : also keep the weights in float32 under torchvision's names.
    correct : right images in an evaluation of this state, if there was one.

    Raises
    ------
    RunError
        If the disk is full (the message names bytes needed and free) or the file cannot be
        written; an older file is untouched.
    """
    sources = [
        _source(f"regatta.{group}.{name}", array, array.dtype, partial(_same, array))
        for group, arrays in _groups(state).items()
        for name, array in arrays.items()
    ]
    if float_weights:
        sources += float_sources(state, graph)
    return write_tensors(path, sources, _metadata(state, correct))


def float_sources(state: TrainState, graph: Graph) -> list[TensorSource]:
    """Return the state's weights and running statistics as PyTorch has them.

    float32 to nearest even, torchvision's names, PyTorch's layouts; each is worked out when it
    is written. The counters of batch norm (``num_batches_tracked``) hold the step.
    """
    exact: dict[str, NDArray[Any]] = {**state.masters, **state.running}
    moved = to_torch(graph, exact, batches_tracked=state.step)
    sources = []
    for name, array in moved.items():
        exponent = MASTER_EXPONENT if name in state.masters else RUNNING_EXPONENT
        if name in exact:
            convert = partial(to_float, array, exponent)
            sources.append(_source(name, array, np.dtype(np.float32), convert))
        else:
            sources.append(_source(name, array, array.dtype, partial(_same, array)))
    return sources


def to_float(array: NDArray[np.signedinteger[Any]], exponent: int) -> NDArray[np.float32]:
    """Return ``array * 2^exponent``, each element rounded once to the nearest float32."""
    # Rounding happens in the conversion; a power of two then changes no mantissa.
    return array.astype(np.float32) * np.float32(2.0**exponent)


def load_checkpoint(path: Path, graph: Graph | None = None) -> TrainState:
    """Return the state a checkpoint holds, after its digest was verified.

    Parameters
    ----------
    path : a checkpoint.
    graph : the network it must belong to; None to leave that unchecked.

    Raises
    ------
    CheckpointError
        If the file is missing, truncated, damaged, not a checkpoint, of another format, or of
        another network; the message says which.
    """
    file = TensorFile(path)
    _check_format(file)
    file.verify()
    groups: dict[str, dict[str, Any]] = {group: {} for group in _GROUPS}
    for full_name in file.names:
        group, _, name = full_name.removeprefix("regatta.").partition(".")
        if full_name.startswith("regatta.") and group in groups:
            array = file.read(full_name)
            if array.dtype != _GROUPS[group]:
                raise CheckpointError(f"{path}: {full_name} holds {array.dtype} elements")
            groups[group][name] = array.astype(_GROUPS[group], copy=False)
    state = _state(file, groups)
    if graph is not None:
        check_network(path, state, graph)
    return state


def read_correct(path: Path) -> int | None:
    """Return the right images of a checkpoint's evaluation, from its header; None without one.

    Raises
    ------
    CheckpointError
        If the file is not a checkpoint.
    """
    file = TensorFile(path)
    _check_format(file)
    correct: int | None = _json(file, "correct")
    return correct


def _source(
    name: str, array: NDArray[Any], dtype: np.dtype[Any], produce: Callable[[], NDArray[Any]]
) -> TensorSource:
    return TensorSource(name=name, shape=array.shape, dtype=dtype, produce=produce)


def _same(array: NDArray[Any]) -> NDArray[Any]:
    return array


def _groups(state: TrainState) -> dict[str, Mapping[str, NDArray[Any]]]:
    return {
        "master": state.masters,
        "momentum": state.momentum,
        "running": state.running,
        "extra": state.extra,
    }


def _metadata(state: TrainState, correct: int | None) -> dict[str, str]:
    """Return the header's text: what a training needs besides arrays."""
    texts = {
        "format": FORMAT,
        "version": __version__,
        "network": state.network,
        "step": str(state.step),
        "epoch": str(state.epoch),
        "epoch_step": str(state.epoch_step),
        "seed": str(state.seed),
        "decoder": state.decoder,
        "config": state.config_text,
        "config_sha256": hashlib.sha256(state.config_text.encode()).hexdigest(),
        "exponents": json.dumps(_EXPONENTS, sort_keys=True),
        "schedule": json.dumps(state.schedule, sort_keys=True),
        "histories": json.dumps(state.histories, sort_keys=True),
        "evaluated": str(state.evaluated),
        "correct": json.dumps(correct),
    }
    # Readers of other frameworks look for "format": the layouts are PyTorch's.
    return {"format": "pt"} | {f"regatta.{key}": text for key, text in texts.items()}


def _check_format(file: TensorFile) -> None:
    version = file.metadata.get("regatta.format")
    if version is None:
        raise CheckpointError(
            f"{file.path}: a safetensors file, but not a Regatta checkpoint; weights without "
            "training state can be given as model.weights"
        )
    if version != FORMAT:
        raise CheckpointError(
            f"{file.path}: checkpoint format {version!r}; this version reads format {FORMAT!r}"
        )


def _state(file: TensorFile, groups: dict[str, dict[str, Any]]) -> TrainState:
    """Build the state from arrays and metadata that have passed the digest."""
    exponents = _json(file, "exponents")
    if exponents != _EXPONENTS:
        raise CheckpointError(f"{file.path}: exponents {exponents}; expected {_EXPONENTS}")
    try:
        return TrainState(
            network=_text(file, "network"),
            masters=groups["master"],
            momentum=groups["momentum"],
            running=groups["running"],
            extra=groups["extra"],
            histories=_json(file, "histories"),
            step=int(_text(file, "step")),
            epoch=int(_text(file, "epoch")),
            epoch_step=int(_text(file, "epoch_step")),
            schedule=_json(file, "schedule"),
            config_text=_text(file, "config"),
            evaluated=int(_text(file, "evaluated")),
            decoder=_text(file, "decoder"),
            seed=int(_text(file, "seed")),
        )
    except ValueError as error:
        raise CheckpointError(f"{file.path}: damaged: {error}") from error


def _text(file: TensorFile, key: str) -> str:
    try:
        return file.metadata[f"regatta.{key}"]
    except KeyError:
        raise CheckpointError(f"{file.path}: damaged: holds no regatta.{key}") from None


def _json(file: TensorFile, key: str) -> Any:
    try:
        return json.loads(_text(file, key))
    except ValueError as error:
        raise CheckpointError(f"{file.path}: damaged: regatta.{key}: {error}") from error


def check_network(path: Path, state: TrainState, graph: Graph, omit: Collection[str] = ()) -> None:
    """Compare a state's names and shapes with a network's.

    Parameters
    ----------
    path : named in the message.
    state, graph : what is compared.
    omit : parameters that may be absent or have any shape.

    Raises
    ------
    CheckpointError
        If they differ; the message names the first tensors.
    """
    shapes = {name: array.shape for name, array in state.masters.items()}
    shapes |= {name: array.shape for name, array in state.running.items()}
    expected = internal_shapes(graph)
    faults = [f"{name} is missing" for name in expected if name not in shapes]
    faults += [f"{name} is not part of the network" for name in shapes if name not in expected]
    faults += [
        f"{name} has shape {shapes[name]}, the network {shape}"
        for name, shape in expected.items()
        if shapes.get(name, shape) != shape
    ]
    faults += [
        f"{name} has momentum of another shape"
        for name, array in state.momentum.items()
        if shapes.get(name) != array.shape
    ]
    faults = [fault for fault in faults if fault.partition(" ")[0] not in omit]
    if faults:
        more = f" and {len(faults) - _LISTED} more" if len(faults) > _LISTED else ""
        raise CheckpointError(
            f"{path}: belongs to another network ({state.network}): "
            + "; ".join(faults[:_LISTED])
            + more
        )
