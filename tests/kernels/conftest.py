"""Every kernel set this machine runs, alone and with threads; the kernels of an emulated core."""

import pytest

from orchestrator.boards.kernel_library import KERNEL_SETS, available_sets
from orchestrator.boards.kernels import Kernels
from orchestrator.boards.kernels_native import NativeKernels, open_kernels
from orchestrator.errors import MissingToolError
from orchestrator.virtual.arm_kernels import ArmKernels
from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.core import Core
from orchestrator.virtual.image import build_image

ARM = "arm968"
_SDRAM_BYTES = 64 << 20
_SLOW_DMA = 0.25
"""Bytes per cycle, a sixteenth of a chip's bandwidth: a tensor used before it is there shows."""


def _open(kernel_set: str, threads: int) -> NativeKernels:
    try:
        available = available_sets()
    except MissingToolError as error:
        pytest.skip(str(error))
    if kernel_set not in available:
        pytest.skip(f"kernel set {kernel_set}: this machine has {', '.join(available)}")
    return open_kernels(threads, kernel_set)


def _open_arm() -> ArmKernels:
    try:
        core = Core(ChipMemory(_SDRAM_BYTES), 1, build_image(), dma_bytes_per_cycle=_SLOW_DMA)
        return ArmKernels(core)
    except MissingToolError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session", params=KERNEL_SETS)
def native(request: pytest.FixtureRequest) -> NativeKernels:
    """Each kernel set on one thread."""
    return _open(request.param, 1)


@pytest.fixture(scope="session", params=[*KERNEL_SETS, ARM])
def kernels(request: pytest.FixtureRequest) -> Kernels:
    """Each kernel set on one thread, and an emulated core."""
    return _open_arm() if request.param == ARM else _open(request.param, 1)


@pytest.fixture(scope="session", params=KERNEL_SETS)
def team(request: pytest.FixtureRequest) -> NativeKernels:
    """Each kernel set on three threads, for cases large enough to be split."""
    return _open(request.param, 3)
