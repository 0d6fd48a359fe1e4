"""launch/train.sbatch on a real Slurm of one node: the same parameters as without it."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from slurm_node import missing_tools, slurm_node

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "launch" / "train.sbatch"
CONFIG = ROOT / "configs" / "digits_quickstart.yaml"


@pytest.fixture(scope="module")
def slurm():
    missing = missing_tools()
    if missing:
        pytest.skip(f"no Slurm ({', '.join(missing)}): apt-get install slurm-wlm munge")
    # Not in pytest's own folder: the path of a socket has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, slurm_node(Path(folder), 2) as env:
        yield {"SLURM_CONF": env["SLURM_CONF"]}


def training(run_dir):
    values = (f"run.dir={run_dir}", "train.max_steps=4")
    return [str(CONFIG), *(word for value in values for word in ("--set", value))]


def fingerprint(run_dir, env):
    last = max(Path(run_dir, "checkpoints").glob("step-*.safetensors"))
    shown = subprocess.run(
        [sys.executable, "-m", "orchestrator", "fingerprint", str(last)],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    return shown.stdout.split()[0]


def test_slurm_job_trains_the_same_parameters(slurm, launch_environment, tmp_path):
    env = {**launch_environment(), **slurm}
    env["PATH"] += os.pathsep + "/usr/sbin"
    output = tmp_path / "job.out"
    options = ["--wait", "--ntasks=2", f"--output={output}", f"--chdir={tmp_path}"]
    job = subprocess.run(
        ["sbatch", *options, str(SCRIPT), *training("slurm_run")],
        env=env,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert job.returncode == 0, job.stderr + (output.read_text() if output.exists() else "")
    assert "2 ranks" in output.read_text()
    alone = [sys.executable, "-m", "orchestrator", "train", *training(tmp_path / "alone")]
    subprocess.run(alone, env=env, capture_output=True, check=True, timeout=240)
    assert fingerprint(tmp_path / "slurm_run", env) == fingerprint(tmp_path / "alone", env)


def test_outside_a_job_the_script_says_so():
    env = {name: value for name, value in os.environ.items() if name != "SLURM_JOB_ID"}
    done = subprocess.run([SCRIPT, "x.yaml"], env=env, capture_output=True, text=True)
    assert done.returncode == 2
    assert "submit this file with sbatch" in done.stderr
