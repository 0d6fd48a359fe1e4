"""Looking at virtual machines: what is there and what it does, without a change to it."""

import pytest

from orchestrator.boards.hardware.failures import BoardDead
from orchestrator.boards.hardware.look import look
from orchestrator.errors import ArgumentError
from orchestrator.machine import Link
from orchestrator.virtual.serving.configuration import DeadConfig, VirtualMachineConfig
from orchestrator.virtual.serving.machine import VirtualMachine
from orchestrator.wire.numbers import CoreState


def machine(third: int, **settings) -> VirtualMachine:
    """Serve a machine at 127.1.THIRD.0 and up, whose cores execute nothing."""
    return VirtualMachine(VirtualMachineConfig(base_address=f"127.1.{third}.0", **settings))


def test_a_board_with_dead_parts() -> None:
    dead = DeadConfig(chips=((3, 3),), cores=((2, 2, 5),), links=((1, 1, 2),))
    with machine(8, shape="spinn5", booted=True, dead=dead):
        sight = look("127.1.8.1")
    assert sight is not None
    expected = VirtualMachineConfig(shape="spinn5", dead=dead).machine()
    assert (sight.machine.cores == expected.cores).all()
    assert (sight.machine.links == expected.links).all()
    assert sight.dead.chips == {(3, 3)}
    assert {(x, y) for x, y, _ in sight.dead.cores} == {(2, 2)}
    assert sight.dead.links == {(1, 1, Link.NORTH), (1, 2, Link.SOUTH)}
    assert sight.ethernet == {(0, 0): "127.1.8.1"}
    assert len(sight.states) == 47
    assert sight.states[0, 0] == (CoreState.IDLE,) * 17
    assert len(sight.states[2, 2]) == 16


def test_three_boards_and_a_chip_that_has_died() -> None:
    with machine(9, shape="triads", booted=True) as served:
        served.kill_chip(5, 5)
        sight = look("127.1.9.1")
    assert sight is not None
    assert sight.machine.n_boards == 3
    assert sight.machine.n_chips == 143
    assert sight.dead.chips == {(5, 5)}
    assert sorted(sight.ethernet.values()) == ["127.1.9.1", "127.1.9.17", "127.1.9.9"]


@pytest.mark.parametrize("powered", [True, False])
def test_a_board_that_is_not_booted_is_not_booted_by_looking(powered: bool) -> None:
    with machine(10, shape="spinn3", powered=powered) as served:
        assert look("127.1.10.1") is None
        assert served.call(lambda: list(served.installation.machines)) == []


def test_nobody_at_an_address() -> None:
    with pytest.raises(BoardDead, match="nothing there takes SpiNNaker's datagrams"):
        look("127.1.11.1")
    with pytest.raises(ArgumentError, match="machine of its own making"):
        look("127.0.0.1")
