"""A core's VCPU block: its state, and what it shows of a fault.

References
----------
spinnaker_tools ``sark.h`` (``vcpu_t``, run-time error codes), ``sark_alib.s`` (what a fault
leaves).
"""

import struct
from typing import Final

from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.core_fault import FaultKind, FaultReport
from orchestrator.wire.layout import Vcpu
from orchestrator.wire.numbers import CoreState

_UNDEFINED: Final = 2
_PREFETCH_ABORT: Final = 4
_DATA_ABORT: Final = 5
_CODES: Final = {
    FaultKind.FETCH: _PREFETCH_ABORT,
    FaultKind.UNDEFINED: _UNDEFINED,
    FaultKind.THUMB: _UNDEFINED,
}
"""Run-time error codes; data abort for the other kinds."""


def state_of(memory: ChipMemory, core: int) -> int:
    """Return the number that a core's block has for its state."""
    return memory.read(memory.vcpu(core) + Vcpu.STATE, 1)[0]


def set_state(memory: ChipMemory, core: int, state: CoreState) -> None:
    """Write a core's state."""
    memory.write(memory.vcpu(core) + Vcpu.STATE, bytes([state]))


def write_fault(memory: ChipMemory, core: int, report: FaultReport) -> None:
    """Show a fault as SARK does, for a program whose own handler has not."""
    words = (*report.registers[:8], report.cpsr, report.registers[13], report.pc)
    _write(memory, core, words, _CODES.get(report.kind, _DATA_ABORT))


def write_load_fault(memory: ChipMemory, core: int, entry: tuple[int, ...], address: int) -> None:
    """Show that the loader met a fault: r0 to r3 its command, r4 the place behind it."""
    words = (*entry, address + 4 * len(entry), 0, 0, 0, 0, 0, address)
    _write(memory, core, words, _DATA_ABORT)


def _write(memory: ChipMemory, core: int, words: tuple[int, ...], code: int) -> None:
    block = memory.vcpu(core)
    memory.write(block + Vcpu.REGISTERS, struct.pack("<11I", *words))
    memory.write(block + Vcpu.RUN_TIME_ERROR, bytes([code]))
    set_state(memory, core, CoreState.RUN_TIME_ERROR)
