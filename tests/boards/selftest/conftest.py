"""Small machines in this process for the self-test."""

from collections.abc import Callable, Iterator

import pytest
from in_process import InProcess

from orchestrator.errors import MissingToolError
from orchestrator.machine import spinn3
from orchestrator.virtual.image import Image, build_image


@pytest.fixture(scope="session")
def image() -> Image:
    """The program of a core; without an ARM compiler there is none."""
    try:
        return build_image()
    except MissingToolError as error:
        pytest.skip(str(error))


@pytest.fixture
def open_door(image: Image) -> Iterator[Callable[..., InProcess]]:
    """Open four chips; `cores` and `dead` are those of `InProcess`."""
    doors = []

    def open_(cores: tuple[int, ...] = (1,), **options) -> InProcess:
        doors.append(InProcess(spinn3(), image, cores, **options))
        return doors[-1]

    yield open_
    for door in doors:
        door.close()
