"""What a measurement ran on, and what it did to this process's memory settings."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from orchestrator.bench.machine import machine, peak_mib, processor

FAULTS = """
import resource
from contextlib import nullcontext
import numpy as np
from orchestrator.bench.machine import freed_memory_kept
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.empty(64 << 20, np.uint8).fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
with freed_memory_kept() as kept:
    tuned = faults()
print(kept, tuned, faults())
"""


def test_machine_is_named() -> None:
    facts = machine()
    assert facts["processor"] and facts["cores"] >= 1 and facts["load"] >= 0


def test_processor_falls_back_to_the_architecture(tmp_path: Path) -> None:
    assert processor(tmp_path / "absent")
    (tmp_path / "arm").write_text("processor\t: 0\nBogoMIPS\t: 50.00\n\nprocessor\t: 1\n")
    assert processor(tmp_path / "arm")
    (tmp_path / "x86").write_text("cpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Fast\n")
    assert processor(tmp_path / "x86") == "Fast (family 6, model 143)"


def test_kept_memory_costs_no_faults_when_used_again() -> None:
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True)
    kept, tuned, untuned = done.stdout.split()
    if kept == "False":
        pytest.skip("the C library is not glibc: malloc cannot be tuned")
    assert 5 * int(tuned) < int(untuned)


def test_peak_grows_with_use() -> None:
    before = peak_mib()
    held = np.ones((int(before) + 64) << 20, np.uint8)
    assert peak_mib() >= held.nbytes / 2**20 > before
