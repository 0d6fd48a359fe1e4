"""Writes docs/machine.md, with its tables of cables and constants, and docs/images/machine.png.

Usage: python docs/machine/render.py
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from orchestrator.machine import Link
from orchestrator.machine.boards import FPGA
from orchestrator.machine.build import CHIPS_OF_17_CORES
from orchestrator.machine.constants import CONSTANTS, Constant
from orchestrator.machine.geometry import BOARD_CHIPS, CABLE_LINKS, ETHERNET_IN_TRIAD
from orchestrator.studies.mesh_drawing import INK, cell, place

HERE = Path(__file__).resolve().parent
PAGE = HERE.with_suffix(".md")
PICTURE = HERE.parent / "images" / "machine.png"

TEXT = """# The machine

`orchestrator.machine` says what a SpiNNaker machine consists of and what of it works: a pure value
that the planners of mappings and exchanges read. The largest, 1,200 boards with 57,600 chips and a
million cores, takes 20 ms to make.

![A board's chips and cables, and the boards of a small torus](images/machine.png)

(`python docs/machine/render.py` draws it and writes this page.)

## Chips, boards, triads

**Chips** are the points of a triangular mesh. Chip (x, y) has links, numbered as the router numbers
them: 0 east (+1, 0), 1 north-east (+1, +1), 2 north (0, +1), and 3, 4, 5 the opposite ways. A chip
has 18 cores; one runs the system software, and 15 to 17 of the others are for applications.

A **board** (SpiNN-5) is a hexagon of 48 chips; its south-west chip has the Ethernet socket and
gives the board its coordinates in chips. 120 links join its chips and 48 leave it: eight in each of
six directions, which an FPGA multiplexes over one **cable**. So boards are a triangular mesh too.

Three boards make a **triad** of 12 x 12 chips. Boards are named (x, y, z) as spalloc names them:
the z-th board of triad (x, y). W x H triads can be closed to a **torus** of 12 W x 12 H chips; left
**open**, their boards stick out and the chips fill 12 W + 4 by 12 H + 4. On small tori two boards
are joined by several cables, so a cable is named by a board and a direction.

The 4-chip board (SpiNN-3) is a single board without cables.

| direction | next board's Ethernet chip | FPGA | channels | socket | chips (x, y): links |
|---|---|--:|---|---|---|
{cables}

## What does not work

`Faults` lists dead boards, chips, cores, links and cables, in the coordinates of the machine. A
link is out of use both ways, as the tools treat links that work one way only. A board whose
Ethernet chip is dead stays in the mesh but has no host link. A cable with some of its eight links
dead stays in use with what it has left. `Machine.parts` says which chips can reach each other.

## Slices

A slice is a machine of its own: `rectangle` of triads (what spalloc hands out; closed only in a
direction in which it takes the whole machine), `run_of_boards` (n boards that adjoin, along a path
through the machine), `take` (any boards), `single_board`, `single_chip`.

## Beside SpiNNMachine

The tools have such a description, [SpiNNMachine](https://github.com/SpiNNakerManchester/SpiNNMachine).
The tests compare coordinates, links, cores, dead parts and FPGA channels with it. It is not used
otherwise, because a plan needs what it does not give: arrays instead of an object per link (1,200
boards took it 5.7 s of CPU time), several machines in one process (it keeps one configuration in
global state), rectangles cut out of a machine, and constants with their sources.

## Constants

Low and high bound what a reader should believe. *Data sheet*: stated by a data sheet, a manual or a
published source, or worked out from one. *Assumed*: an estimate; nobody has measured it. Nothing in
this table was measured by us.

| constant | low | typical | high | status | source |
|---|--:|--:|--:|---|---|
{constants}

Sources. DS: SpiNNaker data sheet 2.02 (2011). AN7, AN9: SpiNNaker application notes. TEM15:
S. Temple, "Chip Resources", SpiNNaker workshop 2015. SM: SpiNNMachine. SCAMP: spinnaker_tools.
SPIO: the FPGA design. Plana 2020: "spiNNlink", IEEE Access 8, 84918. Heathcote: thesis,
Manchester 2016.
"""

SHADE, ETHERNET, FEWER = "#dddddd", "#0072b2", "#e69f00"  # colour-blind safe
BOARDS = ("#56b4e9", "#f0e442", "#cc79a7")


def page() -> str:
    """Return the page as Markdown."""
    constants = "\n".join(map(_constant, CONSTANTS.values()))
    return TEXT.format(cables="\n".join(map(_cable, Link)), constants=constants)


def name(direction: Link) -> str:
    """Return a direction in words."""
    return direction.name.lower().replace("_", "-")


def _cable(direction: Link) -> str:
    fpga, first, socket = FPGA[direction]
    east, north = direction.board_step
    links: dict[tuple[int, int], list[str]] = {}
    for x, y, link in CABLE_LINKS[direction]:
        links.setdefault((x, y), []).append(str(int(link)))
    chips = "; ".join(f"{chip}: {', '.join(links[chip])}" for chip in sorted(links))
    return (
        f"| {name(direction)} | ({east:+d}, {north:+d}) | {fpga} | {first} to {first + 7} "
        f"| {socket} | {chips} |"
    )


def _constant(constant: Constant) -> str:
    values = (constant.low, constant.typical, constant.high)
    shown = " | ".join(_quantity(value, constant.unit) for value in values)
    return f"| `{constant.name}` | {shown} | {constant.status} | {constant.source} |"


def _quantity(value: float, unit: str) -> str:
    """Return a value with its unit, in thousands or thousandths as fits."""
    if unit == "of all" or unit == "of the rate":
        return f"{100 * value:g} %"
    for power, prefix in ((6, "M"), (-9, "n"), (-6, "µ"), (-3, "m")):
        small = power < 0 and 1 <= round(value / 10**power, 6) < 1000
        large = power > 0 and value >= 10**power
        if small or large:
            return f"{value / 10**power:.9g} {prefix}{unit}"
    return f"{value:,.10g} {unit}"


def draw_board(axes: Axes) -> None:
    """Draw the chips of one board, its links, and where its cables go."""
    board = set(BOARD_CHIPS)
    for x, y in BOARD_CHIPS:
        cell(axes, x, y, board, "#f2f2f2")
        for link in Link:
            inside = (x + link.step[0], y + link.step[1]) in board
            reach = 1 if inside else 0.8
            end = place(x + reach * link.step[0], y + reach * link.step[1])
            colour = "#aaaaaa" if inside else INK
            axes.plot(*zip(place(x, y), end, strict=True), color=colour, zorder=2)
        colour = ETHERNET if (x, y) == (0, 0) else FEWER if (x, y) in CHIPS_OF_17_CORES else SHADE
        axes.scatter(*place(x, y), s=330, color=colour, edgecolor=INK, linewidth=0.6, zorder=3)
        ink = "white" if (x, y) == (0, 0) else INK
        label = f"{x},{y}"
        axes.text(*place(x, y), label, ha="center", va="center", fontsize=7, color=ink, zorder=4)
    middle = place(3.5, 3.5)
    for direction, (fpga, _, socket) in FPGA.items():
        x, y = place(*(0.74 * step for step in direction.board_step))
        label = f"{name(direction)} ({int(direction)})\nFPGA {fpga}, {socket}"
        axes.text(middle[0] + x, middle[1] + y, label, ha="center", va="center", fontsize=9)
    axes.set_xlim(middle[0] - 7.5, middle[0] + 7.5)
    axes.set_ylim(middle[1] - 7.2, middle[1] + 6)
    axes.legend(
        handles=[
            Patch(facecolor=ETHERNET, edgecolor=INK, label="Ethernet chip, 18 cores"),
            Patch(facecolor=SHADE, edgecolor=INK, label="18 cores"),
            Patch(facecolor=FEWER, edgecolor=INK, label="17 cores"),
        ],
        loc="lower center",
        frameon=False,
        fontsize=9,
        ncols=3,
    )
    axes.set_title("A board: 48 chips (x, y), eight links to each of six boards", fontsize=11)


def draw_torus(axes: Axes, columns: int, rows: int) -> None:
    """Draw the boards of a torus of triads, with the cables of one board."""
    for x, y, z in ((x, y, z) for x in range(columns) for y in range(rows) for z in range(3)):
        east, north = (12 * c + d for c, d in zip((x, y), ETHERNET_IN_TRIAD[z], strict=True))
        board = {(east + dx, north + dy) for dx, dy in BOARD_CHIPS}
        for chip in board:
            cell(axes, *chip, board, BOARDS[z])
        middle = place(east + 3.5, north + 3.5)
        behind = {"facecolor": BOARDS[z], "edgecolor": "none", "pad": 1}
        label = f"{x},{y},{z}"
        axes.text(*middle, label, ha="center", va="center", fontsize=9, zorder=6, bbox=behind)
    middle = place(12 + 3.5, 12 + 3.5)  # of board (1, 1, 0)
    for link in Link:
        dx, dy = place(*link.board_step)
        axes.annotate(
            "",
            xytext=(middle[0] + 0.25 * dx, middle[1] + 0.25 * dy),
            xy=(middle[0] + 0.75 * dx, middle[1] + 0.75 * dy),
            arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 1.6},
        )
    corners = ((0, 0), (columns, 0), (columns, rows), (0, rows), (0, 0))
    box = [place(12 * x - 0.5, 12 * y - 0.5) for x, y in corners]
    axes.plot(*zip(*box, strict=True), color=ETHERNET, linestyle="--", linewidth=2, zorder=5)
    axes.set_title(
        f"{columns} x {rows} triads: boards (x, y, z); on a torus opposite dashed sides meet",
        fontsize=11,
    )


def draw() -> None:
    """Write the picture."""
    figure, axes = plt.subplots(
        1, 2, figsize=(14, 6.2), width_ratios=(1, 1.1), layout="constrained"
    )
    draw_board(axes[0])
    draw_torus(axes[1], 3, 2)
    for each in axes:
        each.set_aspect("equal")
        each.axis("off")
    figure.savefig(PICTURE, dpi=110, facecolor="white")


if __name__ == "__main__":
    PAGE.write_text(page())
    draw()
    print(f"wrote {PAGE} and {PICTURE}")
