"""The numbers of SpiNNaker's system software: commands, results, states, signals, operations.

References
----------
spinnaker_tools ``sark.h`` and ``scamp-3.c``, ``scamp-cmd.c``; spinnman 7.4.1 ``messages``.
"""

from enum import IntEnum
from typing import Final

SCP_UDP_PORT: Final = 17893
"""Where boards and BMPs take SDP, and from where boards send it."""

BOOT_UDP_PORT: Final = 54321
"""Where the boot ROM of an Ethernet chip takes its image."""

MAX_SCP_DATA: Final = 256
"""Bytes that one read or write moves at most."""


class Command(IntEnum):
    """What SC&MP does for the host; SARK, on application cores, does the first four only."""

    VERSION = 0
    RUN = 1
    READ = 2
    WRITE = 3
    APLX = 4
    FILL = 5
    COUNT = 15
    REMAP = 16
    LINK_READ = 17
    LINK_WRITE = 18
    APPLICATION_RUN = 19
    NEAREST_NEIGHBOUR = 20
    APPLICATION_COPY_RUN = 21
    SIGNAL = 22
    FLOOD_FILL_DATA = 23
    LED = 25
    IP_TAG = 26
    ALLOCATE = 28
    ROUTER = 29
    INFO = 31
    SYNC = 32


class BmpCommand(IntEnum):
    """What the board management processor of a frame does."""

    VERSION = 0
    FPGA_READ = 17
    FPGA_WRITE = 18
    LED = 25
    INFO = 48
    POWER = 57


class Result(IntEnum):
    """The first word of an answer."""

    OK = 0x80
    LENGTH = 0x81
    CHECKSUM = 0x82
    COMMAND = 0x83
    ARGUMENT = 0x84
    PORT = 0x85
    TIMEOUT = 0x86
    ROUTE = 0x87
    CPU = 0x88
    DEAD = 0x89
    BUFFER = 0x8A
    P2P_NO_REPLY = 0x8B
    P2P_REJECT = 0x8C
    P2P_BUSY = 0x8D
    P2P_TIMEOUT = 0x8E
    PACKET_TRANSMISSION = 0x8F


REPEATED: Final = frozenset(
    {
        Result.TIMEOUT,
        Result.LENGTH,
        Result.P2P_TIMEOUT,
        Result.P2P_NO_REPLY,
        Result.P2P_BUSY,
    }
)
"""Results after which spinnman sends the request again; all others but OK end it."""


class CoreState(IntEnum):
    """What a core is doing, as its VCPU block says."""

    DEAD = 0
    POWERED_DOWN = 1
    RUN_TIME_ERROR = 2
    WATCHDOG = 3
    INITIALISING = 4
    READY = 5
    C_MAIN = 6
    RUNNING = 7
    SYNC0 = 8
    SYNC1 = 9
    PAUSED = 10
    FINISHED = 11
    IDLE = 15


class Signal(IntEnum):
    """What can be told to all cores of an application at once."""

    INITIALISE = 0
    POWER_DOWN = 1
    STOP = 2
    START = 3
    SYNC0 = 4
    SYNC1 = 5
    PAUSE = 6
    CONTINUE = 7
    EXIT = 8
    TIMER = 9
    USER0 = 10
    USER1 = 11
    USER2 = 12
    USER3 = 13


class Allocation(IntEnum):
    """Operations of `Command.ALLOCATE`."""

    SDRAM = 0
    FREE_SDRAM = 1
    FREE_SDRAM_BY_APP = 2
    ROUTER = 3
    FREE_ROUTER = 4
    FREE_ROUTER_BY_APP = 5
    SDRAM_SPACE = 6
    SDRAM_BY_TAG = 7


ALLOCATION_RETRY: Final = 4
"""Flag of an SDRAM allocation: give a block again that has this tag, application and size."""


class RouterOperation(IntEnum):
    """Operations of `Command.ROUTER`."""

    INITIALISE = 0
    CLEAR = 1
    LOAD = 2
    FIXED_ROUTE = 3


class TagOperation(IntEnum):
    """Operations of `Command.IP_TAG`."""

    NEW = 0
    SET = 1
    GET = 2
    CLEAR = 3
    TIMEOUT = 4


class NearestNeighbour(IntEnum):
    """What a nearest-neighbour packet asks for: bits 27 to 24 of its key."""

    SIGNAL = 0
    FLOOD_FILL_START = 6
    FLOOD_FILL_END = 15


class LedAction(IntEnum):
    """The two bits of one LED."""

    KEEP = 0
    TOGGLE = 1
    OFF = 2
    ON = 3


class BootOperation(IntEnum):
    """Operations of a boot datagram."""

    START = 1
    BLOCK = 3
    END = 5
    HELLO = 0x41
