import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from orchestrator.config import RunConfig, dump_config, parse_config
from orchestrator.model.graph import Graph
from orchestrator.model.zoo import build_network
from orchestrator.train.info import RunInfo
from orchestrator.train.state import TrainState

CONFIG = """
model: {name: digits_resnet, image_size: 8, channels: 1, classes: 10}
data: {source: digits, mean: [0.5], std: [0.5]}
train: {global_batch: 64, ghost_batch: 32, epochs: 3, seed: 7}
optimizer: {name: lars, weight_decay: 5e-5}
lr_schedule: {base_lr: 0.1, decay: polynomial, end_lr: 1e-4, warmup_epochs: 1}
"""


@pytest.fixture(scope="session")
def config() -> RunConfig:
    return parse_config(CONFIG)


@pytest.fixture(scope="session")
def graph(config: RunConfig) -> Graph:
    return build_network(config.model, 10)


@pytest.fixture
def state(config: RunConfig, graph: Graph) -> TrainState:
    """A state with random bits in every part, extremes included."""
    return make_state(config, graph)


@pytest.fixture
def info() -> RunInfo:
    return RunInfo(
        ranks=2,
        classes=10,
        parameters=1234,
        train_samples=1400,
        eval_samples=397,
        total_epochs=3,
        total_steps=63,
        steps_per_epoch=21,
        decoder="test",
    )


def make_state(config: RunConfig, graph: Graph, seed: int = 1) -> TrainState:
    rng = np.random.default_rng(seed)
    shapes = {parameter.name: parameter.shape for parameter in graph.parameters}
    full = 2**31 - 1

    def bits(shape: tuple[int, ...]) -> np.ndarray:
        array = rng.integers(-full, full, shape, np.int32, endpoint=True)
        array.reshape(-1)[:2] = (full, -full)
        return array

    return TrainState(
        network=config.model.name,
        masters={name: bits(shape) for name, shape in shapes.items()},
        momentum={name: bits(shape) for name, shape in shapes.items()},
        extra={
            name: rng.integers(0, 2**62, shape, np.int64)
            for name, shape in list(shapes.items())[:2]
        },
        running={b.name: rng.integers(0, 2**46, b.shape, np.int64) for b in graph.buffers},
        histories={"y:conv1": [None, 3, -4, 12], "g:fc.weight": []},
        step=40,
        epoch=1,
        epoch_step=19,
        schedule={"rate": [321, 2], "lr_previous": "1/3"},
        evaluated=21,
        config_text=dump_config(config),
        decoder="test decoder 1",
        seed=config.train.seed,
    )


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "regatta-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip(
            "mounting a small tmpfs is not allowed here: run as root, or in a container "
            "with CAP_SYS_ADMIN"
        )
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
