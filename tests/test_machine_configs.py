"""The virtual machines in configs/ load, and can be served beside each other."""

from pathlib import Path

import pytest

from orchestrator.virtual.serving.configuration import board_places, load_virtual_machine

FILES = sorted((Path(__file__).parents[1] / "configs").glob("machine_*.yaml"))
SIZES = {"machine_spinn3": (1, 4), "machine_spinn5": (1, 47), "machine_3boards": (3, 144)}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_machine_is_what_its_name_says(path: Path) -> None:
    config = load_virtual_machine(path)
    machine = config.machine()
    assert (machine.n_boards, machine.n_chips) == SIZES[path.stem]
    assert machine.is_connected


def test_their_addresses_differ() -> None:
    places = [place for path in FILES for place in board_places(load_virtual_machine(path))]
    assert len({place.address for place in places}) == len(places) == 5
    assert all(place.address in path_text() for place in places if place.slot == 0)


def path_text() -> str:
    """What the files say about themselves."""
    return "\n".join(path.read_text() for path in FILES)
