"""Commands that read and write memory: a monitor's, a core's own, a neighbour's.

References
----------
spinnaker_tools ``scamp-cmd.c`` (``cmd_read``, ``cmd_write``, ``cmd_fill``, ``cmd_link_read``).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from orchestrator.virtual.monitor.answers import BAD, OK, Answer
from orchestrator.virtual.monitor.chip import CoreMemories, MonitoredChip
from orchestrator.wire.datagrams import ScpRequest
from orchestrator.wire.numbers import MAX_SCP_DATA, Command, Result

if TYPE_CHECKING:
    from orchestrator.virtual.monitor.machine import BootedMachine

_Handler = Callable[["BootedMachine", MonitoredChip, int, ScpRequest], Answer]
_Aligned = Callable[["BootedMachine", MonitoredChip, int, ScpRequest, int], Answer]
"""The same with the unit of the access: bytes, halves, words."""

_WORD_UNIT: Final = 2
_FILL_BLOCK_BYTES: Final = 1 << 16


def _memories(machine: "BootedMachine", chip: MonitoredChip, core: int) -> CoreMemories:
    if core:
        return lambda: machine.cores.memories(*chip.position, core)
    return chip.monitor_tcm


def _read(machine: "BootedMachine", chip: MonitoredChip, core: int, request: ScpRequest) -> Answer:
    return _read_from(machine, chip, core, request, request.arg3)


def _read_from(
    machine: "BootedMachine", chip: MonitoredChip, core: int, request: ScpRequest, unit: int
) -> Answer:
    address, size = request.arg1, request.arg2
    if size > MAX_SCP_DATA or unit > _WORD_UNIT or (address | size) & (1 << unit) - 1:
        return BAD
    view = chip.view(address, size, _memories(machine, chip, core))
    if view is None:
        return BAD
    chip.before_read(address, size, machine.clock())
    return Result.OK, bytes(view)


def _write(machine: "BootedMachine", chip: MonitoredChip, core: int, request: ScpRequest) -> Answer:
    return _write_to(machine, chip, core, request, request.arg3)


def _write_to(
    machine: "BootedMachine", chip: MonitoredChip, core: int, request: ScpRequest, unit: int
) -> Answer:
    address, size = request.arg1, request.arg2
    if size > MAX_SCP_DATA or unit > _WORD_UNIT or (address | size) & (1 << unit) - 1:
        return BAD
    if size > len(request.data):
        return Result.LENGTH, b""
    view = chip.view(address, size, _memories(machine, chip, core))
    if view is None:
        return BAD
    view[:] = request.data[:size]
    chip.after_write(address, size)
    return OK


def _fill(machine: "BootedMachine", chip: MonitoredChip, core: int, request: ScpRequest) -> Answer:
    """Store a word (arg2) over and over: arg3 bytes, whole words."""
    address, size = request.arg1, request.arg3
    if (address | size) & 3:
        return BAD
    view = chip.view(address, size, _memories(machine, chip, core))
    if view is None:
        return BAD
    words = request.arg2.to_bytes(4, "little") * (min(size, _FILL_BLOCK_BYTES) // 4)
    for start in range(0, size, _FILL_BLOCK_BYTES):
        block = view[start : start + _FILL_BLOCK_BYTES]
        block[:] = words[: len(block)]
    chip.after_write(address, size)
    return OK


def _over_link(command: _Aligned) -> _Handler:
    """Return a command to the neighbour over the link in arg3, in whole words."""

    def ask_neighbour(
        machine: "BootedMachine", chip: MonitoredChip, core: int, request: ScpRequest
    ) -> Answer:
        if core or request.arg3 > 5:
            return (Result.COMMAND, b"") if core else BAD
        there = machine.crosses(chip, request.arg3)
        if there is None:
            return Result.TIMEOUT, b""
        return command(machine, there, 0, request, _WORD_UNIT)

    return ask_neighbour


COMMANDS: Final[dict[int, _Handler]] = {
    Command.READ: _read,
    Command.WRITE: _write,
    Command.FILL: _fill,
    Command.LINK_READ: _over_link(_read_from),
    Command.LINK_WRITE: _over_link(_write_to),
}
"""By number; also takes the core that is asked."""
