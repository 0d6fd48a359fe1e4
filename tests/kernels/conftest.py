"""Every kernel set this machine runs, alone and with threads."""

import pytest

from orchestrator.boards.kernel_library import KERNEL_SETS, available_sets
from orchestrator.boards.kernels_native import NativeKernels, open_kernels
from orchestrator.errors import MissingToolError


def _open(kernel_set: str, threads: int) -> NativeKernels:
    try:
        available = available_sets()
    except MissingToolError as error:
        pytest.skip(str(error))
    if kernel_set not in available:
        pytest.skip(f"kernel set {kernel_set}: this machine has {', '.join(available)}")
    return open_kernels(threads, kernel_set)


@pytest.fixture(scope="session", params=KERNEL_SETS)
def kernels(request: pytest.FixtureRequest) -> NativeKernels:
    """Each kernel set on one thread."""
    return _open(request.param, 1)


@pytest.fixture(scope="session", params=KERNEL_SETS)
def team(request: pytest.FixtureRequest) -> NativeKernels:
    """Each kernel set on three threads, for cases large enough to be split."""
    return _open(request.param, 3)
