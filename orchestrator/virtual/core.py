"""An emulated ARM968 core: the board's binary instruction by instruction, with a cycle count.

Unicorn translates the ARM code; memories, devices and timing are in ``board_kernels/emulator``.
Cycles are the timing table's (``timing.c``), summed by basic block: conditions count as holding,
and interlocks across a block's end are left out. Checking mode counts every instruction as well.
"""

import ctypes
import weakref
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Protocol

import numpy as np

from orchestrator.errors import ArgumentError, RunError
from orchestrator.virtual.chip import ChipMemory, new_pages
from orchestrator.virtual.core_fault import FAULT_TEXTS, CoreStopped, FaultKind, FaultReport
from orchestrator.virtual.emulator_library import (
    PACKET_SENT,
    Counters,
    Fault,
    PacketFields,
    Parts,
    emulator_library,
    unicorn_functions,
)
from orchestrator.wire.layout import DTCM, DTCM_BYTES, ITCM_BYTES

CPU_INTERRUPT: Final = 18
"""The interrupt source that the system software raises for a message to a core."""

_VCPU_RT_CODE: Final = 44
_VCPU_CPU_STATE: Final = 46
_VCPU_USER2: Final = 120
_VCPU_USER3: Final = 124
_STATE_RUN_TIME_ERROR: Final = 2
_FOREVER: Final = 2**64 - 1


class Piece(Protocol):
    """Bytes of a program and where they go."""

    @property
    def address(self) -> int:
        """In one of the TCMs."""

    @property
    def data(self) -> bytes:
        """Contents."""


class Loadable(Protocol):
    """What a core runs."""

    @property
    def segments(self) -> Sequence[Piece]:
        """All of the program."""

    @property
    def symbols(self) -> Mapping[str, int]:
        """Addresses by name."""


class Stop(Enum):
    """Why a run came back."""

    SLEEPING = 0
    """In wait for interrupt, with nothing under way that ends it."""
    CYCLES = 1
    """As many cycles as were allowed."""


@dataclass(frozen=True, kw_only=True)
class Packet:
    """A packet of the chip's network.

    Attributes
    ----------
    key, payload
        32 bits each; payload None if the packet has none.
    control
        The control byte without its payload bit: [7:6] type, 0 multicast.
    route
        0 to 5 the link a received packet came by or a sent one goes to, 7 as the router decides.
    """

    key: int
    payload: int | None = None
    control: int = 0
    route: int = 7


class Core:
    """One core of a chip.

    Parameters
    ----------
    chip
        The memories it shares.
    number
        Virtual core number, 0 to 17, of those the chip has.
    image
        What it runs.
    substitute
        Put host functions in place of the image's inner products: same bits, calibrated cycles.
    check
        Stop at unaligned accesses and count cycles by every instruction too: about ten times
        slower.
    dma_bytes_per_cycle
        Bandwidth of the core's DMA; None: transfers take no time.

    Attributes
    ----------
    itcm, dtcm
        uint8, its memories.

    Raises
    ------
    ArgumentError
        A value outside its range, or an image that does not fit the ITCM.
    MissingToolError
        Unicorn or the compiled library is missing.
    """

    def __init__(
        self,
        chip: ChipMemory,
        number: int,
        image: Loadable,
        *,
        substitute: bool = False,
        check: bool = False,
        dma_bytes_per_cycle: float | None = None,
    ):
        if not 0 <= number < len(chip.physical_cores):
            raise ArgumentError(
                f"core number is {number}: the chip has 0 to {len(chip.physical_cores) - 1}"
            )
        for piece in image.segments:
            _check_piece(piece)
        if dma_bytes_per_cycle is not None and not 0 < dma_bytes_per_cycle < float("inf"):
            raise ArgumentError(f"dma_bytes_per_cycle is {dma_bytes_per_cycle}: above 0, or None")
        self.chip = chip
        self.number = number
        self.image = image
        self._substitute = substitute
        self.itcm = new_pages(ITCM_BYTES, shared=False)
        self.dtcm = new_pages(DTCM_BYTES, shared=False)
        self._counters = Counters()
        self._functions = unicorn_functions()
        self._library = emulator_library()
        self._opened = self._open(check, dma_bytes_per_cycle or 0.0)
        self._finalizer = weakref.finalize(self, self._library.core_close, self._opened)
        self._names = sorted((address, name) for name, address in image.symbols.items())
        self._sent: Any = None

    def _open(self, check: bool, bytes_per_cycle: float) -> int:
        parts = Parts(
            unicorn=ctypes.addressof(self._functions),
            chip=self.chip.state.ctypes.data,
            sdram=self.chip.sdram.ctypes.data,
            itcm=self.itcm.ctypes.data,
            dtcm=self.dtcm.ctypes.data,
            counters=ctypes.pointer(self._counters),
            sdram_bytes=self.chip.sdram.size,
            bytes_per_cycle=bytes_per_cycle,
            physical=self.chip.physical_cores[self.number],
            checking=check,
        )
        error = ctypes.c_int()
        core = self._library.core_open(ctypes.byref(parts), ctypes.byref(error))
        if not core:
            cause = "no memory" if error.value < 0 else f"Unicorn's error {error.value}"
            raise RunError(f"core {self.number} cannot be emulated: {cause}")
        return int(core)

    @property
    def _core(self) -> int:
        if not self._finalizer.alive:
            raise RunError(f"core {self.number} was closed")
        return self._opened

    def close(self) -> None:
        """Free the emulator; the core runs no more, its memories and counts can still be read."""
        self._finalizer()

    def boot(self, app_id: int = 16, max_cycles: int | None = None) -> Stop:
        """Load the image as the system software does and run to the first wait for interrupt.

        Raises
        ------
        CoreStopped
            A fault.
        """
        vcpu = self.chip.vcpu(self.number)
        block = bytearray(128)
        block[45] = self.chip.physical_cores[self.number]
        block[47] = app_id
        self.chip.write(vcpu, bytes(block))
        self.load(argument=app_id)
        return self.run(max_cycles)

    def load(self, address: int = 0, argument: int = 0) -> None:
        """Put the image into the memories and reset the core; `run` starts it.

        Parameters
        ----------
        address
            Where it starts, in supervisor mode without interrupts.
        argument
            32 bits that it finds in r0.
        """
        self.itcm[:] = 0
        for piece in self.image.segments:
            memory, base = (self.itcm, 0) if piece.address < DTCM else (self.dtcm, DTCM)
            start = piece.address - base
            memory[start : start + len(piece.data)] = np.frombuffer(piece.data, dtype=np.uint8)
        self._library.core_reset(self._core, address, argument)
        if self._substitute:
            self._install_substitutes()

    def _install_substitutes(self) -> None:
        index = 0
        while name := self._library.substitute_symbol(index):
            address = self.image.symbols.get(name.decode())
            if address is not None and self._library.core_substitute(self._core, index, address):
                raise ArgumentError(f"{name.decode()} at 0x{address:x} cannot be substituted")
            index += 1

    def interrupt(self, source: int = CPU_INTERRUPT) -> None:
        """Ask the core for an interrupt, 0 to 31: 18 as the system controller, others as software.

        Raises
        ------
        ArgumentError
            There is no such source.
        """
        if not 0 <= source < 32:
            raise ArgumentError(f"interrupt source is {source}: 0 to 31")
        self._library.core_interrupt(self._core, source)

    def run(self, max_cycles: int | None = None) -> Stop:
        """Run until the core sleeps with nothing under way that wakes it, or for so many cycles.

        Raises
        ------
        ArgumentError
            ``max_cycles`` is negative.
        CoreStopped
            A fault, in this run or an earlier one.
        """
        limit = _FOREVER if max_cycles is None else max_cycles
        if not 0 <= limit <= _FOREVER:
            raise ArgumentError(f"max_cycles is {max_cycles}: at least 0")
        result = self._library.core_run(self._core, limit)
        state = self._vcpu_byte(_VCPU_CPU_STATE)
        if result == 2:
            raise CoreStopped(self._report(self._library.core_fault_report(self._core).contents))
        if state == _STATE_RUN_TIME_ERROR:
            raise CoreStopped(self._report(None))
        return Stop(result)

    def on_packet(self, receiver: Callable[[Packet], None] | None) -> None:
        """Name the function that is called with each packet the core sends; None drops them."""
        if receiver is None:
            self._sent = PACKET_SENT(0)
        else:
            self._sent = PACKET_SENT(lambda _, fields: receiver(_packet(fields.contents)))
        self._library.core_on_packet(self._core, self._sent, None)

    def receive(self, packet: Packet, at: int | None = None, patience: int | None = None) -> None:
        """Send the core a packet; it waits in the network until those before it are read.

        Parameters
        ----------
        packet
            The packet.
        at
            The cycle at which it arrives, not before those sent earlier; None: now.
        patience
            Cycles after which the router gives it up if the core has not taken it; None: never.
        """
        has = packet.payload is not None
        fields = PacketFields(
            packet.control & 0xFD | (2 if has else 0), packet.key, packet.payload or 0, packet.route
        )
        arrival = self.cycles if at is None else at
        limit = _FOREVER if patience is None else patience
        if self._library.core_receive(self._core, ctypes.byref(fields), arrival, limit):
            raise RunError(f"no memory for the packets that wait for core {self.number}")

    @property
    def last_dropped(self) -> Packet:
        """The packet that the router gave up last; meaningful once `packets_dropped` is not 0."""
        return _packet(self._library.core_dropped(self._core).contents)

    def trap(self) -> None:
        """Let an undefined instruction happen where the core is, in its next run."""
        self._library.core_trap(self._core)

    @property
    def wakes_at(self) -> int | None:
        """The cycle at which it goes on by itself: now unless it sleeps, None without end."""
        cycle = int(self._library.core_wakes_at(self._core))
        return None if cycle == _FOREVER else cycle

    def sleep_until(self, cycle: int) -> None:
        """Let a sleeping core's time pass, to a timer's or packet's at most, without running."""
        self._library.core_sleep_until(self._core, max(0, cycle))

    @property
    def cycles(self) -> int:
        """Cycles since it was booted, those slept through included."""
        return int(self._counters.cycles)

    @property
    def sleep_cycles(self) -> int:
        """Cycles of them spent in wait for interrupt."""
        return int(self._counters.sleep_cycles)

    @property
    def checked_cycles(self) -> int:
        """Cycles by the model of every instruction, without sleep; 0 unless checking."""
        return int(self._counters.checked_cycles)

    @property
    def instructions(self) -> int:
        """Instructions run."""
        return int(self._counters.instructions)

    @property
    def interrupts(self) -> int:
        """Interrupts taken."""
        return int(self._counters.interrupts)

    @property
    def dma_bytes(self) -> int:
        """Bytes moved by the DMA controller."""
        return int(self._counters.dma_bytes)

    @property
    def dma_transfers(self) -> int:
        """Transfers it finished."""
        return int(self._counters.dma_transfers)

    @property
    def bus_reads(self) -> int:
        """Load instructions that went to SDRAM, system RAM or router memory."""
        return int(self._counters.bus_reads)

    @property
    def bus_writes(self) -> int:
        """Store instructions that did."""
        return int(self._counters.bus_writes)

    @property
    def packets_dropped(self) -> int:
        """Packets that the router gave up because the core did not take them in time."""
        return int(self._counters.packets_dropped)

    @property
    def substituted(self) -> int:
        """Calls of host functions in place of inner products."""
        return int(self._counters.substituted)

    def symbol_at(self, address: int) -> str:
        """Return the nearest symbol at or below an address with the distance."""
        index = bisect_right(self._names, (address, "\U0010ffff")) - 1
        if index < 0:
            return "no symbol"
        at, name = self._names[index]
        return f"{name}+0x{address - at:x}" if address > at else name

    def _vcpu_byte(self, offset: int) -> int:
        return self.chip.read(self.chip.vcpu(self.number) + offset, 1)[0]

    def _report(self, fault: Fault | None) -> FaultReport:
        vcpu = self.chip.vcpu(self.number)
        rt_code = self._vcpu_byte(_VCPU_RT_CODE)
        if fault is None:
            kind, error = FaultKind.RUN_TIME_ERROR, self.chip.read_word(vcpu + _VCPU_USER3)
            text = f"the image reports run-time error {rt_code}, its own code 0x{error:x}"
            words = np.frombuffer(self.chip.read(vcpu, 44), dtype="<u4").tolist()
            cpsr, sp, pc = words[8:11]
            registers = (*words[:8], 0, 0, 0, 0, 0, sp, 0, pc)
        else:
            kind = FaultKind(fault.kind)
            text = FAULT_TEXTS[kind].format(address=fault.address, size=fault.size)
            registers, pc, cpsr = tuple(fault.registers), fault.pc, fault.cpsr
        return FaultReport(
            kind=kind,
            text=text,
            core=self.number,
            task=self.chip.read_word(vcpu + _VCPU_USER2),
            pc=pc,
            symbol=self.symbol_at(pc),
            registers=tuple(registers),
            cpsr=cpsr,
            rt_code=rt_code,
        )


def _check_piece(piece: Piece) -> None:
    end = piece.address + len(piece.data)
    if not (0 <= piece.address <= end <= ITCM_BYTES) and not (
        DTCM <= piece.address <= end <= DTCM + DTCM_BYTES
    ):
        raise ArgumentError(
            f"image has {len(piece.data)} bytes at 0x{piece.address:08x}: the ITCM is 0 to "
            f"0x{ITCM_BYTES:x}, the DTCM 0x{DTCM:x} to 0x{DTCM + DTCM_BYTES:x}"
        )


def _packet(fields: PacketFields) -> Packet:
    payload = fields.payload if fields.control & 2 else None
    return Packet(
        key=fields.key, payload=payload, control=fields.control & 0xFD, route=fields.route
    )
