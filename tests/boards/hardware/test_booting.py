"""Power and boot of virtual boards: our BMP client, and unmodified spinnman's boot."""

import pytest

from orchestrator.boards.hardware import given_host, open_machine
from orchestrator.boards.hardware.bmp import BmpLink
from orchestrator.boards.hardware.failures import BootFailed
from orchestrator.virtual.serving.board import BoardState

pytest.importorskip("spinnman", reason="spinnman is not installed: pip install SpiNNMan")


def states(machine):
    """Return the state of each board."""
    return machine.call(
        lambda: {place: board.state for place, board in machine.installation.boards.items()}
    )


def test_a_bmp_switches_the_slots_it_is_told_to(virtual_machine):
    machine = virtual_machine(third=101, shape="triads", powered=False)
    with BmpLink("127.0.101.0") as bmp:
        assert bmp.version(1).name.startswith("BC&MP")
        bmp.set_power(True, [0, 2])
        assert set(states(machine)) == {(0, 0, 0), (0, 0, 1), (0, 0, 2)}
        on = {board for board, state in states(machine).items() if state is BoardState.POWERED}
        assert on == {(0, 0, 0), (0, 0, 2)}
        bmp.set_power(False, [0])
        assert states(machine)[0, 0, 0] is BoardState.OFF
        assert len(bmp.measurements(2).voltages) == 8


def test_a_board_that_is_off_is_switched_on_booted_and_found(virtual_machine):
    machine = virtual_machine(third=102, shape="spinn3", powered=False)
    boards = given_host("127.0.102.1", version=3, bmp="127.0.102.0")
    with open_machine(boards) as control:
        assert control.machine.n_chips == 4
        assert set(states(machine).values()) == {BoardState.BOOTED}
        control.write(1, 1, 0x61000000, b"there")
        assert control.read(1, 1, 0x61000000, 5) == b"there"


def test_a_board_that_does_not_boot_is_said_to(virtual_machine):
    machine = virtual_machine(third=103, shape="spinn3", powered=True)
    machine.silence((0, 0, 0))
    with pytest.raises(BootFailed, match=r"127\.0\.103\.1 does not boot: .* within 0.5 s"):
        with open_machine(given_host("127.0.103.1", version=3), boot_s=0.5):
            pass
    machine.silence((0, 0, 0), False)
