"""Ctrl-C in a real training: a checkpoint of the last step, a message, and no process left."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from orchestrator.collectives import SingleCollective
from orchestrator.config import load_config
from orchestrator.train.checkpoint import load_checkpoint
from orchestrator.train.session import run_training

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "configs" / "digits_quickstart.yaml"


def steps_recorded(folder):
    file = folder / "metrics.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    steps = [json.loads(line).get("step", 0) for line in lines if line.endswith("}")]
    return max(steps, default=0)


def processes_with(word):
    """The ids of processes that have a word among their arguments."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word in file.read_bytes().decode(errors="replace").split("\0"):
                found.append(int(file.parent.name))
        except OSError:
            continue
    return found


def finish(folder, *, resume):
    """Train to the same end on one rank, in this process."""
    config = load_config(CONFIG, [f"run.dir={folder}", "train.max_steps=60"])
    summary, _ = run_training(config, SingleCollective(), name="", resume=resume, brief=True)
    return summary.fingerprint


def test_ctrl_c_saves_the_last_step(launch_environment, tmp_path):
    """Resumed by one rank, it ends with the bits of a training that nobody stopped."""
    folder = tmp_path / "run"
    setting = f"run.dir={folder}"
    settings = ["--set", setting, "--set", "train.max_steps=60"]
    command = [ROOT / "launch" / "mpirun.sh", "2", "train", CONFIG, *settings]
    with subprocess.Popen(
        command,
        env=launch_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        end = time.monotonic() + 120
        while steps_recorded(folder) < 2:
            assert process.poll() is None and time.monotonic() < end, process.stdout.read()
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        output = process.communicate(timeout=120)[0]
    assert process.returncode == 3, output
    last = max((folder / "checkpoints").glob("step-*.safetensors"))
    step = load_checkpoint(last).step
    assert step == steps_recorded(folder) >= 2
    assert f"interrupted after step {step}" in output
    time.sleep(1)
    assert processes_with(setting) == []
    assert finish(folder, resume=True) == finish(tmp_path / "whole", resume=False)
