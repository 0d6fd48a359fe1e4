"""The picture of a machine: every chip a hexagon, what is dead, what runs, whose the boards are."""

from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from orchestrator.errors import ArgumentError
from orchestrator.machine import Link
from orchestrator.machine.machine import Chip
from orchestrator.studies.machine_view import BoardView, ChipState, MachineView
from orchestrator.studies.mesh_drawing import INK, corners, place
from orchestrator.train.disk import replacing

COLOURS: Final = {
    ChipState.WORKS: "#d9d9d9",
    ChipState.IDLE: "#d9d9d9",
    ChipState.WAITING: "#f0e442",
    ChipState.RUNNING: "#56b4e9",
    ChipState.FAILED: "#d55e00",
    ChipState.DEAD: "#ffffff",
}
"""Told apart also by colour-blind eyes (Okabe and Ito 2008); failed and dead chips have signs."""

_SIGNS: Final = {ChipState.FAILED: ("^", "white"), ChipState.DEAD: ("x", INK)}
_ETHERNET: Final = "#0072b2"
_MOST_NAMED_CHIPS: Final = 48
_MOST_LABELLED: Final = 60
"""Boards up to which each says who has it; on larger machines only a letter does."""
_FORMATS: Final = (".png", ".svg")


def check_plot(path: Path) -> None:
    """Refuse a picture's file that is of no format, or has no folder.

    Raises
    ------
    ArgumentError
        If so.
    """
    if path.suffix not in _FORMATS:
        raise ArgumentError(f"--plot {path}: the name must end in {' or '.join(_FORMATS)}")
    if not path.parent.is_dir():
        raise ArgumentError(f"--plot {path}: the folder {path.parent} does not exist; create it")


def write_map(path: Path, view: MachineView) -> None:
    """Write the picture as PNG or SVG, by the file's name, as a whole.

    Raises
    ------
    ArgumentError
        Another format.
    RunError
        If the file cannot be written.
    """
    check_plot(path)
    with replacing(path) as temporary:
        draw_map(view).savefig(
            temporary, format=path.suffix[1:], facecolor="white", bbox_inches="tight"
        )


def draw_map(view: MachineView) -> Figure:
    """Return the picture of a machine."""
    chips = {p: chip for v in view.boards for p, chip in view.chips_of(v.board)}
    middles = [place(*p) for p in chips]
    width = max(x for x, _ in middles) - min(x for x, _ in middles) + 2
    height = max(y for _, y in middles) - min(y for _, y in middles) + 2
    scale = min(0.62, 13 / width)
    size = (max(6.0, scale * width), scale * height + 1.1)
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _draw_chips(axes, view, chips, scale)
    _draw_links(axes, view, chips, scale)
    _draw_boards(axes, view, scale)
    axes.set_aspect("equal")
    axes.axis("off")
    axes.set_title(_title(view), fontsize=10, color=INK)
    axes.legend(
        handles=_legend(view), loc="upper center", bbox_to_anchor=(0.5, 0.0), frameon=False,
        fontsize=8, ncols=4,
    )  # fmt: skip
    return figure


def _draw_chips(axes: Axes, view: MachineView, chips: dict[Chip, Chip], scale: float) -> None:
    states = {p: view.state(chip) for p, chip in chips.items()}
    colours = [COLOURS[state] for state in states.values()]
    cells = PolyCollection(
        [corners(*p)[:-1] for p in chips], facecolors=colours, edgecolors="white",
        linewidths=min(1.0, 2 * scale), zorder=1,
    )  # fmt: skip
    axes.add_collection(cells)
    for state, (sign, colour) in _SIGNS.items():
        at = [place(*p) for p, found in states.items() if found is state]
        if at:
            east, north = zip(*at, strict=True)
            axes.scatter(east, north, marker=sign, color=colour, s=320 * scale**2, zorder=8)
    if len(chips) <= _MOST_NAMED_CHIPS:
        for p, chip in chips.items():
            cores = view.application_cores(chip)
            text = f"{chip[0]},{chip[1]}" + (f"\n{cores} cores" if cores else "")
            x, y = place(*p)
            if states[p] not in _SIGNS:
                axes.text(x, y, text, ha="center", va="center", fontsize=5.5, color=INK, zorder=4)


def _draw_links(axes: Axes, view: MachineView, chips: dict[Chip, Chip], scale: float) -> None:
    """Draw links that do not work between chips that do as bars across, dark and thick."""
    bars = []
    for p, chip in chips.items():
        for link in (Link.EAST, Link.NORTH_EAST, Link.NORTH):
            other = (p[0] + link.step[0], p[1] + link.step[1])
            if other not in chips or view.machine.links[(*chip, link)]:
                continue
            if ChipState.DEAD not in (view.state(chip), view.state(chips[other])):
                bars.append(corners(*p)[link : link + 2])
    axes.add_collection(LineCollection(bars, colors="black", linewidths=7 * scale, zorder=5))


def _draw_boards(axes: Axes, view: MachineView, scale: float) -> None:
    """Draw where boards end, their Ethernet chips, and what is known of them."""
    sides, rings = [], []
    owners = view.owners()
    for board in view.boards:
        places = dict.fromkeys(p for p, _ in view.chips_of(board.board))
        sides += [
            corners(*p)[link : link + 2]
            for p in places
            for link in Link
            if (p[0] + link.step[0], p[1] + link.step[1]) not in places
        ]
        rings.append(corners(*next(iter(places))))
        if len(places) * len(view.boards) > _MOST_NAMED_CHIPS:
            middle = (
                sum(x for x, _ in places) / len(places),
                sum(y for _, y in places) / len(places),
            )
            _write_label(axes, middle, _label(view, board, owners), scale)
    for lines, colour, order in ((sides, INK, 4), (rings, _ETHERNET, 6)):
        axes.add_collection(
            LineCollection(lines, colors=colour, linewidths=4 * scale, zorder=order)
        )


def _write_label(axes: Axes, at: tuple[float, float], lines: list[str], scale: float) -> None:
    if lines:
        axes.text(
            *place(*at), "\n".join(lines), ha="center", va="center", color=INK, zorder=7,
            fontsize=max(3.0, min(8.0, 22 * scale)),
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )  # fmt: skip


def _label(view: MachineView, board: BoardView, owners: dict[str, str]) -> list[str]:
    if len(view.boards) > _MOST_LABELLED:
        return [owners[board.owner]] if board.owner else []
    name = ",".join(map(str, board.board))
    state = "dead" if board.board in view.dead.boards else board.state
    degrees = "" if board.temperature is None else f"{board.temperature:.0f} °C"
    facts = " ".join(fact for fact in (state, degrees) if fact)
    return [text for text in (f"board {name}", board.address, facts, board.owner) if text]


def _title(view: MachineView) -> str:
    machine, parts = view.machine, [view.name]
    if len(view.boards) == 1:
        board = view.boards[0]
        parts += [board.address, board.state, board.owner]
        if board.temperature is not None:
            parts.append(f"{board.temperature:.0f} °C")
    title = ", ".join(part for part in parts if part)
    return (
        f"{title}\n{machine.n_chips:,} chips, {machine.n_application_cores:,} application cores, "
        f"{machine.n_links:,} links"
    )


def _legend(view: MachineView) -> list[Patch]:
    counts = view.chip_counts()
    handles = []
    for state in COLOURS:
        if counts[state]:
            sign = {ChipState.FAILED: " (triangle)", ChipState.DEAD: " (cross)"}.get(state, "")
            label = f"{counts[state]} {state}{sign}"
            handles.append(Patch(facecolor=COLOURS[state], edgecolor=INK, label=label))
    handles.append(Patch(facecolor="none", edgecolor=_ETHERNET, linewidth=2, label="Ethernet chip"))
    if view.dead.links or view.dead.cables:
        handles.append(Patch(facecolor="black", label="bar: dead link"))
    if len(view.boards) > _MOST_LABELLED:
        for owner, letter in view.owners().items():
            handles.append(Patch(facecolor="none", edgecolor="none", label=f"{letter}: {owner}"))
    return handles
