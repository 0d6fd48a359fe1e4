"""What the cores of one emulated chip share: SDRAM, system RAM, router, system controller.

Addresses, the VCPU blocks and the system variables are those of the chip and its system software
(SpiNNaker 1 datasheet 2.02; spinnaker_tools ``spinnaker.h`` and ``sark.h``).
"""

import mmap
import struct
import sys
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ArgumentError
from orchestrator.wire.layout import (
    ALIAS,
    CHIP_CORES,
    ROUTER,
    ROUTER_BYTES,
    ROUTES,
    SDRAM,
    SDRAM_BYTES,
    SYSTEM_RAM,
    SYSTEM_RAM_BYTES,
    SYSTEM_VARIABLES,
    VCPU_BYTES,
    VCPUS,
)

CHIP_STATE_BYTES: Final = 0x24000
"""Room for ``struct chip`` (``board_kernels/emulator/chip.h``)."""

_PAGE: Final = 0x1000
_NO_RESERVE: Final = 0x4000 if sys.platform == "linux" else 0
"""MAP_NORESERVE, which Python names since 3.13: a machine of many chips touches little of each."""

_ROUTER_OFFSET: Final = SYSTEM_RAM_BYTES
_INTERRUPTS_OFFSET: Final = 0x23000
_FLAGS_OFFSET: Final = _INTERRUPTS_OFFSET + 16
_ROUTER_CONTROL: Final = 0x00400001
"""Routing on, packets wait 240 router clocks (``sark_hw.c``, ``rtr_init``)."""

_FILTERS: Final = (
    *(0x01FE7CF1, 0x01FEBCF1, 0x01FE7CF2, 0x01FEBCF2, 0x01FE7CF4, 0x01FEBCF4),
    *(0x01FE7CF8, 0x01FEBCF8, 0x0001FCF1, 0x0001FCF2, 0x0001FCF4, 0x0001FCF8),
)
"""Diagnostic filters after boot: local and other packets of each type, dropped ones of each type
(``sark_hw.c``, ``dgf_init``)."""


def new_pages(size: int, *, shared: bool) -> NDArray[np.uint8]:
    """Return zeros in pages of their own, which forked processes share or get copies of."""
    kind = mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE
    pages = mmap.mmap(-1, size, kind | mmap.MAP_ANONYMOUS | _NO_RESERVE)
    return np.frombuffer(pages, dtype=np.uint8)


class ChipMemory:
    """The shared memories of a chip, in pages that forked processes share too.

    Parameters
    ----------
    sdram_bytes
        Size of the SDRAM; a multiple of 4096, 4096 to 128 MiB. Pages take host memory only once
        touched.
    physical_cores
        Physical number of each virtual core, 1 to 18 different ones of 0 to 17; virtual core 0 is
        the monitor's.

    Attributes
    ----------
    sdram
        uint8 [sdram_bytes], the SDRAM from address 0x60000000.
    router
        uint32 [24576], the router's registers from address 0xe1000000: multicast routes from word
        0x1000, keys from 0x2000, masks from 0x3000, the point-to-point table from 0x4000. At first
        no key matches, and the control register and the diagnostic filters are as after boot.

    Raises
    ------
    ArgumentError
        A size or a core number outside its range.
    """

    def __init__(
        self, sdram_bytes: int = SDRAM_BYTES, physical_cores: Sequence[int] = range(CHIP_CORES)
    ):
        if not 0 < sdram_bytes <= SDRAM_BYTES or sdram_bytes % _PAGE:
            raise ArgumentError(
                f"sdram_bytes is {sdram_bytes}: a multiple of {_PAGE}, at most {SDRAM_BYTES}"
            )
        cores = list(physical_cores)
        if len(set(cores)) != len(cores) or not set(cores) <= set(range(CHIP_CORES)) or not cores:
            raise ArgumentError(
                f"physical_cores is {cores}: different numbers of 0 to {CHIP_CORES - 1}"
            )
        self.physical_cores = tuple(cores)
        self.sdram = new_pages(sdram_bytes, shared=True)
        self.state = new_pages(CHIP_STATE_BYTES, shared=True)
        self._router = self.state[_ROUTER_OFFSET : _ROUTER_OFFSET + ROUTER_BYTES]
        self.router = self._router.view("<u4")
        self._words = self.state.view("<u4")
        self.router[0x1000 : 0x1000 + ROUTES] = 0xFF000000
        self.router[0x2000 : 0x2000 + ROUTES] = 0xFFFFFFFF
        self.router[0] = _ROUTER_CONTROL | cores[0] << 8
        self.router[0x80 : 0x80 + len(_FILTERS)] = _FILTERS
        self._write_system_variables()

    def memory(self, address: int, size: int) -> NDArray[np.uint8]:
        """Return a view of ``size`` bytes of a shared memory, at either of its addresses.

        These are the SDRAM, the system RAM and the router's registers.

        Raises
        ------
        ArgumentError
            Not all of these bytes lie in one of the memories.
        """
        system_ram = self.state[:SYSTEM_RAM_BYTES]
        for base, memory in (
            (SDRAM, self.sdram),
            (SYSTEM_RAM, system_ram),
            (ROUTER, self._router),
        ):
            for start in (base, base + ALIAS):
                offset = address - start
                if 0 <= offset and size >= 0 and offset + size <= memory.size:
                    return memory[offset : offset + size]
        raise ArgumentError(
            f"{size} bytes at 0x{address:08x} are not in the chip's SDRAM "
            f"(0x{SDRAM:08x}, {self.sdram.size} bytes), system RAM "
            f"(0x{SYSTEM_RAM:08x}, {SYSTEM_RAM_BYTES} bytes) or router "
            f"(0x{ROUTER:08x}, {ROUTER_BYTES} bytes)"
        )

    def read(self, address: int, size: int) -> bytes:
        """Return a copy of ``size`` bytes of a shared memory."""
        return self.memory(address, size).tobytes()

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Copy bytes into a shared memory."""
        self.memory(address, len(data))[:] = np.frombuffer(data, dtype=np.uint8)

    def read_word(self, address: int) -> int:
        """Return the little-endian 32-bit word at an address."""
        return int.from_bytes(self.read(address, 4), "little")

    def write_word(self, address: int, value: int) -> None:
        """Store a 32-bit word, given signed or unsigned."""
        self.write(address, (value & 0xFFFFFFFF).to_bytes(4, "little"))

    def vcpu(self, virtual: int) -> int:
        """Return the address of a virtual core's VCPU block."""
        return VCPUS + VCPU_BYTES * virtual

    @property
    def interrupts(self) -> int:
        """Return the system controller's interrupts, a bit for each physical core."""
        return int(self._words[_INTERRUPTS_OFFSET // 4])

    def interrupt(self, physical: int, raised: bool) -> None:
        """Raise or clear the system controller's interrupts of a mask of physical cores."""
        self._set_bits(_INTERRUPTS_OFFSET, physical, raised)

    def flag(self, virtual: int, raised: bool) -> None:
        """Set or clear the system controller's flags of a mask of virtual cores."""
        self._set_bits(_FLAGS_OFFSET, virtual, raised)

    def _set_bits(self, offset: int, mask: int, raised: bool) -> None:
        word = int(self._words[offset // 4])
        self._words[offset // 4] = word | mask if raised else word & ~mask

    def _write_system_variables(self) -> None:
        """Fill in what applications read of the system software's variables."""
        virtual_of = [0xFF] * CHIP_CORES
        for virtual, physical in enumerate(self.physical_cores):
            virtual_of[physical] = virtual
        physical_of = [*self.physical_cores, *[0xFF] * (CHIP_CORES - len(self.physical_cores))]
        base = SYSTEM_VARIABLES
        self.write(base + 0x24, struct.pack("<HH", 200, 130))  # cpu_clk, mem_clk, MHz
        self.write(base + 0x94, bytes(virtual_of))  # p2v_map
        self.write(base + 0xA8, bytes(physical_of))  # v2p_map
        self.write(base + 0xBC, bytes([len(self.physical_cores)]))  # num_cpus
        self.write(base + 0xC0, struct.pack("<II", SDRAM, 0xF5000000))  # sysram_base as given
        self.write(base + 0xCC, struct.pack("<I", VCPUS))
