"""Writes docs/hardware.md, with maps and the self-test's sizes, and docs/images/machine-show.png.

Usage: python docs/hardware/render.py
"""

import io
from collections import defaultdict
from pathlib import Path

from rich.console import Console

from orchestrator.boards.hardware.selftest.cases import every_case
from orchestrator.boards.hardware.selftest.recording import record
from orchestrator.cli.machine_show import print_view, view_of_config
from orchestrator.machine import Faults, Link, single_board, torus
from orchestrator.studies.machine_map import write_map
from orchestrator.studies.machine_text import draw_text
from orchestrator.studies.machine_view import BoardView, ChipState, MachineView

HERE = Path(__file__).resolve().parent
PAGE = HERE.with_suffix(".md")
PICTURE = HERE.parent / "images" / "machine-show.png"
CONFIG = HERE.parents[1] / "configs" / "machine_spinn5.yaml"
WIDTH = 80


def page() -> str:
    """Return the page as Markdown."""
    cases = every_case()
    # The tape's length does not depend on where the image has its functions.
    recording = record(cases, defaultdict(lambda: 0x4000))
    values = {
        "cases": len(cases),
        "kinds": len({case.kernel for case in cases}),
        "operands": round(len(recording.operands) / 1000),
        "tape": round(recording.tape_bytes / 1000),
        "results": round(recording.results_bytes / 1000),
        "sick": (HERE / "sick.txt").read_text(encoding="utf-8").rstrip(),
        "spinn5": shown(view_of_config(CONFIG)),
        "boards": draw_text(boards_with_a_dead_one(), WIDTH).plain,
    }
    return (HERE / "template.txt").read_text(encoding="utf-8").format(**values)


def shown(view: MachineView) -> str:
    """Return what `regatta machine show` prints."""
    console = Console(file=io.StringIO(), width=WIDTH, highlight=False)
    print_view(view, console)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def boards_with_a_dead_one() -> MachineView:
    """Return a torus of 24 boards."""
    dead = Faults(boards=frozenset({(1, 1, 2)}))
    machine = torus(4, 2, dead)
    names = [(x, y, z) for x in range(4) for y in range(2) for z in range(3)]
    owners = {name: "ann@example.org" for name in names if name[0] < 2 and name not in dead.boards}
    boards = tuple(BoardView(board=name, owner=owners.get(name, "")) for name in names)
    return MachineView(name="torus", machine=machine, dead=dead, boards=boards)


def draw() -> None:
    """Write the picture: made up, with something of everything."""
    dead = Faults(
        chips=frozenset({(3, 3)}),
        links=frozenset({(1, 1, Link.NORTH), (5, 4, Link.EAST)}),
    )
    states = {(x, y): ChipState.IDLE for x in range(8) for y in range(8)}
    states |= {(x, 5): ChipState.RUNNING for x in range(3, 7)}
    states |= {(6, 6): ChipState.WAITING, (7, 6): ChipState.WAITING, (4, 1): ChipState.FAILED}
    board = BoardView(
        board=(0, 0, 0), address="127.0.65.1", state="booted", temperature=38.0, owner=""
    )
    view = MachineView(
        name="A board", machine=single_board(dead), dead=dead, states=states, boards=(board,)
    )
    write_map(PICTURE, view)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    draw()
    print(f"wrote {PAGE} and {PICTURE}")
