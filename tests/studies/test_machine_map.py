"""A machine as text and as a picture: every chip once, dead parts by signs, 80 columns."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from orchestrator.errors import ArgumentError
from orchestrator.machine import Faults, Link, Machine, single_board, spinn3, torus, triads
from orchestrator.machine.machine import NO_FAULTS
from orchestrator.studies.machine_map import check_plot, draw_map, write_map
from orchestrator.studies.machine_text import draw_text, legend
from orchestrator.studies.machine_view import BoardView, ChipState, MachineView, chip_state
from orchestrator.wire.numbers import CoreState

DEAD = Faults(
    chips=frozenset({(3, 3)}),
    cores=frozenset({(2, 2, 5)}),
    links=frozenset({(1, 1, Link.NORTH), (5, 4, Link.EAST)}),
)
STATES = {(4, 4): ChipState.RUNNING, (0, 0): ChipState.FAILED, (7, 7): ChipState.WAITING}

BOARD = """\
        4,7 ○17─○17─○17─◇17
            ╱ ╲ ╱ ╲ ╱ ╲ ╱ ╲
      3,6 ○17─○17─○16─○17─○17
          ╱ ╲ ╱ ╲ ╱ ╲ ╱ ╲ ╱ ╲
    2,5 ○17─○16─○17─○17─○17─○17
        ╱ ╲ ╱ ╲ ╱ ╲ ╱ ╲ ╱ ╲ ╱ ╲
  1,4 ○17─○17─○17─●17─○16×○17─○17
      ╱ ╲ ╱ ╲ ╱     ╲ ╱ ╲ ╱ ╲ ╱ ╲
0,3 ○17─○16─○17 ✕   ○17─○17─○17─○17
      ╲ ╱ ╲ ╱ ╲     ╱ ╲ ╱ ╲ ╱ ╲ ╱
  0,2 ○17─○17─○16─○17─○17─○16─○17
        ╲ ╱ × ╱ ╲ ╱ ╲ ╱ ╲ ╱ ╲ ╱
    0,1 ○17─○16─○17─○16─○17─○17
          ╲ ╱ ╲ ╱ ╲ ╱ ╲ ╱ ╲ ╱
      0,0 ▲17─○17─○17─○17─○17"""


def view(
    build: Callable[[Faults], Machine], dead: Faults = NO_FAULTS, owner: str = "", **options
) -> MachineView:
    machine = build(dead)
    boards = sorted({*map(tuple, machine.boards.tolist()), *dead.boards})
    views = tuple(BoardView(board=b, owner=owner if b[2] == 1 else "") for b in boards)
    return MachineView(name="machine", machine=machine, dead=dead, boards=views, **options)


def written(text: Text) -> str:
    """The text as a terminal without colours shows it."""
    console = Console(file=io.StringIO(), width=200)
    console.print(text)
    return console.file.getvalue().rstrip("\n")


def test_a_board_with_dead_parts_and_states() -> None:
    shown = view(single_board, DEAD, states=STATES)
    assert written(draw_text(shown)) == BOARD
    assert (
        written(legend(shown)) == "○ 44 works   ◇ 1 waiting   ● 1 running   ▲ 1 failed   ✕ 1 dead"
    )


@pytest.mark.parametrize(
    ("build", "chips"),
    [
        (spinn3, 4),
        (single_board, 48),
        (lambda dead: triads(1, 1, (True, True), dead), 144),
        (lambda dead: triads(1, 1, (False, False), dead), 144),
    ],
)
def test_every_chip_is_there_once(build: Callable[[Faults], Machine], chips: int) -> None:
    shown = view(build)
    text = written(draw_text(shown))
    assert text.count("○") == shown.machine.n_chips == chips
    assert max(map(len, text.splitlines())) <= 80
    drawn = [place for v in shown.boards for place, _ in shown.chips_of(v.board)]
    named = {chip for v in shown.boards for _, chip in shown.chips_of(v.board)}
    assert len(set(drawn)) == len(drawn) == len(named) == chips


@pytest.mark.parametrize(("columns", "rows"), [(1, 2), (2, 1), (4, 2), (20, 20), (21, 1)])
def test_a_large_machine_fits_80_columns(columns: int, rows: int) -> None:
    dead = Faults(boards=frozenset({(0, rows - 1, 2)}))
    shown = view(lambda faults: torus(columns, rows, faults), dead, owner="ann@example.org")
    lines = written(draw_text(shown)).splitlines()
    assert max(map(len, lines)) <= 80
    if "A" in "".join(lines):  # one sign for each board
        assert len(lines) == 3 * rows
        assert sum(line.count("○") + line.count("✕") for line in lines) == 3 * columns * rows
        assert "".join(lines).count("A") == columns * rows
        assert "✕" in lines[0]
        assert "A ann@example.org" in written(legend(shown))


def test_boards_of_a_torus_lie_as_they_are_linked() -> None:
    """Two boards side by side are two columns apart and a line: the mesh is drawn to scale."""
    marks = {(0, 0, 0): "base", (0, 0, 1): "north-east", (0, 0, 2): "north"}
    machine = torus(6, 6)
    boards = tuple(
        BoardView(board=tuple(b), owner=marks.get(tuple(b), "")) for b in machine.boards.tolist()
    )
    shown = MachineView(name="m", machine=machine, boards=boards)
    lines = [*reversed(written(draw_text(shown)).splitlines())]
    letters = shown.owners()
    at = {
        name: next(
            (r, line.index(letters[name])) for r, line in enumerate(lines) if letters[name] in line
        )
        for name in marks.values()
    }
    assert at["base"] == (0, 1)
    assert at["north-east"] == (1, 3)
    assert at["north"] == (2, 1)


def test_a_chips_state_is_its_worst_core() -> None:
    assert chip_state((CoreState.IDLE, CoreState.RUNNING)) is ChipState.RUNNING
    assert chip_state((CoreState.RUNNING, CoreState.WATCHDOG)) is ChipState.FAILED
    assert chip_state(()) is ChipState.WORKS
    assert {chip_state((state,)) for state in CoreState} == {
        *(ChipState.IDLE, ChipState.WAITING, ChipState.RUNNING, ChipState.FAILED)
    }


def test_a_picture_says_what_is_dead_and_whose(tmp_path: Path) -> None:
    boards = [
        BoardView(board=(0, 0, z), address=f"127.0.66.{8 * z + 1}", state="booted", owner="ann",
                  temperature=40.4 + z)
        for z in range(3)
    ]  # fmt: skip
    machine = triads(1, 1, (True, True), DEAD)
    shown = MachineView(
        name="virtual", machine=machine, dead=DEAD, boards=tuple(boards), states=STATES
    )
    path = tmp_path / "machine.svg"
    write_map(path, shown)
    texts = re.findall(r"<!-- (.*?) -->", path.read_text())
    assert {"1 failed (triangle)", "1 dead (cross)", "bar: dead link"} <= set(texts)
    axes = draw_map(shown).axes[0]
    assert "board 0,0,2\n127.0.66.17\nbooted 42 °C\nann" in [t.get_text() for t in axes.texts]
    chips = next(c for c in axes.collections if len(c.get_paths()) == 144)
    assert len({tuple(colour) for colour in chips.get_facecolors()}) == 5


@pytest.mark.parametrize("name", ["a.png", "a.svg"])
def test_pictures_of_both_formats(tmp_path: Path, name: str) -> None:
    write_map(tmp_path / name, view(spinn3))
    start = (tmp_path / name).read_bytes()[:8]
    assert start == b"\x89PNG\r\n\x1a\n" if name.endswith("png") else start.startswith(b"<?xml")


@pytest.mark.parametrize("name", ["a.jpeg", "a", "nowhere/a.png"])
def test_a_picture_that_cannot_be_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArgumentError, match="--plot"):
        check_plot(tmp_path / name)


def test_a_view_is_json() -> None:
    found = json.loads(json.dumps(view(single_board, DEAD, states=STATES).as_json()))
    assert found["chips"] == 47
    assert found["states"] == {"dead": 1, "failed": 1, "running": 1, "waiting": 1, "works": 44}
    assert found["dead"]["links"] == [[1, 1, 2], [5, 4, 0]]
