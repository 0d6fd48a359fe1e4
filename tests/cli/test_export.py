from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from orchestrator.cli.export import export
from orchestrator.cli.fingerprint import fingerprint
from orchestrator.config import dump_config, parse_config
from orchestrator.errors import ArgumentError, CheckpointError
from orchestrator.model.graph import Graph
from orchestrator.model.zoo import build_network
from orchestrator.train.checkpoint import save_checkpoint
from orchestrator.train.fingerprint import fingerprint as hash_state
from orchestrator.train.state import TrainState

CONFIG = """
model: {name: mlp, image_size: 4, channels: 3, hidden: [6]}
data: {source: digits}
train: {global_batch: 32, epochs: 1}
lr_schedule: {base_lr: 0.1}
"""


@pytest.fixture
def graph() -> Graph:
    return build_network(parse_config(CONFIG).model, 5)


@pytest.fixture
def state(graph: Graph) -> TrainState:
    rng = np.random.default_rng(2)
    weights = {p.name: rng.integers(-(2**27), 2**27, p.shape, np.int32) for p in graph.parameters}
    return TrainState(
        network="mlp",
        masters=weights,
        momentum={name: np.zeros_like(array) for name, array in weights.items()},
        running={},
        step=12,
        config_text=dump_config(parse_config(CONFIG)),
    )


@pytest.fixture
def run(tmp_path: Path, state: TrainState, graph: Graph) -> Path:
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    save_checkpoint(folder / "step-00000012.safetensors", state, graph)
    return tmp_path / "run"


def reference(graph: Graph, weights: dict[str, torch.Tensor]) -> torch.nn.Module:
    names = [p.name.rpartition(".")[0] for p in graph.parameters if p.name.endswith(".weight")]
    first, last = (weights[f"{name}.weight"] for name in names)
    layers = [
        torch.nn.Flatten(),
        torch.nn.Linear(*first.shape[::-1]),
        torch.nn.ReLU(),
        torch.nn.Linear(*last.shape[::-1]),
    ]
    module = torch.nn.Sequential(*layers)
    renamed = {
        f"{place}.{kind}": weights[f"{name}.{kind}"]
        for place, name in zip((1, 3), names, strict=True)
        for kind in ("weight", "bias")
    }
    module.load_state_dict(renamed, strict=True)
    return module


def test_the_fingerprint_is_that_of_the_state(run: Path, state: TrainState) -> None:
    checkpoint = run / "checkpoints" / "step-00000012.safetensors"
    assert fingerprint(run) == fingerprint(checkpoint) == hash_state(state)
    assert fingerprint(run, state=True) == hash_state(state, full=True)


def test_pytorch_and_onnxruntime_agree_on_what_was_exported(
    run: Path, graph: Graph, tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    export(run, "safetensors", tmp_path / "w.safetensors")
    weights = safetensors.torch.load_file(tmp_path / "w.safetensors")
    assert not [name for name in weights if name.startswith("regatta.")]
    export(run, "onnx", tmp_path / "w.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "w.onnx")
    pixels = np.random.default_rng(4).integers(0, 256, (7, 3, 4, 4)).astype(np.float32)
    (logits,) = session.run(None, {"input": pixels})
    data = parse_config(CONFIG).data
    mean = torch.tensor([float(v) for v in data.mean]).reshape(3, 1, 1)
    std = torch.tensor([float(v) for v in data.std]).reshape(3, 1, 1)
    with torch.no_grad():
        expected = reference(graph, weights)((torch.from_numpy(pixels) / 255 - mean) / std)
    np.testing.assert_allclose(logits, expected.numpy(), rtol=1e-3, atol=1e-4)


def test_bad_arguments_are_answered(run: Path, tmp_path: Path) -> None:
    checkpoint = run / "checkpoints" / "step-00000012.safetensors"
    with pytest.raises(ArgumentError, match="--format: 'pickle' is not allowed"):
        export(run, "pickle", tmp_path / "w")
    with pytest.raises(ArgumentError, match="folder .*gone does not exist"):
        export(run, "onnx", tmp_path / "gone" / "w")
    with pytest.raises(ArgumentError, match="is a folder or the checkpoint"):
        export(run, "safetensors", checkpoint)
    with pytest.raises(ArgumentError, match="is a folder or the checkpoint"):
        export(run, "safetensors", tmp_path)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        export(tmp_path / "nothing", "onnx", tmp_path / "w")
