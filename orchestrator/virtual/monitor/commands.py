"""What a monitor does for each command of a host, and what SARK does for a core's.

Every command is checked before it changes anything, so a refused one leaves no trace, and every one
may come twice, as hosts repeat what was not answered.

References
----------
spinnaker_tools ``scamp-cmd.c``; facts about the clients: spinnman 7.4.1 ``messages/scp/impl``.
"""

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from orchestrator.virtual.monitor import memory_commands, table_commands
from orchestrator.virtual.monitor.answers import BAD, OK, Answer
from orchestrator.virtual.monitor.chip import IN_ERROR, MonitoredChip
from orchestrator.virtual.monitor.flood import in_region
from orchestrator.virtual.monitor.tags import HostAddress
from orchestrator.wire.answers import Version, encode_summary, encode_version
from orchestrator.wire.datagrams import ScpRequest
from orchestrator.wire.layout import LOAD_AREA, LOAD_AREA_BYTES
from orchestrator.wire.numbers import Command, LedAction, NearestNeighbour, Result, Signal

if TYPE_CHECKING:
    from orchestrator.virtual.monitor.machine import BootedMachine

VERSION: Final = "4.0.0"
_BUILT: Final = 1700000000
_LEDS: Final = 8
_SIGNAL_MARK: Final = 5
"""Upper four bits of the data of a nearest-neighbour packet that carries a signal."""


def monitor_version(physical: int, x: int, y: int) -> bytes:
    """Return the data of a monitor's answer to ``VERSION``; x and y are 255 while it boots."""
    return encode_version(Version(0, physical, y, x, "SC&MP/SpiNNaker", VERSION, _BUILT))


def answer(
    machine: "BootedMachine", chip: MonitoredChip, core: int, request: ScpRequest, host: HostAddress
) -> Answer:
    """Do what a host asks port 0 of a core, and return the result and the answer's data."""
    if core and chip.states()[core] in IN_ERROR:
        return Result.TIMEOUT, b""
    in_memory = memory_commands.COMMANDS.get(request.command)
    if in_memory is not None:
        return in_memory(machine, chip, core, request)
    if core:
        return _sark_version(chip, core) if request.command == Command.VERSION else _refused()
    if request.command == Command.IP_TAG:
        return _ip_tag(machine, chip, request, host)
    command = _COMMANDS.get(request.command)
    return command(machine, chip, request) if command is not None else _refused()


def _refused() -> Answer:
    return Result.COMMAND, b""


def _sark_version(chip: MonitoredChip, core: int) -> Answer:
    x, y = chip.position
    physical = chip.plan.physical_cores[core]
    version = Version(core, physical, y, x, "SARK/SpiNNaker", VERSION, _BUILT)
    return Result.OK, encode_version(version)


def _version(machine: "BootedMachine", chip: MonitoredChip, request: ScpRequest) -> Answer:
    return Result.OK, monitor_version(chip.plan.physical_cores[0], *chip.position)


def _info(machine: "BootedMachine", chip: MonitoredChip, request: ScpRequest) -> Answer:
    return Result.OK, encode_summary(chip.summary())


def _count(machine: "BootedMachine", chip: MonitoredChip, request: ScpRequest) -> Answer:
    """Count cores of an application (arg1) in a state (arg2): of the board at an Ethernet chip."""
    chips = machine.board(chip.position) if chip.has_ethernet else iter([chip])
    count = sum(each.count(request.arg1, request.arg2) for each in chips)
    return Result.OK, count.to_bytes(4, "little")


def _run(machine: "BootedMachine", chip: MonitoredChip, request: ScpRequest) -> Answer:
    """Start what lies in the load area: arg1 is app id, wait flag, cores."""
    if request.arg1 & 1:
        return BAD
    _start(machine, chip, request.arg1)
    return OK


def _start(machine: "BootedMachine", chip: MonitoredChip, word: int) -> None:
    machine.start(chip, word & 0x3FFFF, word >> 24, wait=bool(word >> 18 & 1))


def _copy_run(machine: "BootedMachine", chip: MonitoredChip, request: ScpRequest) -> Answer:
    """Copy the load area from a neighbour, check its sum, start it."""
    link, expected, size = request.arg1 & 7, request.arg1 >> 3, request.arg2
    if link > 5 or size % 4 or size > LOAD_AREA_BYTES or request.arg3 & 1:
        return BAD
    source = machine.crosses(chip, link)
    if source is None:
        return Result.TIMEOUT, b""
    program = source.space.read(LOAD_AREA, size)
    total = sum(struct.unpack(f"<{size // 4}I", program)) & 0xFFFFFFFF
    if expected and expected != total & 0x1FFFFFFF:
        return Result.CHECKSUM, total.to_bytes(4, "little")
    chip.space.write(LOAD_AREA, program)
    _start(machine, chip, request.arg3)
    return OK


def _signal(machine: "BootedMachine", chip: MonitoredChip, request: ScpRequest) -> Answer:
    """Send a signal: by multicast from the root chip (arg1 0), else to the chip's own cores."""
    if request.arg1 > 2 or (request.arg1 == 0 and chip.position != (0, 0)):
        return BAD
    return _give_signal(machine, request.arg2)


def _give_signal(machine: "BootedMachine", word: int) -> Answer:
    number = word >> 16 & 0xFF
    if number not in _SIGNALS:
        return BAD
    machine.signal(Signal(number), word & 0xFF, word >> 8 & 0xFF)
    return OK


def _nearest_neighbour(
    machine: "BootedMachine", chip: MonitoredChip, request: ScpRequest
) -> Answer:
    """Send a packet to all chips: a signal, or the start or the end of a flood fill."""
    kind = request.arg1 >> 24 & 15
    if kind == NearestNeighbour.SIGNAL and request.arg2 >> 28 == _SIGNAL_MARK:
        return _give_signal(machine, request.arg2 & 0x0FFFFFFF)
    if kind == NearestNeighbour.FLOOD_FILL_START:
        machine.flood.start(request.arg1 >> 8 & 0xFF, request.arg2)
    elif kind == NearestNeighbour.FLOOD_FILL_END:
        if request.arg2 & 1:
            return BAD
        _end_flood_fill(machine, request.arg2)
    return OK


def _end_flood_fill(machine: "BootedMachine", word: int) -> None:
    """Write a complete flood fill to its chips and start it; an incomplete one comes to nothing."""
    if not machine.flood.complete:
        return
    for chip in machine.chips():
        if not in_region(machine.flood.region, *chip.position):
            continue
        for address, data in machine.flood.blocks():
            view = chip.space.view(address, len(data))
            if view is not None:
                view[:] = data
        _start(machine, chip, word)


def _flood_fill_data(machine: "BootedMachine", chip: MonitoredChip, request: ScpRequest) -> Answer:
    size = ((request.arg2 >> 8 & 0xFF) + 1) * 4
    if size > len(request.data):
        return Result.LENGTH, b""
    machine.flood.add(request.arg2 >> 16 & 0xFF, request.arg3, request.data[:size])
    return OK


def _led(machine: "BootedMachine", chip: MonitoredChip, request: ScpRequest) -> Answer:
    chip.leds = switch_leds(chip.leds, request.arg1)
    return OK


def switch_leds(leds: int, actions: int) -> int:
    """Return LEDs, a bit each, after their actions, two bits each (`LedAction`).

    Examples
    --------
    >>> bin(switch_leds(0b011, 0b01_10_00))  # toggle the third, second off, first as it is
    '0b101'
    """
    for led in range(_LEDS):
        action, bit = actions >> 2 * led & 3, 1 << led
        if action == LedAction.ON:
            leds |= bit
        elif action == LedAction.OFF:
            leds &= ~bit
        elif action == LedAction.TOGGLE:
            leds ^= bit
    return leds


def _ip_tag(
    machine: "BootedMachine", chip: MonitoredChip, request: ScpRequest, host: HostAddress
) -> Answer:
    table = machine.tags.get(chip.position)
    if table is None:  # no Ethernet here
        return BAD
    data = table.command(request.arg1, request.arg2, request.arg3, host)
    return (data, b"") if isinstance(data, Result) else (Result.OK, data)


def _sync(machine: "BootedMachine", chip: MonitoredChip, request: ScpRequest) -> Answer:
    machine.sync = bool(request.arg1)
    return OK


_SIGNALS: Final = frozenset(int(signal) for signal in Signal)

_COMMANDS: Final[dict[int, Callable[["BootedMachine", MonitoredChip, ScpRequest], Answer]]] = {
    Command.VERSION: _version,
    Command.COUNT: _count,
    Command.APPLICATION_RUN: _run,
    Command.NEAREST_NEIGHBOUR: _nearest_neighbour,
    Command.APPLICATION_COPY_RUN: _copy_run,
    Command.SIGNAL: _signal,
    Command.FLOOD_FILL_DATA: _flood_fill_data,
    Command.LED: _led,
    Command.INFO: _info,
    Command.SYNC: _sync,
    **table_commands.COMMANDS,
}
