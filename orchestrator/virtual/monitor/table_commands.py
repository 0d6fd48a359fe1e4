"""Commands that give out and fill SDRAM blocks and routing entries.

References
----------
spinnaker_tools ``scamp-cmd.c`` (``cmd_alloc``, ``cmd_rtr``), ``sark_alloc.c``.
"""

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from orchestrator.virtual.monitor.answers import BAD, OK, Answer
from orchestrator.virtual.monitor.chip import MonitoredChip
from orchestrator.wire.datagrams import ScpRequest
from orchestrator.wire.layout import ROUTE_ENTRY_BYTES
from orchestrator.wire.numbers import (
    ALLOCATION_RETRY,
    Allocation,
    Command,
    Result,
    RouterOperation,
)

if TYPE_CHECKING:
    from orchestrator.virtual.monitor.machine import BootedMachine

_READ_FIXED_ROUTE: Final = 1 << 31


def _allocate(machine: "BootedMachine", chip: MonitoredChip, request: ScpRequest) -> Answer:
    operation, app_id, flags = (request.arg1 >> shift & 0xFF for shift in (0, 8, 16))
    value, tag = request.arg2, request.arg3
    if operation == Allocation.SDRAM:
        if tag > 0xFF:
            return BAD
        return _word(chip.allocate(value, app_id, tag, retry=bool(flags & ALLOCATION_RETRY)))
    if operation == Allocation.FREE_SDRAM:
        chip.free(value)
        return OK
    if operation == Allocation.FREE_SDRAM_BY_APP:
        return _word(chip.free_application(app_id))
    if operation == Allocation.ROUTER:
        return _word(chip.routes.allocate(value, app_id))
    if operation == Allocation.FREE_ROUTER:
        chip.routes.free(value)
        return OK
    if operation == Allocation.FREE_ROUTER_BY_APP:
        return _word(chip.routes.free_application(app_id))
    if operation == Allocation.SDRAM_SPACE:
        return Result.OK, struct.pack("<2I", chip.heap.free_bytes, chip.heap.largest)
    if operation == Allocation.SDRAM_BY_TAG:
        return _word(chip.tagged(app_id, value & 0xFF))
    return BAD


def _word(value: int) -> Answer:
    return Result.OK, struct.pack("<I", value)


def _router(machine: "BootedMachine", chip: MonitoredChip, request: ScpRequest) -> Answer:
    operation, app_id = request.arg1 & 0xFF, request.arg1 >> 8 & 0xFF
    count = request.arg1 >> 16
    if operation == RouterOperation.INITIALISE:
        chip.routes.initialise()
        return OK
    if operation == RouterOperation.CLEAR:
        return OK if chip.routes.clear(request.arg2, count) else BAD
    if operation == RouterOperation.LOAD:
        entries = chip.space.view(request.arg2, ROUTE_ENTRY_BYTES * count)
        if entries is None or not chip.routes.load(bytes(entries), request.arg3, app_id):
            return BAD
        return OK
    if operation == RouterOperation.FIXED_ROUTE:
        if request.arg2 & _READ_FIXED_ROUTE:
            return _word(chip.routes.fixed_route)
        chip.routes.fixed_route = request.arg2
        return OK
    return BAD


COMMANDS: Final[dict[int, Callable[["BootedMachine", MonitoredChip, ScpRequest], Answer]]] = {
    Command.ALLOCATE: _allocate,
    Command.ROUTER: _router,
}
