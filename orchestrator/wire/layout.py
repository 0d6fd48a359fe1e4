"""Where the system software keeps what hosts read: memory map, system variables, VCPU blocks.

Addresses are those of the buffered alias unless said otherwise; offsets are in bytes.

References
----------
spinnaker_tools ``spinnaker.h``, ``sark.h`` (``sv_t``, ``vcpu_t``, ``heap_t``, ``rtr_entry_t``),
``scamp-3.c`` (``sdram_init``).
"""

from typing import Final

CHIP_CORES: Final = 18
"""Cores a chip has at most."""

SDRAM: Final = 0x60000000
SDRAM_BYTES: Final = 128 << 20
USER_HEAP: Final = 0x60240000
"""Where the heap for hosts' blocks starts: behind a buffer of 128 KiB for each of 18 cores."""

LOAD_AREA: Final = 0x67800000
"""Where a program lies while cores start it, and routing entries while they are loaded."""

LOAD_AREA_BYTES: Final = 0x40000
SYSTEM_HEAP: Final = LOAD_AREA + LOAD_AREA_BYTES
SDRAM_END: Final = SDRAM + SDRAM_BYTES

ROUTER: Final = 0xE1000000
ROUTER_BYTES: Final = 0x18000
ROUTER_FIXED_ROUTE: Final = 0x84
ROUTER_COUNTER_CONTROL: Final = 0x2C
ROUTER_COUNTERS: Final = 0x300
N_ROUTER_COUNTERS: Final = 16
P2P_TABLE: Final = 0x10000
"""Offset in the router: 128 bytes a column, a word for 8 rows, three bits a chip."""

P2P_NONE: Final = 6
P2P_MONITOR: Final = 7

SYSTEM_RAM: Final = 0xE5000000
SYSTEM_RAM_BYTES: Final = 0x8000
SYSTEM_RAM_HEAP: Final = 0xE5001100
VCPUS: Final = 0xE5007000
VCPU_BYTES: Final = 128
SYSTEM_VARIABLES: Final = 0xF5007F00
SYSTEM_VARIABLES_BYTES: Final = 256

ALIAS: Final = 0x10000000
"""Distance of the unbuffered addresses from the buffered ones."""

ITCM_BYTES: Final = 0x8000
DTCM: Final = 0x400000
DTCM_BYTES: Final = 0x10000

ROUTES: Final = 1024
"""Entries of the multicast table; the first is never given out."""

ROUTE_UNUSED: Final = 0xFF000000
ROUTE_ENTRY_BYTES: Final = 16
LAST_CORES_BIT: Final = 24
"""Bits 0 to 5 of a route are links, 6 to 23 virtual cores."""


class Sv:
    """Offsets of system variables."""

    P2P_ADDRESS: Final = 0x00
    P2P_DIMENSIONS: Final = 0x02
    P2P_UP: Final = 0x06
    ETHERNET_ADDRESS: Final = 0x08
    HARDWARE_VERSION: Final = 0x0A
    ETHERNET_UP: Final = 0x0B
    CLOCK_MS: Final = 0x10
    TIME_MS: Final = 0x18
    UNIX_TIME: Final = 0x1C
    CPU_CLOCK: Final = 0x24
    SDRAM_CLOCK: Final = 0x26
    ROOT_CHIP_ADDRESS: Final = 0x2E
    LED_WORDS: Final = 0x30
    CLOCK_DRIFT: Final = 0x38
    IS_ROOT: Final = 0x40
    WATCHDOG_COUNT: Final = 0x43
    SYSTEM_RAM_HEAP: Final = 0x48
    SDRAM_HEAP: Final = 0x4C
    IOBUF_BYTES: Final = 0x50
    SDRAM_BUFFERS: Final = 0x54
    BUFFER_BYTES: Final = 0x58
    BOOT_SIGNATURE: Final = 0x5C
    LINKS: Final = 0x65
    STATUS_MAP: Final = 0x80
    PHYSICAL_TO_VIRTUAL: Final = 0x94
    VIRTUAL_TO_PHYSICAL: Final = 0xA8
    N_CORES: Final = 0xBC
    SDRAM_BASE: Final = 0xC0
    SYSTEM_RAM_BASE: Final = 0xC4
    LOAD_AREA: Final = 0xC8
    VCPUS: Final = 0xCC
    SYSTEM_HEAP: Final = 0xD0
    ROUTER_COPY: Final = 0xD4
    HOP_TABLE: Final = 0xD8
    TAG_TABLE: Final = 0xDC
    FIRST_FREE_ROUTE: Final = 0xE0
    P2P_ACTIVE: Final = 0xE2
    APPLICATIONS: Final = 0xE4
    MAILBOX_FLAGS: Final = 0xEC
    IP_ADDRESS: Final = 0xF0
    FIXED_ROUTE: Final = 0xF4
    BOARD_INFO: Final = 0xF8
    SOFTWARE_VERSION: Final = 0xFC


class Vcpu:
    """Offsets in a VCPU block."""

    REGISTERS: Final = 0
    PSR: Final = 32
    SP: Final = 36
    LR: Final = 40
    RUN_TIME_ERROR: Final = 44
    PHYSICAL_CORE: Final = 45
    STATE: Final = 46
    APP_ID: Final = 47
    MAILBOX_TO_CORE: Final = 48
    MAILBOX_TO_MONITOR: Final = 52
    COMMAND_TO_CORE: Final = 56
    COMMAND_TO_MONITOR: Final = 57
    ERROR_COUNT: Final = 58
    FILE_NAME: Final = 60
    LINE: Final = 64
    TIME: Final = 68
    NAME: Final = 72
    NAME_BYTES: Final = 16
    IOBUF: Final = 88
    VERSION: Final = 92
    USER: Final = 112
