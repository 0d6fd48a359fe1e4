"""Kernel sets of other processors: built by a cross compiler, run under an emulator.

What a cross-built library computes must be what this machine's portable set computes, which the
other tests here hold to the oracle.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.boards.kernel_library import library_path

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("convolution_digest.c")


@dataclass(frozen=True)
class Target:
    """A processor that is not this machine's, and the Debian packages that bring its tools."""

    compiler: str
    emulator: tuple[str, ...]
    kernel_sets: tuple[str, ...]
    packages: str


TARGETS = {
    "aarch64": Target(
        "aarch64-linux-gnu-gcc",
        ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"),
        ("portable", "neon"),
        "gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user",
    )
}


def compiles(compiler: str) -> bool:
    """Return whether the compiler is there and finds its C library."""
    if shutil.which(compiler) is None:
        return False
    command = [compiler, "-include", "stdio.h", "-fsyntax-only", "-x", "c", os.devnull]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def build_program(compiler: str, program: Path) -> Path:
    strict = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"]
    include = f"-I{ROOT / 'board_kernels' / 'include'}"
    subprocess.run([compiler, *strict, include, PROGRAM, "-ldl", "-o", program], check=True)
    return program


def digest(*command: Path | str) -> list[str]:
    """Return the program's lines with their cases: what was run, its hash."""
    result = subprocess.run([*command], stdout=subprocess.PIPE, text=True, check=True)
    lines, case = [], ""
    for line in result.stdout.splitlines():
        if line.startswith(" "):
            lines.append(f"{case}:{line}")
        else:
            case = line
    return lines


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What this machine's portable set computes."""
    portable = library_path("portable")
    if not portable.exists() or shutil.which("cc") is None:
        pytest.skip("no C compiler: install gcc")
    program = build_program("cc", tmp_path_factory.mktemp("here") / "digest")
    lines = digest(program, portable)
    assert len(set(lines)) == len(lines) > 300
    return lines


@pytest.mark.parametrize("machine", TARGETS)
def test_convolutions_of_other_processors(
    machine: str, expected: list[str], tmp_path: Path
) -> None:
    target = TARGETS[machine]
    if not compiles(target.compiler) or shutil.which(target.emulator[0]) is None:
        pytest.skip(f"kernel sets of {machine}: install {target.packages}")
    subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build_ext", "--build-lib", tmp_path],
        cwd=ROOT, env={**os.environ, "CC": target.compiler}, check=True,
    )  # fmt: skip
    program = build_program(target.compiler, tmp_path / "digest")
    built = tmp_path / "orchestrator" / "boards"
    assert {p.name for p in built.iterdir()} == {
        library_path(name).name for name in target.kernel_sets
    }
    for name in target.kernel_sets:
        assert digest(*target.emulator, program, built / library_path(name).name) == expected
