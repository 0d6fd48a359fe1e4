"""``regatta machine show``."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestrator.boards.hardware.allocation_server import ServerLink, ServerMachine
from orchestrator.boards.hardware.bmp import BmpLink
from orchestrator.boards.hardware.look import Sight, look
from orchestrator.boards.hardware.selftest import count
from orchestrator.cli.machine_options import check_belongs, check_one, parse_slots
from orchestrator.cli.output import check_json, write_json
from orchestrator.errors import ArgumentError, RunError
from orchestrator.machine import Faults, Machine, triads
from orchestrator.machine.geometry import board_of
from orchestrator.machine.machine import Board
from orchestrator.studies.machine_map import check_plot, write_map
from orchestrator.studies.machine_text import draw_text, legend
from orchestrator.studies.machine_view import BoardView, ChipState, MachineView, chip_state
from orchestrator.virtual.serving.configuration import board_places, load_virtual_machine

_MOST_ROWS = 24
"""Boards up to which all are listed; of more, those with something to tell."""

_MOST_PARTS = 20
_BOARD_STEP = 8
"""From slot to slot of a frame, the last byte of a board's address grows by this much."""


def show(
    config: Path | None,
    *,
    host: str | None,
    bmp: str | None,
    slots: str | None,
    server: str | None,
    name: str | None,
    plot: Path | None,
    json_path: Path | None,
) -> None:
    """Print a machine's map, its boards and dead parts; write a picture and JSON if asked for.

    Raises
    ------
    ConfigError, ArgumentError
        Options that do not fit together, a file that cannot be read or written.
    RunError
        The board, BMP or server does not answer, or the board is not booted.
    MissingToolError
        The spalloc client is not installed.
    """
    check_json(json_path)
    if plot is not None:
        check_plot(plot)
    check_one(config, host, server)
    check_belongs("--machine", name, "--spalloc", server)
    check_belongs("--bmp", bmp, "--host", host)
    check_belongs("--slots", slots, "--bmp", bmp)
    places = parse_slots(slots)
    if config is not None:
        view = view_of_config(config)
    elif server is not None:
        view = view_of_server(server, name)
    else:
        assert host is not None  # by check_one
        view = view_of_host(host, {} if bmp is None else _temperatures(bmp, places))
    print_view(view, Console(highlight=False))
    if plot is not None:
        write_map(plot, view)
        print(f"wrote {plot}")
    write_json(json_path, view.as_json())


# ---- where it comes from ----


def view_of_config(config: Path) -> MachineView:
    """Return the machine that a configuration describes, served or not."""
    settings = load_virtual_machine(config)
    dead = settings.dead.faults()
    state = "booted" if settings.booted else "not booted" if settings.powered else "off"
    boards = tuple(
        BoardView(board=p.board, address=p.address, state=state) for p in board_places(settings)
    )
    machine = settings.machine()
    return MachineView(name=config.stem, machine=machine, dead=dead, boards=boards)


def view_of_host(host: str, temperatures: Mapping[str, float]) -> MachineView:
    """Return the booted machine behind a host name, as it is now.

    Parameters
    ----------
    temperatures : degrees Celsius by board address; the one under "" is the root board's.
    """
    sight = look(host)
    if sight is None:
        degrees = f" (its board has {temperatures['']:.0f} °C)" if "" in temperatures else ""
        raise RunError(
            f"board {host} does not answer: it is off or not booted{degrees}; "
            "`regatta machine selftest` boots it"
        )
    boards: list[BoardView] = []
    for x, y, z in sight.machine.boards.tolist():
        board = (x, y, z)
        address = _address(sight, board)
        degrees_of = temperatures.get(address, temperatures.get("") if len(boards) == 0 else None)
        boards.append(
            BoardView(board=board, address=address, state="booted", temperature=degrees_of)
        )
    states = {chip: chip_state(cores) for chip, cores in sight.states.items()}
    return MachineView(
        name=host, machine=sight.machine, dead=sight.dead, states=states, boards=tuple(boards)
    )


def _address(sight: Sight, board: Board) -> str:
    columns, rows = sight.machine.n_triads
    for (x, y), address in sight.ethernet.items():
        east, north, z = board_of(x, y)
        if (east % columns, north % rows, z) == board:
            return address
    return ""


def _temperatures(bmp: str, slots: Sequence[int]) -> dict[str, float]:
    """Return the temperature of each slot's board by the board's address.

    The addresses are those of spalloc's numbering (``Machine.with_standard_ips``); a single slot
    is the root board's whatever its address.
    """
    found: dict[str, float] = {}
    front, _, last = bmp.rpartition(".")
    with BmpLink(bmp) as link:
        for slot in slots:
            degrees = max(link.measurements(slot).temperatures[:2])
            if len(slots) == 1:
                found[""] = degrees
            if last.isdigit():
                found[f"{front}.{int(last) + _BOARD_STEP * slot + 1}"] = degrees
    return found


def view_of_server(server: str, name: str | None) -> MachineView:
    """Return a machine of an allocation server, with who has which of its boards."""
    with ServerLink(server) as link:
        machine = _named(link.machines(), server, name)
        jobs = [job for job in link.jobs() if job.machine == machine.name]
    dead = Faults(boards=frozenset(machine.dead_boards))
    owners = {board: f"{job.owner} (job {job.number})" for job in jobs for board in job.boards}
    boards = [
        (x, y, z) for x in range(machine.width) for y in range(machine.height) for z in range(3)
    ]
    views = tuple(BoardView(board=b, owner=owners.get(b, "")) for b in boards)
    whole: Machine = triads(machine.width, machine.height, (True, True), dead)
    return MachineView(name=f"{machine.name} of {server}", machine=whole, dead=dead, boards=views)


def _named(machines: Sequence[ServerMachine], server: str, name: str | None) -> ServerMachine:
    names = ", ".join(machine.name for machine in machines) or "none"
    found = [machine for machine in machines if name in (None, machine.name)]
    if len(found) != 1:
        wanted = "--machine says which" if name is None else f"--machine: {name} is none of them"
        raise ArgumentError(f"spalloc server {server} has the machines {names}; {wanted}")
    return found[0]


# ---- what is printed ----


def print_view(view: MachineView, console: Console) -> None:
    """Print the map, what its signs say, the boards and the dead parts."""
    machine = view.machine
    console.print(
        f"{view.name}: {count(machine.n_boards, 'board')}, {machine.n_chips:,} chips, "
        f"{machine.n_application_cores:,} application cores, {machine.n_links:,} links",
        style="bold",
        soft_wrap=True,
    )
    console.print(draw_text(view, console.width))
    console.print(legend(view))
    rows = [row for row in map(lambda v: _row(view, v), view.boards) if row is not None]
    if rows:
        names = ("board", "address", "state", "°C", "dead chips", "whose")
        told = [i for i in range(len(names)) if any(row[i] for row in rows)]
        table = Table()
        for i in told:
            table.add_column(names[i])
        for row in rows[:_MOST_ROWS]:
            table.add_row(*(escape(row[i]) for i in told))
        console.print(table)
        if len(rows) > _MOST_ROWS:
            console.print(f"and {count(len(rows) - _MOST_ROWS, 'board')} more (--json has all)")
    for text in _dead_parts(view):
        console.print(text)


def _row(view: MachineView, board: BoardView) -> tuple[str, ...] | None:
    """Return a board's row, None if there are many boards and nothing is to be told of it."""
    is_dead = board.board in view.dead.boards
    chips = [chip for _, chip in view.chips_of(board.board)]
    dead = 0 if is_dead else sum(view.state(chip) is ChipState.DEAD for chip in chips)
    state = "dead" if is_dead else board.state
    if len(view.boards) > _MOST_ROWS and not (is_dead or dead or board.owner):
        return None
    degrees = "" if board.temperature is None else f"{board.temperature:.1f}"
    name = ",".join(map(str, board.board))
    return name, board.address, state, degrees, str(dead) if dead else "", board.owner


def _dead_parts(view: MachineView) -> list[str]:
    """Return a line for each kind of part that does not work."""
    dead, width, height = view.dead, view.machine.width, view.machine.height
    ends = []
    for x, y, link in sorted(dead.links):
        other = ((x + link.step[0]) % width, (y + link.step[1]) % height, link.opposite)
        if other not in dead.links or (x, y, link) < other:  # listed from one end
            ends.append((x, y, int(link)))
    found: dict[str, Sequence[tuple[int, ...]]] = {
        "dead chips (x, y)": sorted(dead.chips),
        "dead cores (x, y, physical number)": sorted(dead.cores),
        "dead links (x, y, link)": ends,
        "dead cables (x, y, z, direction)": sorted(
            (*board, int(link)) for *board, link in dead.cables
        ),
    }
    lines = []
    for kind, parts in found.items():
        names = ["(" + ", ".join(map(str, part)) + ")" for part in parts]
        if names:
            more = f" and {len(names) - _MOST_PARTS} more" if len(names) > _MOST_PARTS else ""
            lines.append(f"{kind}: {', '.join(names[:_MOST_PARTS])}{more}")
    return lines
