"""What stops an emulated core, and the report of it."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from orchestrator.errors import RunError


class FaultKind(IntEnum):
    """``enum fault_kind``."""

    RUN_TIME_ERROR = 0
    LOAD = 1
    STORE = 2
    FETCH = 3
    UNDEFINED = 4
    THUMB = 5
    UNALIGNED = 6
    DMA = 7
    DEVICE = 8
    SUBSTITUTE = 9
    EMULATOR = 10


FAULT_TEXTS: Final = {
    FaultKind.LOAD: "load from 0x{address:08x}, which is outside memory",
    FaultKind.STORE: "store to 0x{address:08x}, which is outside memory",
    FaultKind.FETCH: "jump to 0x{address:08x}, which is outside the ITCM",
    FaultKind.UNDEFINED: "undefined instruction",
    FaultKind.THUMB: "Thumb code, for which there is no timing: compile with -marm",
    FaultKind.UNALIGNED: "access to 0x{address:08x}, which is not a multiple of {size}",
    FaultKind.DMA: "DMA controller refuses address 0x{address:08x}, {size} bytes",
    FaultKind.DEVICE: "access of {size} bytes at 0x{address:08x}: devices take whole words",
    FaultKind.SUBSTITUTE: "substituted routine is given address 0x{address:08x}, {size} bytes",
    FaultKind.EMULATOR: "Unicorn stops with error {address}",
}


@dataclass(frozen=True, kw_only=True)
class FaultReport:
    """Where and why a core stopped.

    Attributes
    ----------
    kind
        What happened.
    text
        The same for people.
    core
        Virtual core number.
    task
        Tasks of its tape that the core had finished, so the index of the one it was at.
    pc
        Address of the instruction, or of the start of the basic block it is in.
    symbol
        Nearest symbol at or below it with the distance, ``name+0x12``.
    registers
        r0 to r15 at the fault; r8 to r12 and r14 are 0 for a run-time error, whose registers the
        image stored.
    cpsr
        Program status at the fault.
    rt_code
        Run-time error code that the image left in its VCPU block, 0 if none.
    """

    kind: FaultKind
    text: str
    core: int
    task: int
    pc: int
    symbol: str
    registers: tuple[int, ...]
    cpsr: int
    rt_code: int

    def __str__(self) -> str:
        lines = [
            f"core {self.core} stopped at task {self.task}: {self.text}",
            f"at 0x{self.pc:08x} {self.symbol}, cpsr 0x{self.cpsr:08x}, rt_code {self.rt_code}",
        ]
        for first in range(0, 16, 4):
            words = (f"r{i:<2d} 0x{self.registers[i]:08x}" for i in range(first, first + 4))
            lines.append("  ".join(words))
        return "\n".join(lines)


class CoreStopped(RunError):
    """A core met a fault and runs no more until it is booted again.

    Attributes
    ----------
    report
        The whole of what is known.
    """

    def __init__(self, report: FaultReport):
        super().__init__(str(report))
        self.report = report
