"""What a user gets wrong is answered by one line, the right exit code, and no file."""

import dataclasses
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from orchestrator.boards import kernel_library
from orchestrator.cli import app
from orchestrator.cli.output import check_json
from orchestrator.errors import ArgumentError
from orchestrator.keras import Dense, Flatten, Input, Sequential
from orchestrator.train.checkpoint import load_checkpoint, save_checkpoint
from orchestrator.train.keeper import find_checkpoint
from orchestrator.train.rebuild import rebuild_network

SECTIONS = "model, data, train, optimizer, lr_schedule, slice, collective, run"
SETTINGS = [
    ("foo=1", f"foo: unknown key; allowed at the top level: {SECTIONS}"),
    ("trian.epochs=3", "trian: unknown key (did you mean train?)"),
    ("train.globl_batch=8", "train.globl_batch: unknown key (did you mean global_batch?)"),
    ("train.epochs.x=3", "train.epochs.x: train.epochs has no keys inside"),
    ("train.epochs", "--set 'train.epochs' is not key=value"),
    ("=3", "--set '=3' is not key=value"),
    ("train.epochs=[1", "--set 'train.epochs=[1': the value is not valid YAML"),
    ("train=3", "train: '3' is not a mapping of global_batch, epochs"),
    ("train.epochs=many", "train.epochs: 'many' is not allowed; it must be a whole number"),
    ("train.epochs=1.5", "train.epochs: '1.5' is not allowed; it must be a whole number"),
    ("train.epochs=", "train.epochs: null is not allowed"),
    ("train.global_batch=-16", "train.global_batch: -16 is out of range; it must be at least 1"),
    ("train.global_batch=20", "train.global_batch: 20 is not a multiple of train.ghost_batch 8"),
    ("train.global_batch=640", "640 images in epoch 0, but the data set has 64"),
    ("train.threads=0", "train.threads: 0 is out of range"),
    ("model.name=resnet51", "model.name: there is no network 'resnet51'; known are resnet18,"),
    ("model.classes=1", "model.classes: 1 is out of range; it must be at least 2"),
    ("model.channels=3", "data.mean: 1 values, but model.channels is 3"),
    ("model.weights=gone", "model.weights: gone: cannot be read: No such file or directory"),
    ("model.weights=tiny.yaml", "model.weights: tiny.yaml: not a safetensors file"),
    ("data.source=digit", "data.source: 'digit' is not allowed; it must be one of digits, folder"),
    ("data.source=folder", "data.path: missing; data.source folder needs one"),
    ("optimizer.name=adam", "optimizer.name: 'adam' is not allowed; it must be one of sgd, lars"),
    ("lr_schedule.base_lr=nan", "lr_schedule.base_lr: 'nan' is not a number such as 0.1"),
    ("lr_schedule.base_lr=-1", "lr_schedule.base_lr: -1 is out of range; it must be more than 0"),
    ("slice.backend=emulated", "slice.backend is 'emulated': this version runs 'native'"),
    ("collective.engine=links", "collective.engine: links sums over board links"),
    ("run.dir=tiny.yaml", "run.dir: tiny.yaml is a file; choose another run.dir"),
]


def files() -> list[Path]:
    return sorted(Path().rglob("*"))


@pytest.mark.parametrize(("setting", "message"), SETTINGS, ids=[name for name, _ in SETTINGS])
def test_a_wrong_setting_is_named(regatta, setting, message):
    before = files()
    assert message in regatta("train", "tiny.yaml", "--set", setting).refused()
    assert files() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "bad.yaml: no such file; give a configuration in YAML"),
        (b"a: [1\n", "bad.yaml: the configuration is not valid YAML (line 2, column 1)"),
        (b"\xff\xfe", "bad.yaml: cannot be read: it is not UTF-8 text"),
        (b"", f"bad.yaml: null is not a mapping; a configuration has the sections {SECTIONS}"),
        (b"- 1", "bad.yaml: ['1'] is not a mapping"),
        (b"a: 1\na: 2", "key 'a' is written twice"),
    ],
)
def test_a_wrong_configuration_is_named(regatta, content, message):
    if content is not None:
        Path("bad.yaml").write_bytes(content)
    assert message in regatta("train", "bad.yaml").refused()


def test_a_folder_is_no_configuration(regatta):
    assert regatta("train", ".").refused() == ".: cannot be read: Is a directory"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "No such command 'trian'. Did you mean 'train'? (see regatta --help)"),
        (["train"], "Missing argument 'CONFIG' (see regatta train --help)"),
        (["train", "tiny.yaml", "--st", "a=1"], "No such option: --st"),
        (["train", "tiny.yaml", "--set"], "Option '--set' requires an argument"),
        (["export", "x"], "Missing option '--output' / '-o' (see regatta export --help)"),
        (["bench", "nothing"], "No such command 'nothing' (see regatta bench --help)"),
    ],
)
def test_wrong_arguments_are_named(regatta, arguments, message):
    assert message in regatta(*arguments).refused()


def test_every_command_has_help(regatta):
    names = [command.name or command.callback.__name__ for command in app.registered_commands]
    assert {"train", "evaluate", "sweep", "fingerprint", "export", "doctor"} <= set(names)
    for words in ([], *([name] for name in names), ["bench"]):
        shown = regatta(*words, "--help")
        assert (shown.code, shown.err) == (0, "") and "Usage: regatta" in shown.out
    assert regatta("--version").out.startswith("regatta ")


def test_a_json_file_in_a_folder_of_others_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(ArgumentError, match="--json .*x.json: the folder .* cannot be written"):
        check_json(tmp_path / "x.json")


def test_too_little_memory_is_named(regatta, monkeypatch):
    monkeypatch.setattr("orchestrator.cli.app", lambda **_: np.empty(1 << 60, np.uint8))
    message = regatta("doctor").refused(code=3)
    assert "memory ran out" in message and "1.00 EiB" in message


@pytest.mark.parametrize("path", ["gone/x.json", "folder"])
def test_a_wrong_json_file_is_refused_before_the_work(regatta, finished, path):
    Path("folder").mkdir()
    for command in (["train", "tiny.yaml"], ["evaluate", finished], ["sweep", "tiny.yaml"]):
        message = regatta(*command, "--json", path).refused()
        assert message.startswith(f"--json {path}: ")
    assert files() == [Path("folder"), Path("tiny.yaml")]


@pytest.mark.parametrize("name", ["checkpoints/best.safetensors", "config.yaml"])
def test_another_run_is_not_overwritten(regatta, name):
    file = Path("run") / name
    file.parent.mkdir(parents=True)
    file.write_text("precious")
    message = regatta("train", "tiny.yaml", "--set", "run.dir=run").refused()
    assert message.startswith("run.dir: run holds another run")
    assert ("--resume" in message) == name.endswith("safetensors")
    assert file.read_text() == "precious"


def test_a_folder_that_cannot_be_written_is_named(regatta):
    ended = regatta("train", "tiny.yaml", "--set", "run.dir=/dev/null/run")
    assert ended.refused(3) == "/dev/null/run: cannot be written: Not a directory"


def test_a_full_disk_leaves_what_was_written(regatta, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", disk]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs is not allowed here: needs root")
    try:
        settings = ["--set", "run.dir=disk/run", "--set", "train.keep_checkpoints=99"]
        train = ["train", "tiny.yaml", *settings, "--set", "train.checkpoint_every_steps=1"]
        message = regatta(*train).refused(3)
        assert "the disk is full" in message and "Files written before are untouched" in message
        kept = sorted(Path("disk/run/checkpoints").iterdir())
        assert kept and all(file.name.startswith("step-") for file in kept)
        assert regatta("fingerprint", kept[-1]).code == 0
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        assert regatta(*train, "--resume").code == 0
        resumed = regatta("fingerprint", "disk/run", "--state").out
    finally:
        subprocess.run(["umount", disk], check=True)
    regatta("train", "tiny.yaml", "--set", "run.dir=whole")
    assert regatta("fingerprint", "whole", "--state").out == resumed


def damage(content: bytes, kind: str) -> bytes:
    if kind == "truncated":
        return content[: len(content) // 2]
    if kind == "empty":
        return b""
    place = int(float(kind) * len(content))
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


@pytest.mark.parametrize("kind", ["truncated", "empty", "0", "0.01", "0.5", "0.999"])
def test_a_damaged_checkpoint_is_refused(regatta, finished, kind):
    shutil.copytree(finished, "run")
    last = max(Path("run/checkpoints").glob("step-*"))
    last.write_bytes(damage(last.read_bytes(), kind))
    before = {file: file.read_bytes() for file in files() if file.is_file()}
    for command in (
        ["fingerprint", last],
        ["evaluate", "run"],
        ["export", "run", "--format", "onnx", "-o", "x.onnx"],
        ["train", "tiny.yaml", "--set", "run.dir=run", "--resume"],
        ["train", "tiny.yaml", "--set", f"model.weights={last}"],
    ):
        message = regatta(*command).refused()
        assert last.name in message and ("damaged" in message or "truncated" in message)
    assert {file: file.read_bytes() for file in files() if file.is_file()} == before


def test_what_is_no_checkpoint_is_refused(regatta, finished):
    assert regatta("export", finished, "-o", "weights.safetensors").code == 0
    for path, message in (
        ("gone", "gone: no such checkpoint or run folder"),
        (".", ".: holds no checkpoint (step-*.safetensors or best.safetensors)"),
        ("tiny.yaml", "tiny.yaml: not a safetensors file"),
        ("weights.safetensors", "not a Regatta checkpoint; weights without training state can"),
    ):
        for command in ("fingerprint", "evaluate"):
            assert message in regatta(command, path).refused()


def test_a_checkpoint_of_another_training_is_refused(regatta, finished):
    shutil.copytree(finished, "run")
    resume = ["train", "tiny.yaml", "--resume", "--set", "run.dir=run"]
    message = regatta(*resume, "--set", "lr_schedule.base_lr=0.2").refused()
    assert "belongs to another training: lr_schedule.base_lr (was 0.1, now 0.2)" in message
    message = regatta("evaluate", "run", "--set", "model.hidden=[13]").refused()
    assert "belongs to another network (mlp): fc1.weight has shape" in message
    message = regatta("train", "tiny.yaml", "--resume", "--set", "run.dir=gone").refused()
    assert message == (
        "nothing to resume: gone: no such checkpoint or run folder; "
        "without --resume a new training starts"
    )


def test_histories_of_a_checkpoint_are_there_fit_or_are_made(regatta, finished):
    """One that was never trained has none and is evaluated all the same."""
    state = load_checkpoint(find_checkpoint(finished))
    graph = rebuild_network(state)
    file = Path("changed.safetensors")
    save_checkpoint(file, dataclasses.replace(state, histories={}), graph)
    assert regatta("evaluate", file).code == 0
    first, *others = sorted(state.histories)
    kept = {name: state.histories[name] for name in others}
    save_checkpoint(file, dataclasses.replace(state, histories=kept), graph)
    for command in (
        ["evaluate", file],
        ["train", "tiny.yaml", "--resume", "--set", "run.dir=run"],
    ):
        Path("run/checkpoints").mkdir(parents=True, exist_ok=True)
        shutil.copy(file, "run/checkpoints/step-00000008.safetensors")
        message = regatta(*command).refused()
        assert f"not those of the network: {first} is in only one of the two" in message


def test_a_network_built_in_python_is_not_rebuilt_elsewhere(regatta):
    model = Sequential([Input((8, 8, 1)), Flatten(), Dense(4)])
    model.compile()
    model.save("built.safetensors")
    message = regatta("export", "built.safetensors", "-o", "x.safetensors").refused()
    assert message.startswith("the checkpoint's network 'sequential' was built in Python")


def test_exported_weights_start_a_training_with_other_classes(regatta, finished):
    assert regatta("export", finished, "-o", "weights.safetensors").code == 0
    ended = regatta(
        *("train", "tiny.yaml", "--set", "model.weights=weights.safetensors"),
        *("--set", "model.classes=12", "--set", "run.dir=run"),
    )
    assert ended.code == 0
    assert ended.err.count("its last layer does not fit 12 classes; fc.weight and fc.bias") == 1


def test_missing_parts_are_named(regatta, monkeypatch, tmp_path):
    foreign = "avx2" if platform.machine() == "aarch64" else "neon"
    for name, cause in (("nonsense", "does not exist"), (foreign, "is not for this processor")):
        monkeypatch.setenv("REGATTA_KERNELS", name)
        message = regatta("train", "tiny.yaml").refused()
        assert message.startswith(f"REGATTA_KERNELS: kernel set '{name}' {cause}: this machine has")
    monkeypatch.delenv("REGATTA_KERNELS")
    monkeypatch.setattr(kernel_library, "library_path", lambda name: tmp_path / f"{name}.so")
    kernel_library.load_library.cache_clear()
    message = regatta("train", "tiny.yaml").refused(4)
    assert "kernels were not built" in message and "python setup.py build_ext --inplace" in message
    monkeypatch.setitem(sys.modules, "horovod", None)
    monkeypatch.setitem(sys.modules, "horovod.torch", None)
    message = regatta("train", "tiny.yaml", "--set", "collective.engine=horovod").refused(4)
    assert "launch/install_horovod.sh" in message
    assert files() == [Path("tiny.yaml")]
