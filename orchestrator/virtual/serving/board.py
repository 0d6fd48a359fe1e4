"""One virtual board: its power, its FPGAs, its LEDs, and what it has booted into."""

from enum import Enum
from typing import Final

from orchestrator.machine.links import Link
from orchestrator.machine.machine import Chip
from orchestrator.virtual.monitor.machine import BootedMachine
from orchestrator.virtual.serving.boot import BootReceiver
from orchestrator.virtual.serving.configuration import BoardPlace
from orchestrator.virtual.serving.topology import STOP_REGISTERS

FPGA_ID: Final = 0x40004
_SPINN5_FPGA: Final = 0x40
_MAX_REGISTERS: Final = 1024


class BoardState(Enum):
    """What a board does with datagrams."""

    OFF = "off"
    POWERED = "powered"
    BOOTING = "booting"
    BOOTED = "booted"


class VirtualBoard:
    """A board.

    Attributes
    ----------
    place
        Where it is.
    works
        Whether it is not among the dead ones.
    state
        See `BoardState`.
    silent
        Whether a fault keeps it from answering anything.
    receiver
        The boot ROM.
    boot
        The boot that it takes part in, None if none is under way.
    machine, ethernet
        The machine it is booted into and its Ethernet chip there; None before.
    leds
        The BMP's LEDs of its slot, a bit each.
    """

    def __init__(self, place: BoardPlace, *, works: bool, powered: bool):
        self.place = place
        self.works = works
        self.state = BoardState.POWERED if powered else BoardState.OFF
        self.silent = False
        self.receiver = BootReceiver()
        self.boot: object | None = None
        self.machine: BootedMachine | None = None
        self.ethernet: Chip | None = None
        self.leds = 0
        self._registers: dict[tuple[int, int], int] = {}

    def reset(self, state: BoardState) -> None:
        """Switch off, or on again, as if it never booted; FPGA registers go back to zero."""
        self.state = state
        self.receiver = BootReceiver()
        self.boot = None
        self.machine = None
        self.ethernet = None
        self._registers = {}

    def forget_boot(self) -> None:
        """Wait for an image again."""
        self.state = BoardState.POWERED
        self.receiver = BootReceiver()
        self.boot = None

    def is_open(self, link: Link) -> bool:
        """Return whether the FPGA of a cable lets packets through."""
        return not self._registers.get(STOP_REGISTERS[link], 0) & 1

    def fpga_word(self, fpga: int, register: int) -> int:
        """Return a register of FPGA 0, 1 or 2."""
        if register == FPGA_ID:
            return _SPINN5_FPGA | fpga
        return self._registers.get((fpga, register), 0)

    def set_fpga_word(self, fpga: int, register: int, value: int) -> bool:
        """Store a register; False when a host has made up more of them than there are."""
        if len(self._registers) >= _MAX_REGISTERS and (fpga, register) not in self._registers:
            return False
        self._registers[fpga, register] = value
        return True
