"""Which chips boot together, and how they are numbered: the boards that open cables join.

The machine that a board boots is what can be reached from it over powered boards and cables that
neither FPGA has stopped. Chip (0, 0) is that board's Ethernet chip, and a direction closes if a way
around it exists: so one board of a torus is 8 x 8, a triad by itself 12 x 12 or 16 x 16.

References
----------
spinnaker_tools ``scamp-3.c`` (``compute_st``, ``p2p_dims``): the extent is found by asking; what
spalloc_server 1!7.0.0 expects of a job's machine.
"""

from collections import deque
from collections.abc import Callable, Collection, Mapping
from math import gcd
from typing import Final, NamedTuple

from orchestrator.machine.boards import FPGA
from orchestrator.machine.geometry import BOARD_CHIPS, CABLE_LINKS, torus_hops
from orchestrator.machine.links import Link
from orchestrator.machine.machine import Board, Chip, Machine
from orchestrator.virtual.monitor.plan import ChipPlan, MachinePlan
from orchestrator.wire.layout import CHIP_CORES

BOARD_SIDE: Final = 8
_SPINN3_CHIPS: Final = ((0, 0), (0, 1), (1, 0), (1, 1))
_CABLE_OF: Final = {
    (x, y, link): direction for direction in Link for x, y, link in CABLE_LINKS[direction]
}
"""Of a chip's link that leaves its board, relative to the board, the cable it is in."""

STOP_REGISTERS: Final = {
    link: (fpga, 0x5C if channel == 0 else 0x1005C) for link, (fpga, channel, _) in FPGA.items()
}
"""Of each cable, the FPGA and the register that stops its links (spalloc_server ``links.py``)."""


class BootPlan(NamedTuple):
    """What boots together.

    Attributes
    ----------
    machine
        The chips.
    boards
        The boards.
    ethernets
        Of those boards whose Ethernet chip is part of the machine, that chip there.
    """

    machine: MachinePlan
    boards: list[Board]
    ethernets: dict[Board, Chip]


class Site:
    """The boards as they stand: what is cabled to what, whatever has power.

    Parameters
    ----------
    machine
        The machine as it is built.
    dead_cores
        (x, y, physical core) of cores that do not work.
    """

    def __init__(self, machine: Machine, dead_cores: Collection[tuple[int, int, int]] = ()):
        self.machine = machine
        self.size = (machine.width, machine.height)
        self.is_spinn3 = machine.width < BOARD_SIDE
        self._dead_cores = frozenset(dead_cores)
        self._number = {
            (int(x), int(y), int(z)): number for number, (x, y, z) in enumerate(machine.boards)
        }
        self._ethernet = [(int(x), int(y)) for x, y in machine.ethernet]

    @property
    def board_chips(self) -> tuple[Chip, ...]:
        """Return the chips of a board relative to its Ethernet chip."""
        return _SPINN3_CHIPS if self.is_spinn3 else BOARD_CHIPS

    def boards(self) -> list[Board]:
        """Return the boards that work."""
        return list(self._number)

    def place(self, board: Board, chip: Chip) -> Chip:
        """Return where a chip of a board, given relative to it, is in the machine."""
        x, y = self._ethernet[self._number[board]]
        return (x + chip[0]) % self.size[0], (y + chip[1]) % self.size[1]

    def physical_cores(self, place: Chip) -> tuple[int, ...]:
        """Return the physical number of each virtual core of a chip.

        Which core becomes the monitor is decided by a race on each chip, so it differs here too.
        """
        count = int(self.machine.cores[place])
        dead = {core for x, y, core in self._dead_cores if (x, y) == place}
        alive = [core for core in range(CHIP_CORES) if core not in dead][:count]
        monitor = alive[sum(place) % min(3, len(alive))]
        return (monitor, *(core for core in alive if core != monitor))

    def neighbour(self, board: Board, direction: Link) -> Board | None:
        """Return the board at the other end of a cable, None where the machine ends."""
        if self.is_spinn3:
            return None
        for x, y, link in CABLE_LINKS[direction]:
            here = self.place(board, (x, y))
            there = [a + step for a, step in zip(here, link.step, strict=True)]
            wrapped = (there[0] % self.size[0], there[1] % self.size[1])
            outside = [
                a != b and not wrap
                for a, b, wrap in zip(there, wrapped, self.machine.wraps, strict=True)
            ]
            number = int(self.machine.board_at[wrapped])
            if number >= 0 and not any(outside):
                x, y, z = self.machine.boards[number]
                return int(x), int(y), int(z)
        return None


def boot_plan(
    site: Site,
    root: Board,
    addresses: Mapping[Board, str],
    is_open: Callable[[Board, Link], bool],
) -> BootPlan:
    """Return the machine that boots from a board.

    Parameters
    ----------
    root
        The board that got the image.
    addresses
        IP addresses of the boards that have power.
    is_open
        Whether a board's FPGA lets packets through a cable; both ends have to.
    """
    positions, periods = _positions(site, root, addresses, is_open)
    size = _size(site, positions, periods)
    origin = {
        board: (position[0] % size[0], position[1] % size[1])
        for board, position in positions.items()
    }
    boards_at = {}
    for board, (east, north) in origin.items():
        for chip in site.board_chips:
            if site.machine.cores[site.place(board, chip)]:
                at = ((east + chip[0]) % size[0], (north + chip[1]) % size[1])
                boards_at[site.place(board, chip)] = (at, board, chip)
    links = {
        at: tuple(_across(site, boards_at, place, board, chip, link, is_open) for link in Link)
        for place, (at, board, chip) in boards_at.items()
    }
    reached = _reached(links)
    ethernets = {board: at for board, at in origin.items() if at in reached}
    chips = {}
    for place, (at, board, _) in boards_at.items():
        if at in reached:
            chips[at] = ChipPlan(
                place=place,
                ethernet=ethernets.get(board) or _nearest(at, list(ethernets.values()), size),
                ip_address=addresses[board] if ethernets.get(board) == at else "",
                physical_cores=site.physical_cores(place),
            )
    kept = {at: tuple(there if there in reached else None for there in links[at]) for at in chips}
    plan = MachinePlan(width=size[0], height=size[1], chips=chips, links=kept)
    return BootPlan(plan, list(positions), ethernets)


def _positions(
    site: Site, root: Board, powered: Collection[Board], is_open: Callable[[Board, Link], bool]
) -> tuple[dict[Board, Chip], Chip]:
    """Return the boards that a boot reaches, unwrapped, and after how many chips x and y repeat."""
    positions = {root: (0, 0)}
    waiting = deque([root])
    period_x = period_y = 0
    while waiting:
        board = waiting.popleft()
        for link in Link:
            there = site.neighbour(board, link)
            if there is None or there not in powered:
                continue
            if not (is_open(board, link) and is_open(there, link.opposite)):
                continue
            x, y = (a + b for a, b in zip(positions[board], link.board_step, strict=True))
            if there not in positions:
                positions[there] = (x, y)
                waiting.append(there)
            period_x = gcd(period_x, abs(x - positions[there][0]))
            period_y = gcd(period_y, abs(y - positions[there][1]))
    return positions, (period_x, period_y)


def _size(site: Site, positions: Mapping[Board, Chip], periods: Chip) -> Chip:
    """Return width and height: the period where a direction closes, else the extent."""
    if site.is_spinn3:
        return site.size
    sizes = []
    for axis, period in enumerate(periods):
        along = [position[axis] for position in positions.values()]
        sizes.append(period or max(along) - min(along) + BOARD_SIDE)
    return sizes[0], sizes[1]


def _across(
    site: Site,
    boards_at: Mapping[Chip, tuple[Chip, Board, Chip]],
    place: Chip,
    board: Board,
    chip: Chip,
    link: Link,
    is_open: Callable[[Board, Link], bool],
) -> Chip | None:
    """Return the booted chip at the other end of a link that works and is open."""
    there = site.machine.neighbour(*place, link)
    found = boards_at.get(there) if there is not None else None
    if found is None:
        return None
    cable = None if site.is_spinn3 else _CABLE_OF.get((*chip, link))
    if cable is not None and not (is_open(board, cable) and is_open(found[1], cable.opposite)):
        return None
    return found[0]


def _reached(links: Mapping[Chip, tuple[Chip | None, ...]]) -> set[Chip]:
    """Return the chips that (0, 0) reaches; none if it does not work."""
    if (0, 0) not in links:
        return set()
    reached, waiting = {(0, 0)}, deque([(0, 0)])
    while waiting:
        for there in links[waiting.popleft()]:
            if there is not None and there not in reached:
                reached.add(there)
                waiting.append(there)
    return reached


def _nearest(chip: Chip, ethernets: Collection[Chip], size: Chip) -> Chip:
    """Return the nearest Ethernet chip, for chips of a board whose own does not work."""
    return min(ethernets, key=lambda at: torus_hops(chip[0] - at[0], chip[1] - at[1], *size))
