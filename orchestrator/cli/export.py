"""``regatta export``: the weights of a checkpoint for other programs."""

from pathlib import Path

from orchestrator import __version__
from orchestrator.errors import ArgumentError
from orchestrator.model.graph import Graph
from orchestrator.model.onnx_export import export_onnx
from orchestrator.train.checkpoint import check_network, float_sources, load_checkpoint, to_float
from orchestrator.train.disk import writing
from orchestrator.train.fingerprint import fingerprint
from orchestrator.train.keeper import find_checkpoint
from orchestrator.train.rebuild import rebuild_config, rebuild_network
from orchestrator.train.state import MASTER_EXPONENT, RUNNING_EXPONENT, TrainState
from orchestrator.train.tensorfile import write_tensors

FORMATS = ("safetensors", "onnx")


def export(checkpoint: Path, file_format: str, output: Path) -> None:
    """Write the weights of a checkpoint to a file.

    Parameters
    ----------
    checkpoint : a checkpoint, or a run directory whose newest one is taken.
    file_format : ``safetensors``: float32 weights and running statistics under torchvision's
        names, which PyTorch loads with ``load_state_dict``; ``onnx``: a model from pixels to
        logits.
    output : the file to write; an older one is replaced.

    Raises
    ------
    ArgumentError
        If the format is unknown, or the output is the checkpoint or has no folder.
    CheckpointError
        If there is no checkpoint, or it is damaged.
    MissingToolError
        If the package onnx is needed and not installed.
    RunError
        If the file cannot be written.
    """
    if file_format not in FORMATS:
        raise ArgumentError(
            f"--format: {file_format!r} is not allowed; it must be one of {', '.join(FORMATS)}"
        )
    path = find_checkpoint(checkpoint)
    if not output.parent.is_dir():
        raise ArgumentError(f"--output: the folder {output.parent} does not exist")
    if output.is_dir() or (output.exists() and output.samefile(path)):
        raise ArgumentError(f"--output: {output} is a folder or the checkpoint; name another file")
    state = load_checkpoint(path)
    graph = rebuild_network(state)
    check_network(path, state, graph)
    if file_format == "onnx":
        _write_onnx(state, graph, output)
    else:
        _write_safetensors(state, graph, output)


def _write_safetensors(state: TrainState, graph: Graph, output: Path) -> None:
    metadata = {
        "format": "pt",
        "regatta.version": __version__,
        "regatta.network": state.network,
        "regatta.step": str(state.step),
        "regatta.fingerprint": fingerprint(state),
    }
    write_tensors(output, float_sources(state, graph), metadata)


def _write_onnx(state: TrainState, graph: Graph, output: Path) -> None:
    config = rebuild_config(state)
    weights = {name: to_float(array, MASTER_EXPONENT) for name, array in state.masters.items()}
    weights |= {name: to_float(array, RUNNING_EXPONENT) for name, array in state.running.items()}
    with writing(output):
        export_onnx(graph, weights, output, mean=config.data.mean, std=config.data.std)
