"""Building, choosing and calling the kernel sets; what callers may get wrong."""

import platform
import shutil
import subprocess
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
TUNED = {
    "avx2": ["-march=x86-64-v3"],
    "avx512": ["-march=x86-64-v4"],
    "avx512vnni": ["-march=x86-64-v4", "-mavx512vnni"],
}


@pytest.mark.parametrize("source", sorted(C_ROOT.glob("*/*.c")), ids=lambda p: p.name)
def test_sources_are_clean_c11(source: Path, tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: install gcc")
    machine = TUNED.get(source.stem.rpartition("_")[2], [])
    if machine and platform.machine() != "x86_64":
        pytest.skip(f"{source.name} is for x86-64")
    strict = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1", *machine]
    command = [compiler, *strict, f"-I{C_ROOT / 'include'}", "-c", str(source)]
    subprocess.run([*command, "-o", str(tmp_path / "object.o")], check=True)


def test_the_best_set_is_taken_unless_one_is_named(
    kernels: NativeKernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KERNELS_VARIABLE, raising=False)
    assert open_kernels().name == available_sets()[-1]
    monkeypatch.setenv(KERNELS_VARIABLE, kernels.name)
    assert open_kernels().name == kernels.name


@pytest.mark.usefixtures("kernels")
def test_an_unknown_set_is_refused_with_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KERNELS_VARIABLE, "neon")
    with pytest.raises(ArgumentError, match="'neon' cannot be used: this machine has portable"):
        open_kernels()


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
