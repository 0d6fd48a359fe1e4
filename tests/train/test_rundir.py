import dataclasses
import os
from pathlib import Path

import pytest

from orchestrator.config import RunConfig, load_config
from orchestrator.errors import ArgumentError, RunError
from orchestrator.train.rundir import (
    RunFolder,
    choose_run_folder,
    latest_run_folder,
    prepare_run_folder,
)


def with_run(config: RunConfig, **run: str) -> RunConfig:
    return dataclasses.replace(config, run=dataclasses.replace(config.run, **run))


def test_the_name_of_the_configuration_is_numbered(tmp_path: Path, config: RunConfig) -> None:
    for expected in ("digits", "digits-2", "digits-3"):
        folder = choose_run_folder(config, "digits", tmp_path)
        assert folder.path == tmp_path / expected
        prepare_run_folder(folder, config)


def test_the_resolved_configuration_is_beside_the_results(
    tmp_path: Path, config: RunConfig
) -> None:
    folder = RunFolder(tmp_path / "a" / "b")
    prepare_run_folder(folder, config)
    assert load_config(folder.config) == config
    assert folder.checkpoints.is_dir()


@pytest.mark.parametrize("file", ["config.yaml", "metrics.jsonl", "checkpoints/best.safetensors"])
def test_a_folder_of_another_run_is_refused(tmp_path: Path, config: RunConfig, file: str) -> None:
    path = tmp_path / "mine" / file
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(ArgumentError, match=r"run\.dir: .*mine holds another run"):
        choose_run_folder(with_run(config, dir=str(tmp_path / "mine")), "x")
    with pytest.raises(ArgumentError, match=r"run\.name: .*mine holds another run"):
        choose_run_folder(with_run(config, name="mine"), "x", tmp_path)


def test_an_existing_folder_without_a_run_is_taken(tmp_path: Path, config: RunConfig) -> None:
    (tmp_path / "notes.txt").touch()
    assert choose_run_folder(with_run(config, dir=str(tmp_path)), "x").path == tmp_path


def test_a_file_is_refused(tmp_path: Path, config: RunConfig) -> None:
    (tmp_path / "f").touch()
    with pytest.raises(ArgumentError, match=r"run\.dir: .*f is a file"):
        choose_run_folder(with_run(config, dir=str(tmp_path / "f")), "x")
    with pytest.raises(RunError, match="cannot be written"):
        prepare_run_folder(RunFolder(tmp_path / "f" / "below"), config)


def test_the_run_begun_last_is_resumed(tmp_path: Path, config: RunConfig) -> None:
    assert latest_run_folder(config, "digits", tmp_path).path == tmp_path / "digits"
    for time_s, name in enumerate(("digits-3", "digits-2", "digits-10", "digits", "digits-b")):
        prepare_run_folder(RunFolder(tmp_path / name), config)
        os.utime(tmp_path / name / "config.yaml", (time_s, time_s))
    os.utime(tmp_path / "digits-2" / "config.yaml", (9, 9))
    (tmp_path / "digits-4").mkdir()
    assert latest_run_folder(config, "digits", tmp_path).path == tmp_path / "digits-2"
    named = with_run(config, name="mine")
    assert latest_run_folder(named, "digits", tmp_path).path == tmp_path / "mine"
    assert latest_run_folder(with_run(named, dir="there"), "digits").path == Path("there")
