"""What a picture of a machine shows: chips, their states, dead parts, boards and their owners."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import numpy as np

from orchestrator.machine import Faults, Machine
from orchestrator.machine.geometry import BOARD_CHIPS, TRIAD, ethernet_chips
from orchestrator.machine.machine import MONITORS, Board, Chip
from orchestrator.wire.numbers import CoreState


class ChipState(StrEnum):
    """What the application cores of a chip are doing, the worst or busiest of them."""

    WORKS = "works"
    """Nothing more is known."""
    IDLE = "idle"
    WAITING = "waiting"
    """For a signal: ready, synchronising, paused."""
    RUNNING = "running"
    FAILED = "failed"
    """Run-time error or watchdog."""
    DEAD = "dead"


_OF_CORE = {
    CoreState.IDLE: ChipState.IDLE,
    CoreState.FINISHED: ChipState.IDLE,
    CoreState.POWERED_DOWN: ChipState.IDLE,
    CoreState.RUN_TIME_ERROR: ChipState.FAILED,
    CoreState.WATCHDOG: ChipState.FAILED,
    CoreState.DEAD: ChipState.FAILED,
    CoreState.INITIALISING: ChipState.RUNNING,
    CoreState.C_MAIN: ChipState.RUNNING,
    CoreState.RUNNING: ChipState.RUNNING,
    CoreState.READY: ChipState.WAITING,
    CoreState.SYNC0: ChipState.WAITING,
    CoreState.SYNC1: ChipState.WAITING,
    CoreState.PAUSED: ChipState.WAITING,
}

_WORST = (ChipState.FAILED, ChipState.RUNNING, ChipState.WAITING, ChipState.IDLE)


def chip_state(cores: Iterator[CoreState] | tuple[CoreState, ...]) -> ChipState:
    """Return a chip's state from those of its application cores.

    Examples
    --------
    >>> chip_state((CoreState.IDLE, CoreState.SYNC0, CoreState.IDLE))
    <ChipState.WAITING: 'waiting'>
    """
    found = {_OF_CORE[state] for state in cores}
    return next((state for state in _WORST if state in found), ChipState.WORKS)


@dataclass(frozen=True, kw_only=True)
class BoardView:
    """A board as a picture shows it.

    Attributes
    ----------
    board : (x, y, z).
    address : of its Ethernet chip, "" if not known.
    state : "booted", "off", "dead" or what else is known, "" if nothing is.
    temperature : degrees Celsius, None if not known.
    owner : who has it, "" for nobody or not known.
    """

    board: Board
    address: str = ""
    state: str = ""
    temperature: float | None = None
    owner: str = ""


@dataclass(frozen=True, kw_only=True)
class MachineView:
    """A machine as a picture shows it.

    Attributes
    ----------
    name : in the title.
    machine : its working parts.
    dead : the parts it lacks.
    states : of chips; those that are left out only work.
    boards : all of them, dead ones too.
    """

    name: str
    machine: Machine
    dead: Faults = Faults()
    states: Mapping[Chip, ChipState] = field(default_factory=lambda: MappingProxyType({}))
    boards: tuple[BoardView, ...] = ()

    def state(self, chip: Chip) -> ChipState:
        """Return the state of a chip, in the machine's coordinates."""
        if not self.machine.cores[chip]:
            return ChipState.DEAD
        return self.states.get(chip, ChipState.WORKS)

    def application_cores(self, chip: Chip) -> int:
        """Return how many application cores of a chip work."""
        return max(0, int(self.machine.cores[chip]) - MONITORS)

    def chips_of(self, board: Board) -> Iterator[tuple[Chip, Chip]]:
        """Yield where each chip of a board is drawn, so that boards stay whole, and its name."""
        east, north = (int(c) for c in ethernet_chips(np.array([board]))[0])
        width, height = self.machine.width, self.machine.height
        shape = BOARD_CHIPS if self.machine.width >= TRIAD or width == 8 else _SPINN3_CHIPS
        for x, y in shape:
            place = (east + x, north + y)
            yield place, (place[0] % width, place[1] % height)

    def chip_counts(self) -> Counter[ChipState]:
        """Return how many chips of the boards that are not dead are in each state."""
        alive = [view.board for view in self.boards if view.board not in self.dead.boards]
        return Counter(self.state(chip) for board in alive for _, chip in self.chips_of(board))

    def owners(self) -> dict[str, str]:
        """Return a letter for each owner, in the order of their first boards."""
        names = dict.fromkeys(view.owner for view in self.boards if view.owner)
        return {name: _LETTERS[i % len(_LETTERS)] for i, name in enumerate(names)}

    def as_json(self) -> dict[str, Any]:
        """Return the view as JSON values."""
        return {
            "name": self.name,
            "chips": self.machine.n_chips,
            "application_cores": self.machine.n_application_cores,
            "links": self.machine.n_links,
            "size": [self.machine.width, self.machine.height],
            "states": {str(state): n for state, n in sorted(self.chip_counts().items())},
            "dead": {
                "boards": sorted(map(list, self.dead.boards)),
                "chips": sorted(map(list, self.dead.chips)),
                "cores": sorted(map(list, self.dead.cores)),
                "links": sorted([x, y, int(link)] for x, y, link in self.dead.links),
                "cables": sorted([*board, int(link)] for *board, link in self.dead.cables),
            },
            "boards": [
                {
                    "board": list(view.board),
                    "address": view.address,
                    "state": view.state,
                    "temperature": view.temperature,
                    "owner": view.owner,
                }
                for view in self.boards
            ],
        }


_SPINN3_CHIPS = ((0, 0), (0, 1), (1, 0), (1, 1))
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
