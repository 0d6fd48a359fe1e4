"""Coordinates, links and cables against SpiNNMachine, the tools' own description of machines."""

import numpy as np
import pytest

from orchestrator.machine import Faults, Link, board_graph, spinn3, torus
from orchestrator.machine.boards import FPGA
from orchestrator.machine.geometry import CABLE_LINKS, board_of

pytest.importorskip("spinn_machine", reason="pip install SpiNNMachine")

from spinn_machine import virtual_machine
from spinn_machine.config_setup import unittest_setup
from spinn_machine.data import MachineDataView
from spinn_utilities.config_holder import set_config


def peer(version: int, width: int, height: int, **down: str):
    """Return SpiNNMachine's machine of this size."""
    unittest_setup()
    set_config("Machine", "version", str(version))
    for option, value in down.items():
        set_config("Machine", option, value)
    return virtual_machine(width, height)


def assert_same(ours, theirs) -> None:
    working = {tuple(chip) for chip in np.argwhere(ours.cores > 0).tolist()}
    assert working == {(chip.x, chip.y) for chip in theirs.chips}
    for chip in theirs.chips:
        links = {
            (link, ours.neighbour(chip.x, chip.y, link))
            for link in Link
            if ours.links[chip.x, chip.y, link]
        }
        assert links == {
            (link.source_link_id, (link.destination_x, link.destination_y))
            for link in chip.router.links
        }
        assert ours.cores[chip.x, chip.y] == chip.n_processors
        ethernet = ours.ethernet[ours.board_at[chip.x, chip.y]]
        assert tuple(ethernet) == (chip.nearest_ethernet_x, chip.nearest_ethernet_y)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 1), (2, 3)])
def test_tori(width, height):
    assert_same(torus(width, height), peer(5, 12 * width, 12 * height))


def test_dead_chips_and_links():
    faults = Faults(
        chips=frozenset({(3, 3), (11, 5)}), links=frozenset({(1, 0, Link.EAST), (0, 0, Link.SOUTH)})
    )
    theirs = peer(5, 12, 12, down_chips="3,3:11,5", down_links="1,0,0:2,0,3:0,0,5:0,11,2")
    assert_same(torus(1, 1, faults), theirs)


def test_a_spinn3_board():
    assert_same(spinn3(), peer(3, 2, 2))


def test_boards_of_chips():
    theirs = peer(5, 24, 24)
    for chip in theirs.chips:
        x, y, z = board_of(chip.x, chip.y)
        ethernet = torus(2, 2).ethernet[6 * (x % 2) + 3 * (y % 2) + z]
        assert tuple(ethernet) == (chip.nearest_ethernet_x, chip.nearest_ethernet_y)


def test_cables_are_the_fpgas_channels():
    peer(5, 12, 12)
    theirs = MachineDataView.get_machine_version().fpga_links()
    for direction, (fpga, first, _) in FPGA.items():
        channels = {
            (x, y, link) for x, y, link, f, c in theirs if f == fpga and first <= c < first + 8
        }
        assert channels == set(CABLE_LINKS[direction])
    assert board_graph(torus(2, 2)).channels.sum() == 12 * len(theirs)
