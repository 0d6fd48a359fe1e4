"""launch/mpirun.sh: the command it runs, and what Ctrl-C does."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RANKS = Path(__file__).parent / "ranks"

SCRIPT = ROOT / "launch" / "mpirun.sh"


def run_script(*arguments, env, **options):
    return subprocess.run(
        [SCRIPT, *arguments], env=env, capture_output=True, text=True, timeout=60, **options
    )


def test_dry_run_prints_the_command(launch_environment, tmp_path):
    env = {**launch_environment(), "DRY_RUN": "1", "MPIRUN_OPTIONS": "--hostfile my_hosts"}
    done = run_script("3", "train", "a file.yaml", "--set", "train.seed=1", env=env, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.strip() == (
        "mpirun -n 3 --oversubscribe --bind-to none --hostfile my_hosts "
        "regatta train a\\ file.yaml --set train.seed=1"
    )


@pytest.mark.parametrize("arguments", [(), ("2",), ("0", "train"), ("train", "x.yaml")])
def test_wrong_arguments_show_the_usage(launch_environment, arguments):
    done = run_script(*arguments, env=launch_environment())
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")


def test_missing_installation_is_named(tmp_path):
    script = tmp_path / "launch" / "mpirun.sh"
    script.parent.mkdir()
    shutil.copy(SCRIPT, script)
    done = subprocess.run(
        [script, "2", "train"], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True
    )
    assert done.returncode == 4
    assert "run launch/quickstart.sh" in done.stderr


def wait_until(true, seconds=30.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def is_running(process_id):
    with contextlib.suppress(FileNotFoundError):
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z"
    return False


def ids_when_started(folder, n_ranks):
    files = [folder / f"started.{rank}" for rank in range(n_ranks)]
    wait_until(lambda: all(file.is_file() and file.read_text() for file in files))
    return [int(file.read_text()) for file in files]


@contextlib.contextmanager
def started(command, env):
    """Run a command as a terminal would: a process group of its own, ended with the test."""
    with subprocess.Popen(
        command, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            for _ in range(2):  # the second ends mpirun, which has a session of its own
                if process.poll() is None:
                    process.terminate()
                    time.sleep(0.5)


def test_ctrl_c_lets_ranks_save(launch_environment, tmp_path):
    env = launch_environment(RANKS / "until_stopped.py", tmp_path, "1.5")
    with started([SCRIPT, "2", "train"], env) as process:
        ids = ids_when_started(tmp_path, 2)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 3
    assert (tmp_path / "saved.0").exists() and (tmp_path / "saved.1").exists()
    wait_until(lambda: not any(map(is_running, ids)))


def test_second_ctrl_c_ends_at_once(launch_environment, tmp_path):
    env = launch_environment(RANKS / "until_stopped.py", tmp_path, "600")
    with started([SCRIPT, "2", "train"], env) as process:
        ids = ids_when_started(tmp_path, 2)
        for _ in range(2):
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.5)
        process.communicate(timeout=60)
    assert process.returncode != 0
    assert not (tmp_path / "saved.0").exists()
    wait_until(lambda: not any(map(is_running, ids)))


def test_ctrl_c_on_plain_mpirun_leaves_no_orphan(launch_environment, tmp_path):
    env = launch_environment(RANKS / "until_stopped.py", tmp_path, "600")
    command = ["mpirun", "-n", "2", "--oversubscribe", "--bind-to", "none", "regatta"]
    with started(command, env) as process:
        ids = ids_when_started(tmp_path, 2)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode != 0
    wait_until(lambda: not any(map(is_running, ids)))
