import os
from pathlib import Path

import pytest

from orchestrator.errors import CheckpointError, RunError
from orchestrator.model.graph import Graph
from orchestrator.train import keeper as keeper_module
from orchestrator.train.checkpoint import load_checkpoint
from orchestrator.train.keeper import (
    BEST,
    CheckpointKeeper,
    checkpoints_by_step,
    find_checkpoint,
)
from orchestrator.train.state import TrainState


def save(keeper: CheckpointKeeper, state: TrainState, step: int, correct: int | None) -> Path:
    state.step = step
    return keeper.save(state, correct)


def test_the_newest_and_the_best_stay(tmp_path: Path, state: TrainState, graph: Graph) -> None:
    keeper = CheckpointKeeper(tmp_path / "c", graph, keep=2)
    for step, correct in ((10, 100), (20, 300), (30, 300), (40, None), (50, 200)):
        save(keeper, state, step, correct)
    assert list(checkpoints_by_step(keeper.folder)) == [40, 50]
    assert {path.name for path in keeper.folder.iterdir()} == {
        "step-00000040.safetensors",
        "step-00000050.safetensors",
        BEST,
    }
    assert load_checkpoint(keeper.folder / BEST).step == 20
    assert keeper.best == 300


def test_the_best_is_a_second_name_of_the_same_file(
    tmp_path: Path, state: TrainState, graph: Graph
) -> None:
    keeper = CheckpointKeeper(tmp_path, graph, keep=1)
    path = save(keeper, state, 10, 5)
    assert (tmp_path / BEST).samefile(path)
    keeper.save(state, 6)
    assert (tmp_path / BEST).samefile(path)
    assert len(list(tmp_path.iterdir())) == 2


def test_without_links_the_best_is_written_again(
    tmp_path: Path, state: TrainState, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*names: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(keeper_module.os, "link", refused)
    keeper = CheckpointKeeper(tmp_path, graph, keep=1)
    path = save(keeper, state, 10, 5)
    assert not (tmp_path / BEST).samefile(path)
    assert (tmp_path / BEST).read_bytes() == path.read_bytes()


def test_a_resumed_run_remembers_the_best(tmp_path: Path, state: TrainState, graph: Graph) -> None:
    save(CheckpointKeeper(tmp_path, graph, keep=1), state, 10, 300)
    keeper = CheckpointKeeper(tmp_path, graph, keep=1)
    assert keeper.best == 300
    save(keeper, state, 20, 299)
    assert load_checkpoint(tmp_path / BEST).step == 10


def test_a_damaged_best_is_replaced(tmp_path: Path, state: TrainState, graph: Graph) -> None:
    (tmp_path / BEST).write_bytes(b"rubbish")
    keeper = CheckpointKeeper(tmp_path, graph, keep=1)
    assert keeper.best is None
    save(keeper, state, 20, 1)
    assert load_checkpoint(tmp_path / BEST).step == 20


def test_the_best_can_stay_without_a_checkpoint_of_its_own(
    tmp_path: Path, state: TrainState, graph: Graph
) -> None:
    keeper = CheckpointKeeper(tmp_path, graph, keep=1)
    keeper.save_best(state, 7)
    keeper.save_best(state, 6)
    assert keeper.best == 7
    assert [path.name for path in tmp_path.iterdir()] == [BEST]


def test_the_best_can_be_switched_off(tmp_path: Path, state: TrainState, graph: Graph) -> None:
    keeper = CheckpointKeeper(tmp_path, graph, keep=1, keep_best=False)
    save(keeper, state, 10, 300)
    keeper.save_best(state, 301)
    assert not (tmp_path / BEST).exists()


def test_later_checkpoints_of_an_earlier_attempt_do_not_push_out_new_ones(
    tmp_path: Path, state: TrainState, graph: Graph
) -> None:
    keeper = CheckpointKeeper(tmp_path, graph, keep=2)
    for step in (30, 40):
        save(keeper, state, step, None)
    for step in (10, 15, 20):
        save(keeper, state, step, None)
    assert list(checkpoints_by_step(tmp_path)) == [15, 20, 30, 40]


def test_unfinished_files_of_a_killed_run_are_removed(tmp_path: Path, graph: Graph) -> None:
    (tmp_path / ".step-00000010.safetensors.tmp").write_bytes(b"half")
    CheckpointKeeper(tmp_path, graph, keep=1)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_the_old_checkpoints(
    tiny_disk: Path, state: TrainState, graph: Graph
) -> None:
    keeper = CheckpointKeeper(tiny_disk / "checkpoints", graph, keep=1)
    small = TrainState(network="old", masters={}, momentum={}, running={}, step=1)
    keeper_module.save_checkpoint(
        keeper.folder / keeper_module.checkpoint_name(1), small, graph, float_weights=False
    )
    with pytest.raises(RunError, match="the disk is full"):
        save(keeper, state, 2, None)
    assert find_checkpoint(tiny_disk) == keeper.folder / "step-00000001.safetensors"
    assert load_checkpoint(find_checkpoint(tiny_disk)).network == "old"


def test_find_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        find_checkpoint(tmp_path / "run")
    (folder / BEST).touch()
    assert find_checkpoint(tmp_path / "run") == folder / BEST
    for step in (9, 100000000, 20):
        (folder / f"step-{step:08d}.safetensors").touch()
    (folder / "step-latest.safetensors").touch()
    newest = folder / "step-100000000.safetensors"
    assert find_checkpoint(tmp_path / "run") == find_checkpoint(folder) == newest
    assert find_checkpoint(folder / BEST) == folder / BEST
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        find_checkpoint(tmp_path / "other")
    assert os.path.samefile(find_checkpoint(newest), newest)
