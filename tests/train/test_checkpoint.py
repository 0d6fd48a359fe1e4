import dataclasses
import errno
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.config import RunConfig
from orchestrator.errors import CheckpointError, RunError
from orchestrator.model.graph import Graph
from orchestrator.model.naming import from_torch
from orchestrator.model.zoo import build_network
from orchestrator.train import disk
from orchestrator.train.checkpoint import load_checkpoint, read_correct, save_checkpoint, to_float
from orchestrator.train.fingerprint import fingerprint
from orchestrator.train.state import TrainState


def assert_same(first: TrainState, second: TrainState) -> None:
    for field in dataclasses.fields(TrainState):
        a, b = getattr(first, field.name), getattr(second, field.name)
        if field.name in ("masters", "momentum", "extra", "running"):
            assert a.keys() == b.keys()
            for name in a:
                np.testing.assert_array_equal(a[name], b[name])
                assert a[name].dtype == b[name].dtype
        else:
            assert a == b, field.name


@pytest.fixture
def saved(tmp_path: Path, state: TrainState, graph: Graph) -> Path:
    path = tmp_path / "step.safetensors"
    save_checkpoint(path, state, graph, correct=350)
    return path


def test_round_trip_is_exact(saved: Path, state: TrainState, graph: Graph) -> None:
    loaded = load_checkpoint(saved, graph)
    assert_same(loaded, state)
    assert fingerprint(loaded, full=True) == fingerprint(state, full=True)
    assert read_correct(saved) == 350
    assert all(array.flags.writeable for array in loaded.masters.values())


def test_equal_states_give_equal_files(saved: Path, state: TrainState, graph: Graph) -> None:
    again = saved.with_name("again.safetensors")
    save_checkpoint(again, load_checkpoint(saved), graph, correct=350)
    assert again.read_bytes() == saved.read_bytes()


def test_users_find_float_weights_under_torch_names(
    saved: Path, state: TrainState, graph: Graph
) -> None:
    tensors = safetensors.numpy.load_file(saved)
    weights = {name: a for name, a in tensors.items() if not name.startswith("regatta.")}
    internal = from_torch(graph, weights)
    for name, master in state.masters.items():
        assert internal[name].dtype == np.float32
        np.testing.assert_array_equal(internal[name], (master / 2.0**28).astype(np.float32))
    for name, running in state.running.items():
        np.testing.assert_array_equal(internal[name], (running / 2.0**28).astype(np.float32))
    assert tensors["bn1.num_batches_tracked"] == state.step


def test_float_weights_can_be_left_out(tmp_path: Path, state: TrainState, graph: Graph) -> None:
    path = tmp_path / "exact.safetensors"
    save_checkpoint(path, state, graph, float_weights=False)
    assert all(name.startswith("regatta.") for name in safetensors.numpy.load_file(path))
    assert_same(load_checkpoint(path, graph), state)
    assert read_correct(path) is None


@given(st.integers(-(2**31) + 1, 2**31 - 1))
def test_floats_are_rounded_once(master: int) -> None:
    value = to_float(np.array([master], np.int32), -28)[0]
    assert value == np.float32(master / 2**28)


@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_bit_is_found_in_every_region(saved: Path, data: st.DataObject) -> None:
    content = bytearray(saved.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    regions = {"length": (0, 8), "header": (8, header), "tensors": (header, len(content))}
    begin, end = regions[data.draw(st.sampled_from(sorted(regions)))]
    content[data.draw(st.integers(begin, end - 1))] ^= 1 << data.draw(st.integers(0, 7))
    damaged = saved.with_name("damaged.safetensors")
    damaged.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"damaged\.safetensors: "):
        load_checkpoint(damaged)


def test_a_bit_flipped_in_a_weight_is_called_damage(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    content[-1000] ^= 4
    saved.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged: its content has SHA-256"):
        load_checkpoint(saved)


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.01, 0.5, 0.9999])
def test_truncation_is_called_truncation(saved: Path, share: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match="truncated"):
        load_checkpoint(saved)


def test_weights_alone_are_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    safetensors.numpy.save_file({"fc.weight": np.zeros((2, 2), np.float32)}, path)
    with pytest.raises(CheckpointError, match=r"not a Regatta checkpoint; .*model\.weights"):
        load_checkpoint(path)


def test_another_format_version_is_refused(saved: Path) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content.replace(b'"regatta.format":"1"', b'"regatta.format":"9"'))
    with pytest.raises(CheckpointError, match="format '9'; this version reads format '1'"):
        load_checkpoint(saved)


def test_another_network_is_refused_by_name(saved: Path, config: RunConfig) -> None:
    more = build_network(config.model, 12)
    message = r"another network \(digits_resnet\): fc.weight has shape \(10, \d+\)"
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(saved, more)
    other = build_network(dataclasses.replace(config.model, name="mlp"), 10)
    with pytest.raises(CheckpointError, match="is missing"):
        load_checkpoint(saved, other)


def test_a_full_disk_leaves_the_old_checkpoint(
    tiny_disk: Path, state: TrainState, graph: Graph
) -> None:
    path = tiny_disk / "step.safetensors"
    small = TrainState(network="old", masters={}, momentum={}, running={}, step=1)
    save_checkpoint(path, small, graph, float_weights=False)
    before = path.read_bytes()
    full = r"the disk is full: [\d,]{7,} bytes are needed, [\d,]{7,} bytes are free"
    with pytest.raises(RunError, match=full):
        save_checkpoint(path, state, graph)
    assert path.read_bytes() == before
    assert [file.name for file in tiny_disk.iterdir()] == [path.name]


def test_a_failing_disk_is_named(
    tmp_path: Path, state: TrainState, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(disk.os, "fsync", failing)
    with pytest.raises(RunError, match=r"a\.safetensors: cannot be written: Input/output error"):
        save_checkpoint(tmp_path / "a.safetensors", state, graph)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path: Path, state: TrainState, graph: Graph) -> None:
    with pytest.raises(RunError, match="cannot be written: No such file"):
        save_checkpoint(tmp_path / "gone" / "a.safetensors", state, graph)


WRITER = """
import sys
from pathlib import Path
from orchestrator.train.checkpoint import load_checkpoint, save_checkpoint
from orchestrator.train.rebuild import rebuild_network
path = Path(sys.argv[1])
state = load_checkpoint(path)
graph = rebuild_network(state)
print("writing", flush=True)
while True:
    state.step += 1
    save_checkpoint(path, state, graph)
"""


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_writer_leaves_a_whole_checkpoint(
    saved: Path, state: TrainState, kill: signal.Signals
) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(saved)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"writing\n"
    time.sleep(0.3)
    writer.send_signal(kill)
    writer.communicate(timeout=30)
    loaded = load_checkpoint(saved)
    assert loaded.step >= state.step
    left = {file.name for file in saved.parent.iterdir()} - {saved.name}
    assert left <= ({".step.safetensors.tmp"} if kill == signal.SIGKILL else set())
