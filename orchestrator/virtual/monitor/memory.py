"""A chip's memory as its monitor addresses it: both aliases, SDRAM, system RAM, router, devices."""

import struct
from typing import Final

from orchestrator.virtual.chip import ChipMemory
from orchestrator.wire.layout import ALIAS, ROUTER_BYTES, SDRAM, SDRAM_BYTES, SYSTEM_RAM_BYTES

_DEVICE_BYTES: Final = 0x1000
_WORD: Final = struct.Struct("<I")


class AddressSpace:
    """Bytes of one chip by address.

    Attributes
    ----------
    chip
        The memories.
    router
        The router's registers, 0x18000 bytes.
    """

    def __init__(self, chip: ChipMemory):
        self.chip = chip
        state = memoryview(chip.state)  # type: ignore[arg-type]
        devices = SYSTEM_RAM_BYTES + ROUTER_BYTES
        self.router = state[SYSTEM_RAM_BYTES:devices]
        sdram = memoryview(chip.sdram)  # type: ignore[arg-type]
        self._regions: dict[int, tuple[memoryview, int]] = {
            0xE5: (state[:SYSTEM_RAM_BYTES], 0xE5000000),
            0xE1: (self.router, 0xE1000000),
        }
        for block in range(SDRAM_BYTES >> 24):
            self._regions[(SDRAM >> 24) + block] = (sdram, SDRAM)
        for index, block in enumerate((0xE2, 0xE0, 0xE3)):  # in the order of ``struct chip``
            start = devices + index * _DEVICE_BYTES
            self._regions[block] = (state[start : start + _DEVICE_BYTES], block << 24)

    def view(self, address: int, size: int) -> memoryview | None:
        """Return ``size`` bytes at an address, for reading and writing; None if not all exist."""
        address &= ~ALIAS
        found = self._regions.get(address >> 24)
        if found is None:
            return None
        region, base = found
        offset = address - base
        if offset + size > len(region):
            return None
        return region[offset : offset + size]

    def read(self, address: int, size: int) -> bytes:
        """Return bytes at an address that exists.

        Raises
        ------
        IndexError
            It does not: a mistake of the caller.
        """
        return bytes(self._existing(address, size))

    def write(self, address: int, data: bytes) -> None:
        """Store bytes at an address that exists; IndexError as in `read`."""
        self._existing(address, len(data))[:] = data

    def word(self, address: int) -> int:
        """Return the word at an address that exists; IndexError as in `read`."""
        value: int = _WORD.unpack_from(self._existing(address, 4))[0]
        return value

    def set_words(self, address: int, *values: int) -> None:
        """Store words from an address that exists on; IndexError as in `read`."""
        size = 4 * len(values)
        struct.pack_into(f"<{len(values)}I", self._existing(address, size), 0, *values)

    def _existing(self, address: int, size: int) -> memoryview:
        view = self.view(address, size)
        if view is None:
            raise IndexError(f"no {size} bytes at 0x{address:08x}")
        return view
