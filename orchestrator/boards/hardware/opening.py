"""From boards to a machine under control: power, boot, discovery."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any, Final

from orchestrator.boards.hardware.bmp import BmpLink
from orchestrator.boards.hardware.boards import Boards, check_host
from orchestrator.boards.hardware.control import APP_ID, Holder, MachineControl, explained
from orchestrator.boards.hardware.discovery import SPINN3_SIDE, Discovered, as_discovered
from orchestrator.boards.hardware.exchange import PATIENCE_S
from orchestrator.boards.hardware.failures import BootFailed
from orchestrator.boards.hardware.memory import MachineMemory
from orchestrator.boards.hardware.packages import load
from orchestrator.boards.hardware.pieces import Read
from orchestrator.boards.hardware.probe import machine_size, who_answers
from orchestrator.boards.hardware.spinnman_session import BOOT_S, SpinnmanSession
from orchestrator.wire.layout import SYSTEM_VARIABLES, Sv

AFTER_POWER_S: Final = 2.0
"""Time between power and boot, as spinnman waits."""

STOP_S: Final = 0.1
"""Time for a stop signal to reach every chip: cores that still run are left out of the machine."""

_MAP_BYTES: Final = 20


@contextlib.contextmanager
def open_machine(
    boards: Boards,
    *,
    job: Holder | None = None,
    boot_s: float = BOOT_S,
    patience_s: float = PATIENCE_S,
) -> Iterator[MachineControl]:
    """Power and boot boards if need be, stop what an earlier run left, find out what is there.

    Parameters
    ----------
    boards
        Which.
    job
        What holds them; asked for the cause when a board falls silent.
    boot_s
        Time for booting, seconds; a board takes 10.
    patience_s
        How long a board may be silent afterwards, seconds.

    Raises
    ------
    ArgumentError
        No such host, or this process controls another machine.
    BoardDead, BootFailed
        The board, or its BMP, does not answer or does not come up.
    JobLost, ServerAway
        The boards are no longer ours.
    MissingToolError
        spinnman is not installed.
    """
    load("spinnman")
    check_host("board", boards.host)
    with contextlib.ExitStack() as stack:
        with explained(job):
            switch_on(boards)
            version = boards.version or _version(boards.host)
            session = stack.enter_context(SpinnmanSession(boards, version, boot_s))
            session.connect_boards(boards.connections)
            session.stop(APP_ID)
            time.sleep(STOP_S)
            found = session.discover()
            _check_size(boards, found)
            discovered = describe(found)
        control = MachineControl(boards, session, discovered, job, patience_s)
        stack.callback(control.close)
        yield control


def switch_on(boards: Boards) -> None:
    """Switch silent boards on if their BMP is known.

    Raises
    ------
    BoardDead
        The BMP does not answer, or there is a computer that has no board.
    """
    if who_answers(boards.host) is None and boards.bmp is not None:
        with BmpLink(boards.bmp.host) as bmp:
            bmp.version()  # says in 2 s what power would say in 40 s: that it is away
            bmp.set_power(True, boards.bmp.slots)
        time.sleep(AFTER_POWER_S)


def describe(found: Any) -> Discovered:
    """Return a ``spinn_machine.Machine`` as our own value, its cores' physical numbers read."""
    chips = sorted((chip.x, chip.y) for chip in found.chips)
    at = {
        (chip.x, chip.y): (chip.nearest_ethernet_x, chip.nearest_ethernet_y) for chip in found.chips
    }
    ethernet = {(chip.x, chip.y): str(chip.ip_address) for chip in found.ethernet_connected_chips}
    address = SYSTEM_VARIABLES + Sv.VIRTUAL_TO_PHYSICAL
    with MachineMemory(ethernet, at) as memory:
        maps = memory.read_many([Read(x, y, address, _MAP_BYTES) for x, y in chips])
    return as_discovered(found, dict(zip(chips, map(bytes, maps), strict=True)))


def _version(host: str) -> int:
    """Return a booted board's type by its machine's size, 5 for a silent one."""
    return 3 if machine_size(host) == (SPINN3_SIDE, SPINN3_SIDE) else 5


def _check_size(boards: Boards, found: Any) -> None:
    size = found.width, found.height
    if boards.size is not None and size != tuple(boards.size):
        raise BootFailed(
            f"the machine at {boards.host} came up with {size[0]} x {size[1]} chips instead of "
            f"{boards.size[0]} x {boards.size[1]}: some of its boards did not boot; power them "
            "off and on"
        )
