"""Building, choosing and calling the kernel sets; what callers may get wrong."""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from orchestrator.boards import kernel_library
from orchestrator.boards.kernel_library import KERNEL_SETS, available_sets, choose_set
from orchestrator.boards.kernels_native import KERNELS_VARIABLE, NativeKernels, open_kernels
from orchestrator.errors import ArgumentError, MissingToolError
from orchestrator.model.ops_loss import exponential_table, logarithm_table
from orchestrator.model.shapes import ConvShape

C_ROOT = Path(__file__).parents[2] / "board_kernels"
SOURCES = sorted([*C_ROOT.glob("kernels/*.c"), *C_ROOT.glob("runtime/*.c")])
V3, V4 = ["-march=x86-64-v3"], ["-march=x86-64-v4"]
TUNED = {
    "neon": ("aarch64", []),
    "avx2": ("x86_64", V3),
    "avxvnni": ("x86_64", [*V3, "-mavxvnni"]),
    "avx512": ("x86_64", V4),
    "avx512vnni": ("x86_64", [*V4, "-mavx512vnni"]),
}


@pytest.fixture(scope="session")
def kernels(native: NativeKernels) -> NativeKernels:
    return native


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.name)
def test_sources_are_clean_c11(source: Path, tmp_path: Path) -> None:
    here = platform.machine()
    machine, flags = TUNED.get(source.stem.rpartition("_")[2], (here, []))
    compiler = shutil.which("cc" if machine == here else f"{machine}-linux-gnu-gcc")
    if compiler is None:
        pytest.skip(f"no C compiler for {machine}: install gcc or gcc-{machine}-linux-gnu")
    strict = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1", *flags]
    command = [compiler, *strict, f"-I{C_ROOT / 'include'}", "-c", str(source)]
    subprocess.run([*command, "-o", str(tmp_path / "object.o")], check=True)


OLD_COMPILER = """#!/bin/sh
case " $* " in
*" -dumpmachine "*) echo x86_64-linux-gnu; exit ;;
*" -mavxvnni "*) echo "unrecognized option '-mavxvnni'" >&2; exit 1 ;;
esac
while [ "$1" != -o ]; do shift; done
: >"$2"
"""


def test_a_compiler_that_is_too_old_for_a_set_leaves_it_out(tmp_path: Path) -> None:
    compiler = tmp_path / "old-cc"
    compiler.write_text(OLD_COMPILER)
    compiler.chmod(0o755)
    result = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--build-lib", tmp_path / "built"],
        cwd=C_ROOT.parent, env={**os.environ, "CC": str(compiler)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert f"leaving out the avxvnni kernels: {compiler} or its assembler is too old" in (
        result.stdout + result.stderr
    )
    names = {p.stem.removeprefix("_kernels_") for p in tmp_path.glob("built/*/boards/*.so")}
    assert names == {"portable", "avx2", "avx512", "avx512vnni"}


def test_the_best_set_is_taken_unless_one_is_named(
    kernels: NativeKernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KERNELS_VARIABLE, raising=False)
    assert open_kernels().name == available_sets()[-1]
    monkeypatch.setenv(KERNELS_VARIABLE, kernels.name)
    assert open_kernels().name == kernels.name


@pytest.mark.usefixtures("kernels")
def test_sets_that_cannot_be_used_are_refused_with_those_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(KERNELS_VARIABLE, "mmx")
    with pytest.raises(ArgumentError, match="'mmx' does not exist: this machine has portable"):
        open_kernels()
    foreign = "avx2" if platform.machine() == "aarch64" else "neon"
    monkeypatch.setenv(KERNELS_VARIABLE, foreign)
    with pytest.raises(ArgumentError, match=f"'{foreign}' is not for this processor: this machine"):
        open_kernels()


def test_sets_are_numbered_as_in_c() -> None:
    header = (C_ROOT / "include" / "bk_processor.h").read_text()
    assert tuple(re.findall(r"BK_SET_(\w+)", header)) == tuple(n.upper() for n in KERNEL_SETS)


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="no /proc/cpuinfo to compare with")
@pytest.mark.usefixtures("kernels")
def test_sets_are_those_that_the_operating_system_sees() -> None:
    flags = set(Path("/proc/cpuinfo").read_text().split())
    v3 = {"avx2", "fma", "bmi1", "bmi2"}
    v4 = v3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
    needs = {
        "neon": {"asimd"},
        "avx2": v3,
        "avxvnni": {*v3, "avx_vnni"},
        "avx512": v4,
        "avx512vnni": {*v4, "avx512_vnni"},
    }
    for name, needed in needs.items():
        if kernel_library.library_path(name).exists():
            assert (name in available_sets()) == (needed <= flags), name


def test_kernels_that_were_not_built_say_how_to_build_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kernel_library, "library_path", lambda name: tmp_path / f"{name}.so")
    kernel_library.load_library.cache_clear()
    try:
        with pytest.raises(MissingToolError, match="not built .*python setup.py build_ext"):
            choose_set(None)
    finally:
        kernel_library.load_library.cache_clear()


@pytest.mark.parametrize("threads", [0, -1, 100000])
def test_a_senseless_number_of_threads_is_refused(kernels: NativeKernels, threads: int) -> None:
    with pytest.raises(ArgumentError, match="threads is"):
        open_kernels(threads, kernels.name)


def test_results_do_not_depend_on_threads_or_set(kernels: NativeKernels) -> None:
    shape = ConvShape.of(2, 28, 28, 32, 48, 3, 3, 1, 1)
    rng = np.random.default_rng(0)
    x = rng.integers(-4095, 4096, shape.x_shape).astype(np.int16)
    w = rng.integers(-4095, 4096, shape.w_shape).astype(np.int16)
    expected, y = np.zeros((2, *shape.y_shape), np.int16)
    open_kernels(1, KERNEL_SETS[0]).conv_forward(shape, x, w, None, 18, expected)
    for threads in (2, 5):
        open_kernels(threads, kernels.name).conv_forward(shape, x, w, None, 18, y)
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((1, 4, 4, 2), np.int32), "x is int32: it must be an array of int16"),
        (
            np.zeros((1, 4, 4, 3), np.int16),
            r"x has shape \(1, 4, 4, 3\): it must be \(1, 4, 4, 2\)",
        ),
        (np.zeros((1, 4, 2, 4), np.int16).transpose(0, 1, 3, 2), "x is not contiguous"),
        ([1, 2], "x is list: it must be an array of int16"),
    ],
)
def test_arrays_that_c_would_misread_are_refused(
    kernels: NativeKernels, wrong: np.ndarray, message: str
) -> None:
    shape = ConvShape.of(1, 4, 4, 2, 1, 1, 1)
    w, y = np.zeros(shape.w_shape, np.int16), np.zeros(shape.y_shape, np.int16)
    with pytest.raises(ArgumentError, match=message):
        kernels.conv_forward(shape, wrong, w, None, 0, y)


def test_an_output_that_is_read_only_is_refused(kernels: NativeKernels) -> None:
    t, out = np.zeros(3, np.int32), np.zeros(3, np.int16)
    out.flags.writeable = False
    with pytest.raises(ArgumentError, match="out is read-only"):
        kernels.quantise(t, 0, 4095, out)


def test_tables_in_c_are_the_oracles() -> None:
    text = (C_ROOT / "kernels" / "softmax_tables.h").read_text()
    rows = [line for line in text.splitlines() if line.startswith("    ")]
    numbers = [int(n) for line in rows for n in line.rstrip(",").split(",")]
    assert numbers == [*exponential_table(), *logarithm_table()]
