"""What a step costs in energy, by component.

Power constants are costs: a slow machine (level low) has their high values. What is idle takes its
power all the time: chips with their SDRAM; a board's FPGAs, regulators and management; a frame's
switch and fans, shared by its boards. A core adds `core_power` while it computes or handles
packets, in proportion to its clock, and nothing while it sleeps. A packet costs `packet_energy` in
each router on its way.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from orchestrator.machine.constants import Level, constant
from orchestrator.machine.geometry import BOARD_CHIPS

BOARDS_OF_A_FRAME = 24
"""SpiNNMachine ``version_5.py``; managing big SpiNNaker machines."""

POWER_CLOCK = 200e6
"""Hz at which `core_power` was measured."""

SPINN3_IDLE = 3.56
"""W of an idle 4-chip board (SpiNNMachine ``version_3.py``)."""


SPINN3_CHIPS = 4
"""A slice of exactly so many chips on one board is taken for a SpiNN-3 board."""


@dataclass(frozen=True, slots=True)
class Power:
    """Power constants at a level; each attribute is the constant of its name (docs/machine.md)."""

    chip_idle_power: float
    core_power: float
    board_idle_power: float
    frame_power: float
    packet_energy: float

    def idle_watts(self, n_boards: int) -> float:
        """Return what 48-chip boards take doing nothing, their share of frames included."""
        return n_boards * (self.board_idle_power + self.frame_power / BOARDS_OF_A_FRAME)


POWER_NAMES = ("chip_idle_power", "core_power", "board_idle_power", "frame_power", "packet_energy")


def power(
    level: Level = Level.TYPICAL,
    overrides: Mapping[str, float] = {},  # noqa: B006 (never changed)
) -> Power:
    """Return the power of a slow (low), typical or fast (high) machine.

    Parameters
    ----------
    overrides : values by name of the constant, as `orchestrator.perf.rates.rates` takes and checks.
    """
    return Power(*(overrides.get(name, constant(name).at(level.opposite)) for name in POWER_NAMES))


@dataclass(frozen=True, slots=True)
class StepEnergy:
    """Energy in J of what works on a step.

    Attributes
    ----------
    chips_j : of idle chips and their SDRAM.
    cores_j : added by cores at work.
    packets_j : of packets through routers.
    boards_j : of FPGAs, regulators and management.
    frames_j : of switches and fans.
    """

    chips_j: float
    cores_j: float
    packets_j: float
    boards_j: float
    frames_j: float

    @property
    def total_j(self) -> float:
        """Return the sum."""
        return self.chips_j + self.cores_j + self.packets_j + self.boards_j + self.frames_j

    def as_json(self) -> dict[str, float]:
        """Return the components and their sum, ``energy_j``."""
        return asdict(self) | {"energy_j": self.total_j}


def step_energy(
    power: Power,
    *,
    seconds: float,
    n_boards: int,
    n_chips: int,
    core_cycles: float,
    router_packets: float,
) -> StepEnergy:
    """Return the energy of a slice over a step.

    Parameters
    ----------
    seconds : of the step.
    n_boards, n_chips : of the slice; a board is counted whole where few of its chips are used.
    core_cycles : of all cores at work.
    router_packets : packets times the routers that each passes.
    """
    small = n_boards == 1 and n_chips == SPINN3_CHIPS
    chips = SPINN3_CHIPS if small else n_boards * len(BOARD_CHIPS)
    idle = SPINN3_IDLE if small else n_boards * power.board_idle_power
    frames = 0.0 if small else n_boards * power.frame_power / BOARDS_OF_A_FRAME
    chips_w = min(idle, chips * power.chip_idle_power)
    return StepEnergy(
        chips_j=chips_w * seconds,
        cores_j=core_cycles * power.core_power / POWER_CLOCK,
        packets_j=router_packets * power.packet_energy,
        boards_j=(idle - chips_w) * seconds,
        frames_j=frames * seconds,
    )
