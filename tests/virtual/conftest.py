"""Fixtures for the tests of the emulated core."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from programs import Program, assemble_program

from orchestrator.errors import MissingToolError
from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.core import Core
from orchestrator.virtual.image import Image, build_image, find_compiler


@pytest.fixture(scope="session")
def image() -> Image:
    """The program of a core; without an ARM compiler there is none."""
    try:
        find_compiler()
    except MissingToolError as error:
        pytest.skip(str(error))
    return build_image()


@pytest.fixture
def assemble(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Program]:
    """Make a program of assembly source."""
    return lambda source: assemble_program(source, tmp_path_factory.mktemp("program"))


@pytest.fixture
def boot(assemble: Callable[[str], Program]) -> Iterator[Callable[..., Core]]:
    """Boot a core with a program; it has run to its first sleep. Options are those of `Core`."""
    cores = []

    def start(source: str, *, chip: ChipMemory | None = None, number: int = 1, **options: Any):
        core = Core(chip or ChipMemory(1 << 20), number, assemble(source), **options)
        cores.append(core)
        core.boot(max_cycles=1_000_000)
        return core

    yield start
    for core in cores:
        core.close()
