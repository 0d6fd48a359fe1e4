"""The configuration of spalloc_server for a virtual machine: what the server reads from it."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from orchestrator.errors import ArgumentError
from orchestrator.virtual.serving.configuration import parse_virtual_machine
from orchestrator.virtual.spalloc_configuration import main, spalloc_configuration


@pytest.fixture
def read(monkeypatch):
    """Return the machine in a configuration, read as the server reads it: by running it."""
    links = ModuleType("spalloc_server.links")
    links.Links = int
    monkeypatch.setitem(sys.modules, "spalloc_server", ModuleType("spalloc_server"))
    monkeypatch.setitem(sys.modules, "spalloc_server.links", links)

    def machine(text):
        names = {"Configuration": SimpleNamespace, "Machine": SimpleNamespace}
        exec(spalloc_configuration(parse_virtual_machine(text)), names)
        (found,) = names["configuration"].machines
        return found

    return machine


def test_boards_have_their_frames_and_addresses(read):
    found = read("{shape: triads, triads: [2, 1], base_address: 127.0.8.0, boards_per_frame: 3}")
    assert (found.width, found.height, found.tags) == (2, 1, {"default"})
    assert found.board_locations[1, 0, 2] == (0, 1, 2)
    assert found.spinnaker_ips[1, 0, 2] == "127.0.9.17"
    assert found.bmp_ips == {(0, 0): "127.0.8.0", (0, 1): "127.0.9.0"}
    assert found.dead_boards == set() and found.dead_links == set()


def test_one_board_is_a_triad_without_the_others(read):
    found = read("{shape: spinn5, base_address: 127.0.8.0}")
    assert found.dead_boards == {(0, 0, 1), (0, 0, 2)} and found.dead_links == set()
    assert found.spinnaker_ips == {(0, 0, 0): "127.0.8.1"}


def test_edges_that_do_not_close_and_dead_parts_are_dead(read):
    found = read("{shape: triads, torus: [false, false], dead: {boards: [[0, 0, 1]]}}")
    assert found.dead_boards == {(0, 0, 1)}
    assert set(found.board_locations) == {(0, 0, 0), (0, 0, 2)}
    # Of six links each, boards 0 and 2 have only those to each other, north of 0.
    everything = {(0, 0, z, link) for z in (0, 2) for link in range(6)}
    assert found.dead_links == everything - {(0, 0, 0, 2), (0, 0, 2, 5)}


def test_small_boards_are_refused():
    with pytest.raises(ArgumentError, match="spinn3"):
        spalloc_configuration(parse_virtual_machine("{shape: spinn3}"))


def test_bad_input_is_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["spalloc_configuration", str(tmp_path / "no.yaml")])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("spalloc_configuration: ")
