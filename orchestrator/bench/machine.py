"""What a measurement ran on, and the memory settings and memory use of a process."""

import ctypes
import os
import platform
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from orchestrator import __version__

# malloc.h: parameters of mallopt.
M_TRIM_THRESHOLD: Final = -1
M_TOP_PAD: Final = -2
M_MMAP_MAX: Final = -4
KEEPING: Final = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: -1, M_TOP_PAD: 64 << 20}
"""No mapping of single tensors, no memory given back (-1: the largest unsigned threshold)."""
GLIBC_DEFAULTS: Final = {M_MMAP_MAX: 65_536, M_TRIM_THRESHOLD: 128 << 10, M_TOP_PAD: 0}


def machine() -> dict[str, Any]:
    """Return the processor, its cores, the versions, and the load of the last minute."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "regatta": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def processor(table: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name, with family and model number where the name tells little."""
    if not table.exists():
        return platform.processor() or platform.machine()
    first = table.read_text().split("\n\n", 1)[0]
    facts = {
        key.strip(): value.strip()
        for key, found, value in (line.partition(":") for line in first.splitlines())
        if found
    }
    name = facts.get("model name", platform.machine())
    if "cpu family" not in facts:
        return name
    return f"{name} (family {facts['cpu family']}, model {facts['model']})"


@contextmanager
def freed_memory_kept() -> Iterator[bool]:
    """Let malloc keep what is freed, so that large tensors cost no page faults when made again.

    PyTorch makes every tensor anew; with glibc's defaults each large one is mapped and unmapped,
    which a user who tunes malloc does not pay. Gives False where the C library is another.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        yield False
        return
    done = [mallopt(name, value) for name, value in KEEPING.items()]
    try:
        yield all(answer == 1 for answer in done)
    finally:
        for name, value in GLIBC_DEFAULTS.items():
            mallopt(name, value)


def peak_mib() -> float:
    """Return the most memory this process has had resident so far, MiB."""
    status = Path("/proc/self/status")
    if not status.exists():
        kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return kib / 1024
    # getrusage would count what the parent held when it started this process.
    lines = status.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
