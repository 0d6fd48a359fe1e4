"""Stopped at any moment, a training leaves a checkpoint that goes on to the very same state."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.collectives.mpirun import python_ranks
from orchestrator.train import disk, keeper
from orchestrator.train.recorder import FileRecorder

TRAIN = ("train", "tiny.yaml", "--set", "run.dir=run", "--set", "train.checkpoint_every_steps=3")


def records(folder):
    """What a metrics file holds, without times."""
    lines = (Path(folder) / "metrics.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    return [
        (record["kind"], record["step"], record["loss"], record["accuracy"]) for record in found
    ]


def calling_first(monkeypatch, owner, name, action, at=1):
    """Call an action at the beginning of the n-th call of a function."""
    original, calls = getattr(owner, name), []

    def called(*arguments, **options):
        calls.append(None)
        if len(calls) == at:
            action()
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, called)


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def check_resumed(regatta, finished):
    """Resume the run and compare it with the one that was not interrupted."""
    assert not list(Path("run/checkpoints").glob(".*"))
    assert regatta("fingerprint", "run").code == 0
    assert regatta(*TRAIN, "--resume").code == 0
    for option in ([], ["--state"]):
        whole = regatta("fingerprint", finished, *option).out
        assert regatta("fingerprint", "run", *option).out == whole
    assert records("run") == records(finished)


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGUSR1"])
def test_before_the_training_nothing_is_written(regatta, monkeypatch, number):
    def stop():
        os.kill(os.getpid(), getattr(signal, number))

    calling_first(monkeypatch, keeper.CheckpointKeeper, "__init__", stop)
    assert regatta(*TRAIN).refused(3) == "interrupted"
    assert not list(Path("run").rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("owner", "name", "at", "steps"),
    [
        (FileRecorder, "run_start", 1, 1),
        (FileRecorder, "step", 1, 2),
        (FileRecorder, "step", 4, 4),  # the last one of an epoch: before the next begins
        (FileRecorder, "evaluation_start", 1, 4),
        (FileRecorder, "evaluation_start", 2, 8),
        (keeper, "save_checkpoint", 1, 1),
        (keeper, "save_checkpoint", 2, 4),
        (
            disk.os,
            "fsync",
            5,
            1,
        ),  # in the first checkpoint: two each for config.yaml and mlperf.log
    ],
)
def test_ctrl_c_finishes_the_step_and_saves(regatta, finished, monkeypatch, owner, name, at, steps):
    with monkeypatch.context() as patches:
        calling_first(patches, owner, name, interrupt, at)
        message = regatta(*TRAIN).refused(3)
    found = re.fullmatch(
        r"interrupted after step (\d+); its checkpoint is in run/checkpoints, "
        "the same command with --resume continues",
        message,
    )
    assert found and int(found[1]) == steps
    check_resumed(regatta, finished)


def test_a_second_ctrl_c_leaves_the_checkpoint_before(regatta, finished, monkeypatch):
    """It strikes while the checkpoint of step 3 is being written."""

    def twice():
        interrupt()
        interrupt()

    with monkeypatch.context() as patches:
        calling_first(
            patches,
            keeper,
            "save_checkpoint",
            lambda: calling_first(patches, disk.os, "fsync", twice),
            at=2,
        )
        ended = regatta(*TRAIN)
    assert ended.refused(3) == "interrupted"
    assert "saved: run/checkpoints/step-00000000.safetensors" in ended.err
    assert [path.name for path in Path("run/checkpoints").iterdir()] == [
        "step-00000000.safetensors"
    ]
    check_resumed(regatta, finished)


KILLED = """
import os, signal, sys
from orchestrator.cli import main
from orchestrator.train import disk, keeper

write = keeper.save_checkpoint

def killed(path, *arguments, **options):
    if path.name == "step-00000003.safetensors":
        disk.os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
    return write(path, *arguments, **options)

keeper.save_checkpoint = killed
main()
"""


def test_a_kill_inside_a_checkpoint_leaves_the_one_before(regatta, finished, mpi_environment):
    command = [sys.executable, "-c", KILLED, *TRAIN]
    ended = subprocess.run(command, env=mpi_environment, capture_output=True, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    names = sorted(path.name for path in Path("run/checkpoints").iterdir())
    assert names == [".step-00000003.safetensors.tmp", "step-00000000.safetensors"]
    assert regatta(*TRAIN, "--resume").code == 0
    assert not list(Path("run/checkpoints").glob(".*"))
    assert records("run") == records(finished)


def wait_until(true, seconds=60.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def processes(word):
    """Ids by rank of the processes that have a word among their arguments."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_text().split("\0")
            environment = (folder / "environ").read_text().split("\0")
        except OSError:
            continue
        if word in words:
            ranks = [item for item in environment if item.startswith("OMPI_COMM_WORLD_RANK=")]
            found[int(ranks[0].partition("=")[2]) if ranks else None] = int(folder.name)
    return found


@pytest.mark.parametrize("number", ["SIGKILL", "SIGSTOP"])
def test_a_lost_rank_ends_all(regatta, mpi_environment, number):
    """Killed: mpirun names it. Stalled: the others do, and what is safe."""
    setting = f"run.dir={Path.cwd() / 'run'}"
    settings = ["--set", setting, "--set", "train.epochs=100000", "--set", "collective.timeout_s=2"]
    command = python_ranks(2, ["-m", "orchestrator", "train", "tiny.yaml", *settings])
    metrics = Path("run/metrics.jsonl")
    with subprocess.Popen(
        command, env=mpi_environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            wait_until(lambda: metrics.exists() and metrics.stat().st_size > 0)
            os.kill(processes(setting)[1], getattr(signal, number))
            shown = process.communicate(timeout=60)[1]
        finally:
            if process.poll() is None:
                process.terminate()
    if number == "SIGKILL":
        assert process.returncode != 0
        assert re.search(r"rank 1 .*\n?.*signal 9", shown)
    else:
        assert process.returncode == 3
        assert re.search(
            r"regatta: rank 1 has not reached exchange \d+ \(.*(step|evaluation|checkpoint).*"
            r"; saved: step \d+\) for 2 s \(collective\.timeout_s\); waiting there: 0\n",
            shown,
        )
    wait_until(lambda: not processes(setting))
    assert regatta("fingerprint", "run").code == 0
