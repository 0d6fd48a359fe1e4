"""Constants of the machine: unit, low, typical and high value, source and status of each.

*Data sheet* means stated by a data sheet, a manual or a published source, or worked out from what
one states; *measured* means measured by this project; *assumed* means an estimate that nobody has
measured. Low and high bound what a reader should believe; for a cost, low is the good case.

Sources: DS is the SpiNNaker data sheet 2.02 (2011); AN7 and AN9 are SpiNNaker application notes;
TEM15 is S. Temple, "Chip Resources", SpiNNaker workshop 2015; SM is SpiNNMachine; SCAMP is
spinnaker_tools; SPIO is the FPGA design spio; Plana 2020 is "spiNNlink", IEEE Access 8; Heathcote
is J. Heathcote's thesis (2016).
"""

from dataclasses import dataclass
from enum import StrEnum

from orchestrator.errors import ArgumentError


class Status(StrEnum):
    """How far a constant can be trusted."""

    DATA_SHEET = "data sheet"
    MEASURED = "measured"
    ASSUMED = "assumed"


class Level(StrEnum):
    """Which of a constant's three values to take."""

    LOW = "low"
    TYPICAL = "typical"
    HIGH = "high"

    @property
    def opposite(self) -> "Level":
        """Return low for high and high for low: a slow machine's costs beside its rates."""
        return {Level.LOW: Level.HIGH, Level.HIGH: Level.LOW}.get(self, self)


@dataclass(frozen=True, slots=True)
class Constant:
    """One property of the machine; all values in `unit`."""

    name: str
    low: float
    typical: float
    high: float
    unit: str
    status: Status
    source: str

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.typical <= self.high:
            raise ArgumentError(
                f"{self.name}: {self.low}, {self.typical}, {self.high} are not in order"
            )

    def at(self, level: Level) -> float:
        """Return the low, typical or high value."""
        value: float = getattr(self, level)
        return value


def _sheet(name: str, low: float, typical: float, high: float, unit: str, source: str) -> Constant:
    return Constant(name, low, typical, high, unit, Status.DATA_SHEET, source)


def _assumed(
    name: str, low: float, typical: float, high: float, unit: str, source: str
) -> Constant:
    return Constant(name, low, typical, high, unit, Status.ASSUMED, source)


CONSTANTS: dict[str, Constant] = {
    constant.name: constant
    for constant in (
        _sheet("clock", 160e6, 200e6, 200e6, "Hz", "SCAMP sets 200 MHz; the boot ROM 160 MHz"),
        _sheet(
            "chip_application_cores",
            15,
            16,
            17,
            "cores",
            "DS: 18 a chip, at least 17 work on a fitted chip (TEM15), one is the monitor",
        ),
        _sheet(
            "board_application_cores",
            720,
            768,
            808,
            "cores",
            "48 chips; high: the map of 17-core chips in SM version_5.py",
        ),
        _sheet(
            "dtcm",
            58_000,
            60_000,
            63_488,
            "B/core",
            "64 KiB less stacks (SCAMP's link script); low and typical less SARK's own data",
        ),
        _sheet(
            "sdram",
            115e6,
            123_469_792,
            123_469_792,
            "B/chip",
            "128 MiB less the system's buffers (SM version_spin1.py); low: more system software",
        ),
        _sheet("dma_core", 200e6, 267e6, 300e6, "B/s", "TEM15: about 15 ns a word, one core alone"),
        _assumed(
            "dma_chip",
            500e6,
            670e6,
            1000e6,
            "B/s",
            "all cores together; 128-byte bursts that each miss a row, from the DRAM's timings; "
            "high is the design target of DS",
        ),
        _assumed("dma_start", 30, 100, 200, "cycles", "own count; sPyNNaker's C estimates 100"),
        _sheet(
            "link_rate",
            10.5e6,
            12e6,
            13.2e6,
            "B/s",
            "payload, one way, 4 bytes in each packet of 72 bits; low: 19 symbols of 20 ns (AN7); "
            "typical: 3 M packets/s (TEM15)",
        ),
        _sheet(
            "cable_channel_rate",
            5.3e6,
            10.5e6,
            12e6,
            "B/s",
            "payload, one way, of one chip link between boards; low: half an on-board link, the "
            "FPGA design before 2015 (TEM15); typical: an on-board link (Plana 2020)",
        ),
        _assumed(
            "link_share",
            0.3,
            0.5,
            0.8,
            "of the rate",
            "what a link carries without drops; no measurement with payload is known",
        ),
        _sheet(
            "chip_injection",
            10e6,
            20e6,
            33e6,
            "packets/s",
            "72-bit packets from all cores of a chip; high: 2.4 Gbit/s (DS section 8); low and "
            "typical: estimates",
        ),
        _sheet(
            "hop_latency",
            0.25e-6,
            0.5e-6,
            1.0e-6,
            "s",
            "router pipeline of 5 stages and 380 ns of link (DS, AN7); high: estimate",
        ),
        _assumed(
            "kernel_cycles",
            1.0,
            1.0,
            1.1,
            "of the measured",
            "emulated cores count by the core's manual (docs/emulator.md); high: an estimate of "
            "what their timing leaves out, as data memory that DMA and core want at once",
        ),
        _assumed("packet_send", 12, 40, 80, "cycles", "own count of a loop; high: spin1_api"),
        _sheet(
            "packet_receive", 25, 60, 200, "cycles", "TEM15: 40 to 200; low: own count of a loop"
        ),
        _assumed(
            "round_start",
            2e-6,
            10e-6,
            50e-6,
            "s",
            "between the last packet of a block and the first of the next one that needs it: "
            "check, DMA in and out, start of the send",
        ),
        _assumed(
            "host_read",
            0.25e6,
            4.5e6,
            9.7e6,
            "B/s",
            "from one board over its Ethernet; low: SCP to a far chip; typical: near the 5 MB/s "
            "quoted for fast data out; high: 100 Mbit/s less headers",
        ),
        _assumed(
            "host_write",
            0.25e6,
            4.0e6,
            5.2e6,
            "B/s",
            "into one board; high: the pacing of the Java tools (260 bytes in 50 us)",
        ),
        _assumed(
            "host_round_trip", 0.2e-3, 0.5e-3, 1e-3, "s", "a request to a board and its reply"
        ),
        _assumed(
            "network_rate",
            0.11e9,
            1.1e9,
            11e9,
            "B/s",
            "between hosts, each way: Ethernet of 1, 10 and 100 Gbit/s",
        ),
        _assumed("network_latency", 5e-6, 20e-6, 50e-6, "s", "one MPI message between hosts"),
        _assumed(
            "host_boards_rate",
            0.11e9,
            1.1e9,
            11e9,
            "B/s",
            "between one host and all its boards together: the host's network card and the switch",
        ),
        _sheet(
            "board_power",
            27,
            54,
            72,
            "W",
            "low: idle; typical: idle plus 0.034 W for each of 800 cores (SM version_spin1.py); "
            "high: limit of the supply (AN9)",
        ),
        _sheet("chip_idle_power", 0.35, 0.35, 0.35, "W", "SM version_spin1.py, SDRAM included"),
        _sheet(
            "core_power", 0.034, 0.034, 0.034, "W", "added by an active core, SM version_spin1.py"
        ),
        _sheet("board_idle_power", 26.84, 26.84, 31.88, "W", "SM version_5.py; high: boxed"),
        _sheet(
            "frame_power", 117, 154.16, 154.16, "W", "24 boards' switch and fans, SM version_5.py"
        ),
        _sheet(
            "packet_energy",
            1.8e-9,
            1.8e-9,
            1.8e-9,
            "J",
            "one 72-bit packet through one router: 25 pJ a bit (Painkras 2013, in SM)",
        ),
        _sheet("dead_chips", 0.0, 0.01, 0.03, "of all", "Heathcote: about 1 % of chips unusable"),
        _sheet(
            "dead_links",
            0.0003,
            0.01,
            0.03,
            "of all",
            "Heathcote: 0.03 % of links themselves; 1 % with the links of dead chips",
        ),
    )
}
"""All constants, by name."""


def constant(name: str) -> Constant:
    """Return a constant.

    Raises
    ------
    ArgumentError
        There is none of this name; the message lists all.
    """
    try:
        return CONSTANTS[name]
    except KeyError:
        raise ArgumentError(
            f"there is no machine constant {name}; there are {', '.join(CONSTANTS)}"
        ) from None
