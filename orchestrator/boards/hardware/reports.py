"""What a core says of itself: state, registers, run-time error, user words, printed text."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from orchestrator.wire.layout import VCPU_BYTES, VCPUS, Vcpu
from orchestrator.wire.numbers import CoreState

FAILED: Final = frozenset({CoreState.RUN_TIME_ERROR, CoreState.WATCHDOG, CoreState.DEAD})
"""States of a core that runs no more."""

TAPE_DONE: Final = 96
"""Offset in the VCPU block of the sequence number of the last tape that ended
(``board_kernels/arm968/chip.h``)."""

RUN_TIME_ERRORS: Final[Mapping[int, str]] = {
    1: "branch through zero",
    2: "undefined instruction",
    3: "supervisor call",
    4: "instruction fetch abort",
    5: "data abort",
    6: "unexpected interrupt",
    7: "unexpected fast interrupt",
    8: "unconfigured interrupt",
    9: "abort",
    10: "out of memory",
    11: "division by zero",
    12: "event start-up",
    13: "software error",
    14: "no IOBUF",
    15: "bad event",
    16: "null pointer",
    17: "packet start-up",
    18: "timer start-up",
    19: "API start-up",
    20: "wrong SARK version",
}
"""SARK's codes (spinnaker_tools ``sark.h``, ``rte_code``; spinnman ``run_time_error.py``)."""

_BLOCK: Final = struct.Struct("<8I 3I 4B 8x 4x 12x 16s I I I 12x 4I")


class CoreId(NamedTuple):
    """A core: chip x and y, virtual core number p (0 is the monitor)."""

    x: int
    y: int
    p: int

    @property
    def vcpu(self) -> int:
        """Return the address of its VCPU block."""
        return VCPUS + VCPU_BYTES * self.p

    @property
    def user(self) -> int:
        """Return the address of its first user word."""
        return self.vcpu + Vcpu.USER

    def __str__(self) -> str:
        return f"core ({self.x}, {self.y}, {self.p})"


@dataclass(frozen=True, kw_only=True)
class CoreReport:
    """What a core's VCPU block and its IOBUF say.

    Attributes
    ----------
    core
        Which.
    state
        What it is doing; an unknown number counts as DEAD.
    app_id
        Its application, 0 for none.
    name
        The program's name, as the loader noted it.
    run_time_error
        SARK's code, 0 for none.
    registers
        r0 to r7 at the error.
    psr, sp, lr
        Program status, stack pointer and the address of the instruction at the error.
    user
        The four user words.
    done
        Sequence number of the last tape that ended.
    iobuf
        What it printed.
    sequence
        Sequence number of the tape it was last given, 0 for none.
    """

    core: CoreId
    state: CoreState
    app_id: int
    name: str
    run_time_error: int
    registers: tuple[int, ...]
    psr: int
    sp: int
    lr: int
    user: tuple[int, ...]
    done: int
    iobuf: str = ""
    sequence: int = 0

    @property
    def failed(self) -> bool:
        """Whether it runs no more."""
        return self.state in FAILED

    @property
    def taken_away(self) -> bool:
        """Whether it runs no program any more: a host has ended it."""
        return self.state is CoreState.IDLE

    @property
    def finished(self) -> bool:
        """Whether its last tape ended."""
        return not self.failed and self.sequence != 0 and self.done == self.sequence

    @property
    def tasks_done(self) -> int:
        """Tasks of its tape that it finished, so the index of the one it is at."""
        return self.user[2]

    def __str__(self) -> str:
        lines = [f"{self.core}: {self.state.name}, application {self.app_id} {self.name}".rstrip()]
        if self.failed:
            cause = RUN_TIME_ERRORS.get(self.run_time_error, "unknown")
            lines.append(
                f"run-time error {self.run_time_error} ({cause}), own code 0x{self.user[3]:x}, "
                f"at task {self.tasks_done}"
            )
            words = [f"r{i} 0x{value:08x}" for i, value in enumerate(self.registers)]
            lines += ["  ".join(words[:4]), "  ".join(words[4:])]
            lines.append(f"at 0x{self.lr:08x}, sp 0x{self.sp:08x}, psr 0x{self.psr:08x}")
        if self.iobuf:
            lines += ["printed:", *(f"  {line}" for line in self.iobuf.splitlines())]
        return "\n".join(lines)


class Block(NamedTuple):
    """A report without text, and where the text is."""

    report: CoreReport
    iobuf_at: int


def read_block(core: CoreId, block: bytes | bytearray | memoryview) -> Block:
    """Return what a VCPU block of 128 bytes says."""
    values = _BLOCK.unpack(block)
    code, _, state, app_id = values[11:15]
    name, iobuf_at, _, done = values[15:19]
    report = CoreReport(
        core=core,
        state=CoreState(state) if state in _STATES else CoreState.DEAD,
        app_id=app_id,
        name=name.split(b"\0")[0].decode("ascii", "replace"),
        run_time_error=code,
        registers=values[:8],
        psr=values[8],
        sp=values[9],
        lr=values[10],
        user=values[19:],
        done=done,
    )
    return Block(report, iobuf_at)


_STATES: Final = frozenset(int(state) for state in CoreState)
