"""From SpiNNMachine's machines to ours, dead parts named."""

import numpy as np
import pytest
from spinn_machine import Chip, Router
from spinn_machine.link import Link as TheirLink
from spinn_utilities.config_holder import set_config

from orchestrator.boards.hardware.discovery import as_discovered
from orchestrator.machine import build
from orchestrator.machine.links import Link
from orchestrator.machine.machine import NO_FAULTS, Faults


@pytest.fixture
def their_version():
    """SpiNNMachine's board type 5 or 3, set as spinnman would."""
    from spinn_machine.config_setup import unittest_setup
    from spinn_machine.data import MachineDataView

    def version(number):
        unittest_setup()
        set_config("Machine", "version", str(number))
        return MachineDataView.get_machine_version()

    return version


def theirs(machine, version, *, busy=()):
    """Return a machine of ours as SpiNNMachine would have it after discovery."""
    found = version.create_machine(machine.width, machine.height)
    ethernet = [tuple(chip) for chip in machine.ethernet.tolist()]
    for x, y in np.argwhere(machine.cores > 0).tolist():
        links = []
        for link in Link:
            there = machine.neighbour(x, y, link)
            if there is not None:
                links.append(TheirLink(x, y, int(link), *there))
        nearest = ethernet[machine.board_at[x, y]]
        found.add_chip(
            Chip(
                x=x,
                y=y,
                scamp_processors=[0],
                placable_processors=[
                    p for p in range(1, machine.cores[x, y]) if (x, y, p) not in busy
                ],
                router=Router(links, 1023),
                sdram=123469792,
                nearest_ethernet_x=nearest[0],
                nearest_ethernet_y=nearest[1],
                ip_address=f"10.0.{x}.{y}" if (x, y) == nearest else None,
            )
        )
    return found


def maps(machine, faults=NO_FAULTS):
    """Return which physical core each virtual one is, the highest left out where one is missing."""
    table = {}
    for x, y in np.argwhere(machine.cores > 0).tolist():
        gone = {core for cx, cy, core in faults.cores if (cx, cy) == (x, y)}
        numbers = [n for n in range(18) if n not in gone][: machine.cores[x, y]]
        table[x, y] = bytes(numbers + [255] * (20 - len(numbers)))
    return table


MACHINES = {
    "SpiNN-3": (3, build.spinn3, ()),
    "SpiNN-5": (5, build.single_board, ()),
    "triad": (5, build.torus, (1, 1)),
    "open triad": (5, build.triads, (1, 1, (False, False))),
    "tall triad": (5, build.triads, (1, 1, (False, True))),
    "six boards": (5, build.torus, (2, 1)),
}


@pytest.mark.parametrize("name", MACHINES)
def test_a_whole_machine_is_found_as_it_is_built(name, their_version):
    number, make, arguments = MACHINES[name]
    machine = make(*arguments)
    found = as_discovered(theirs(machine, their_version(number)), maps(machine))
    assert found.dead == Faults()
    assert found.machine.wraps == machine.wraps
    for field in ("boards", "board_at", "cores", "links"):
        np.testing.assert_array_equal(getattr(found.machine, field), getattr(machine, field))
    assert len(found.cores) == machine.n_application_cores
    assert set(found.ethernet) == {tuple(chip) for chip in machine.ethernet.tolist()}
    assert all(found.board_of[core.x, core.y] in found.ethernet for core in found.cores)


def test_dead_parts_are_named(their_version):
    faults = Faults(
        chips=frozenset({(2, 2)}),
        cores=frozenset({(0, 1, 9), (5, 5, 3)}),
        links=frozenset({(0, 0, Link.EAST)}),
    )
    machine = build.single_board(faults)
    found = as_discovered(theirs(machine, their_version(5)), maps(machine, faults))
    assert found.dead.chips == {(2, 2)}
    assert found.dead.cores == faults.cores
    assert found.dead.links == {(0, 0, Link.EAST), (1, 0, Link.WEST)}
    np.testing.assert_array_equal(found.machine.links, machine.links)


def test_a_core_that_is_not_idle_is_dead(their_version):
    machine = build.single_board()
    found = as_discovered(theirs(machine, their_version(5), busy={(4, 4, 6)}), maps(machine))
    assert found.dead.cores == {(4, 4, 6)}
    assert found.machine.cores[4, 4] == 17
    assert (4, 4, 6) not in found.cores


def test_a_board_that_is_missing_is_no_fault(their_version):
    machine = build.torus(2, 1, Faults(boards=frozenset({(1, 0, 2)})))
    found = as_discovered(theirs(machine, their_version(5)), maps(machine))
    assert found.dead == Faults()
    assert found.machine.n_boards == 5
