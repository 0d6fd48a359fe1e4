"""System variables and VCPU blocks as SC&MP leaves them after boot.

References
----------
spinnaker_tools ``sark.struct`` (defaults), ``scamp-3.c`` (``sv_init``, ``sdram_init``), ``sark.h``.
"""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from orchestrator.machine.machine import Chip
from orchestrator.virtual.monitor.memory import AddressSpace
from orchestrator.virtual.monitor.plan import MachinePlan
from orchestrator.virtual.monitor.tags import packed
from orchestrator.wire.layout import (
    CHIP_CORES,
    LOAD_AREA,
    SDRAM,
    SYSTEM_HEAP,
    SYSTEM_RAM_HEAP,
    SYSTEM_VARIABLES,
    USER_HEAP,
    VCPU_BYTES,
    VCPUS,
    Sv,
    Vcpu,
)
from orchestrator.wire.numbers import CoreState

SCAMP_VERSION: Final = 0x00040000
"""4.0.0, of the versions that spinnman 7.4.1 works with (4.0.0 <= version < 5) the first."""

_NAME: Final = b"scamp-3"
_IOBUF_BYTES: Final = 16384
_BUFFER_WORDS: Final = 0x8000
_NO_CORE: Final = 0xFF
_SYSTEM_RAM: Final = 0xE5001000
_MAP_ENTRIES: Final = 20


_DEFAULTS: Final = {
    0x0C: bytes([4, 4, 51]),  # P2P repeats, log2 of P2P sequence length, clock divisors
    Sv.CPU_CLOCK: struct.pack("<2H", 200, 130),  # MHz; SDRAM's behind it
    0x28: bytes([63, 0, 200, 1]),  # flood forward, retry; link time-out, us; LED's half period
    0x2C: bytes([50]),  # wait of the network's set-up
    Sv.LED_WORDS: struct.pack("<I", 1),
    0x41: bytes([7, 20]),  # message buffers, flood delay, us
    Sv.SYSTEM_RAM_HEAP: struct.pack("<I", 1024),
    Sv.IOBUF_BYTES: struct.pack("<3I", _IOBUF_BYTES, 8 << 20, _BUFFER_WORDS),
    Sv.LINKS: bytes([63]),
}
"""What the first 128 bytes are before boot (``sark.struct``), where they are not zero."""


class Boot(NamedTuple):
    """What a boot gives to all chips.

    Attributes
    ----------
    variables
        The first 128 bytes of the system variables, from the image.
    started
        When, unix time in s.
    """

    variables: bytes
    started: float


class Tables(NamedTuple):
    """Addresses of what the system software keeps in its own heap."""

    hops: int
    routes: int
    tags: int
    applications: int


def default_variables(hardware_version: int, unix_time: int) -> bytes:
    """Return the first 128 bytes of the system variables as spinnman boots a board with them.

    Parameters
    ----------
    hardware_version
        3 for a 4-chip board, 5 for a 48-chip board.
    """
    variables = bytearray(128)
    for offset, value in _DEFAULTS.items():
        variables[offset : offset + len(value)] = value
    variables[Sv.HARDWARE_VERSION] = hardware_version
    struct.pack_into("<I", variables, Sv.UNIX_TIME, unix_time)
    struct.pack_into("<I", variables, Sv.BOOT_SIGNATURE, unix_time)
    variables[Sv.IS_ROOT] = 1
    return bytes(variables)


def write_variables(
    space: AddressSpace, chip: Chip, machine: MachinePlan, boot: Boot, tables: Tables
) -> None:
    """Fill in a chip's system variables."""
    plan = machine.chips[chip]
    has_ethernet = bool(plan.ip_address)
    base = SYSTEM_VARIABLES
    space.write(base, boot.variables)
    ethernet_x, ethernet_y = plan.ethernet
    virtual_of = [_NO_CORE] * _MAP_ENTRIES
    for virtual, physical in enumerate(plan.physical_cores):
        virtual_of[physical] = virtual
    missing = [_NO_CORE] * (_MAP_ENTRIES - len(plan.physical_cores))
    fields: list[tuple[int, str, Sequence[int]]] = [
        (Sv.P2P_ADDRESS, "4B", (chip[1], chip[0], machine.height & 255, machine.width & 255)),
        (Sv.P2P_UP, "B", (1,)),
        (Sv.ETHERNET_ADDRESS, "2B", (ethernet_y, ethernet_x)),
        (Sv.ETHERNET_UP, "B", (has_ethernet,)),
        (Sv.ROOT_CHIP_ADDRESS, "2B", (0, 0)),
        (Sv.CLOCK_DRIFT, "I", (0,)),
        (Sv.IS_ROOT, "B", (chip == (0, 0),)),
        (Sv.SYSTEM_RAM_HEAP, "2I", (SYSTEM_RAM_HEAP, USER_HEAP)),
        (Sv.IOBUF_BYTES, "3I", (_IOBUF_BYTES, SDRAM, _BUFFER_WORDS)),
        (Sv.LINKS, "B", (machine.link_bits(chip),)),
        (Sv.PHYSICAL_TO_VIRTUAL, f"{_MAP_ENTRIES}B", virtual_of),
        (Sv.VIRTUAL_TO_PHYSICAL, f"{_MAP_ENTRIES}B", (*plan.physical_cores, *missing)),
        (Sv.N_CORES, "2B", (len(plan.physical_cores),) * 2),
        (Sv.SDRAM_BASE, "4I", (SDRAM, _SYSTEM_RAM, LOAD_AREA, VCPUS)),
        (Sv.SYSTEM_HEAP, "4I", (SYSTEM_HEAP, tables.routes, tables.hops, tables.tags)),
        (Sv.P2P_ACTIVE, "H", (len(machine.chips) & 0xFFFF,)),
        (Sv.APPLICATIONS, "I", (tables.applications,)),
        (Sv.FIXED_ROUTE, "I", (0,)),
        (Sv.SOFTWARE_VERSION, "I", (SCAMP_VERSION,)),
    ]
    for offset, layout, values in fields:
        space.write(base + offset, struct.pack(f"<{layout}", *values))
    space.write(base + Sv.IP_ADDRESS, packed(plan.ip_address) if has_ethernet else bytes(4))


def write_clock(space: AddressSpace, boot: Boot, now: float) -> None:
    """Bring the time in a chip's system variables up to date, ``now`` in unix time, s."""
    since_boot_ms = int((now - boot.started) * 1000)
    space.write(SYSTEM_VARIABLES + Sv.CLOCK_MS, struct.pack("<Q", max(0, since_boot_ms)))
    whole = int(now)
    milliseconds = int((now - whole) * 1000)
    space.write(SYSTEM_VARIABLES + Sv.TIME_MS, struct.pack("<2HI", milliseconds, 0, whole))


def write_vcpus(space: AddressSpace, physical_cores: Sequence[int]) -> None:
    """Write all VCPU blocks: the monitor runs, the other cores that work are idle."""
    for virtual in range(CHIP_CORES):
        block = bytearray(VCPU_BYTES)
        block[Vcpu.PHYSICAL_CORE] = _NO_CORE
        block[Vcpu.STATE] = CoreState.DEAD
        if virtual < len(physical_cores):
            block[Vcpu.PHYSICAL_CORE] = physical_cores[virtual]
            block[Vcpu.STATE] = CoreState.IDLE if virtual else CoreState.RUNNING
        if not virtual:
            block[Vcpu.NAME : Vcpu.NAME + len(_NAME)] = _NAME
            struct.pack_into("<I", block, Vcpu.VERSION, SCAMP_VERSION)
        space.write(VCPUS + VCPU_BYTES * virtual, bytes(block))


def idle_vcpu(physical_core: int) -> bytes:
    """Return the VCPU block of a core that runs nothing."""
    block = bytearray(VCPU_BYTES)
    block[Vcpu.PHYSICAL_CORE] = physical_core
    block[Vcpu.STATE] = CoreState.IDLE
    return bytes(block)


def loaded_vcpu(physical_core: int, app_id: int, unix_time: int) -> bytes:
    """Return the VCPU block of a core that an application is being loaded on."""
    block = bytearray(idle_vcpu(physical_core))
    block[Vcpu.STATE] = CoreState.INITIALISING
    block[Vcpu.APP_ID] = app_id
    struct.pack_into("<I", block, Vcpu.TIME, unix_time & 0xFFFFFFFF)
    return bytes(block)
