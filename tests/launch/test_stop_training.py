"""Ctrl-C in a real training: a checkpoint of the last step, a message, and no process left."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from orchestrator.train.checkpoint import load_checkpoint

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


def test_ctrl_c_saves_the_last_step(launch_environment, tmp_path):
    folder = tmp_path / "run"
    setting = f"run.dir={folder}"
    command = [ROOT / "launch" / "mpirun.sh", "2", "train", CONFIG, "--set", setting]
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
