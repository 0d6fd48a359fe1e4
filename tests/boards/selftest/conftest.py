"""Small machines in this process for the self-test."""

from collections.abc import Callable, Iterator

import pytest
from in_process import InProcess

from orchestrator.boards.hardware.selftest import run as selftest_run
from orchestrator.boards.hardware.selftest.cases import every_case
from orchestrator.boards.hardware.selftest.recording import Recording, record
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


@pytest.fixture(scope="session")
def recording(image: Image) -> Recording:
    """All cases for this image, recorded once."""
    return record(every_case(), image.symbols)


@pytest.fixture
def open_door(
    image: Image, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., InProcess]]:
    """Open four chips; `cores` and `dead` are those of `InProcess`."""
    monkeypatch.setattr(selftest_run, "record", lambda cases, symbols: recording)
    doors = []

    def open_(cores: tuple[int, ...] = (1,), **options) -> InProcess:
        doors.append(InProcess(spinn3(), image, cores, **options))
        return doors[-1]

    yield open_
    for door in doors:
        door.close()
