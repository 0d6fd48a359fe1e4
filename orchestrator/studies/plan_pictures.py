"""The pictures of a plan: the slice by load and traffic, time by layer, memory, sensitivity.

Colours can be told apart by colour-blind eyes (Okabe and Ito 2008; the viridis map), and every
picture has its own white ground, so that it reads the same on light and dark pages.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from orchestrator.machine import Link
from orchestrator.machine.constants import constant
from orchestrator.perf.sensitivity import Swing
from orchestrator.perf.step import COMPUTED
from orchestrator.perf.timing import Component, Walk
from orchestrator.studies.mesh_drawing import INK, cell, place
from orchestrator.studies.plan_report import PlanReport
from orchestrator.train.disk import replacing

MAP = "viridis"
COLOURS = {
    Component.COMPUTE: "#0072b2",
    Component.SDRAM: "#56b4e9",
    Component.PACKET_CORES: "#e69f00",
    Component.INJECTION: "#f0e442",
    Component.LINKS: "#d55e00",
    Component.LATENCY: "#cc79a7",
    Component.BARRIERS: "#999999",
}
LOW, HIGH = "#56b4e9", "#d55e00"
MOST_NUMBERED = 64
"""Chips that are labelled with numbers."""
SEEN = 1e-3
"""Part of a step below which nothing is drawn."""


def chip_loads(walk: Walk) -> NDArray[np.float64]:
    """Return the part of a step that each chip's computing cores are busy, float64 [n_chips]."""
    program, r = walk.program, walk.rates
    busy = sum((load.work.busy_cycles for load in walk.loads.phases), np.zeros(program.n_chips))
    computing = np.maximum(program.cores - program.packet_cores, 1)
    share: NDArray[np.float64] = busy * r.kernel_cycles / (r.clock * walk.total_s * computing)
    return share


def link_loads(walk: Walk) -> NDArray[np.float64]:
    """Return the bytes over each directed link in a step, float64 [6 * n_chips]."""
    nothing = np.zeros(len(Link) * walk.program.n_chips)
    return sum((load.before.links + load.beside.links for load in walk.loads.phases), nothing)


def draw_slice(report: PlanReport) -> Figure:
    """Return the chips coloured by load, and their links by traffic."""
    program = report.program
    x, y = np.array([place(*chip) for chip in program.chips.tolist()]).T
    wide, high = float(np.ptp(x)) + 2, float(np.ptp(y)) + 2
    scale = min(0.66, 20 / wide)  # inches from chip to chip
    figure = _figure(2 * max(4.0, scale * wide + 1.4), max(3.0, scale * high + 0.8))
    load_axes, link_axes = figure.subplots(1, 2)
    _draw_loads(load_axes, report)
    _draw_links(link_axes, report)
    for axes in (load_axes, link_axes):
        axes.set_xlim(x.min() - 1, x.max() + 1)
        axes.set_ylim(y.min() - 1, y.max() + 1)
        axes.set_aspect("equal")
        axes.axis("off")
    figure.suptitle(report.title)
    return figure


def _draw_loads(axes: Axes, report: PlanReport) -> None:
    program = report.program
    shown = ScalarMappable(Normalize(0, 100), MAP)
    boards = [
        {tuple(chip) for chip in program.chips[program.board == board].tolist()}
        for board in range(report.machine.n_boards)
    ]
    loads = (100 * chip_loads(report.walk)).tolist()
    for (x, y), board, load in zip(program.chips.tolist(), program.board, loads, strict=True):
        colour = colormaps[MAP](load / 100)
        cell(axes, x, y, boards[board], to_hex(colour))
        if program.n_chips <= MOST_NUMBERED:
            ink = "white" if sum(colour[:3]) < 1.5 else INK
            axes.text(*place(x, y), f"{load:.0f}", ha="center", va="center", color=ink)
    axes.figure.colorbar(
        shown, ax=axes, shrink=0.85, label="computing cores busy, mean over the step (%)"
    )
    axes.set_title("Load of the chips")


def _draw_links(axes: Axes, report: PlanReport) -> None:
    """Draw each directed link as a line on its right-hand side, coloured by bytes."""
    program = report.program
    loads = link_loads(report.walk) / 1e6
    links = report.machine.links[tuple(program.chips.T)]
    lines, values, dots = [], [], []
    for number, chip in enumerate(program.chips.tolist()):
        here = np.array(place(*chip))
        dots.append(here)
        for link in Link:
            if not links[number, link]:
                continue
            step = np.array(place(*link.step))
            right = 0.09 * np.array([step[1], -step[0]])
            lines.append([here + 0.2 * step + right, here + 0.8 * step + right])
            values.append(loads[len(Link) * number + link])
    shown = ScalarMappable(Normalize(0, max([1e-6, *values])), MAP)
    axes.add_collection(
        LineCollection(lines, colors=shown.to_rgba(np.array(values)), linewidths=3, capstyle="butt")
    )
    east, north = np.array(dots).T
    axes.scatter(east, north, s=90, color="#dddddd", edgecolor=INK, linewidth=0.6)
    axes.figure.colorbar(
        shown, ax=axes, shrink=0.85, label="payload over a link, one way, in a step (MB)"
    )
    axes.set_title("Traffic of the links (each direction on its right-hand side)")


def draw_layers(report: PlanReport) -> Figure:
    """Return bars for each operation and pass: what its time is spent on."""
    by_node = {
        node: passes
        for node, passes in report.walk.by_node.items()
        if any(pass_ in COMPUTED for pass_ in passes)
    }
    figure = _figure(13, 2.0 + 0.15 * len(by_node))
    halves = {"forward": COMPUTED[:1], "backward": COMPUTED[1:]}
    columns = figure.subplots(1, len(halves), sharex=True, sharey=True)
    for axes, (name, half) in zip(columns, halves.items(), strict=True):
        left = np.zeros(len(by_node))
        for component in Component:
            seconds = [
                sum(parts[component] for pass_, parts in passes.items() if pass_ in half)
                for passes in by_node.values()
            ]
            ms = 1000 * np.array(seconds)
            rows = np.flatnonzero(ms)
            axes.barh(rows, ms[rows], left=left[rows], color=COLOURS[component], height=0.85)
            left += ms
        axes.set_xlabel("time in a step (ms)")
        axes.set_title(f"{name}: {report.walk.seconds(*half):.3g} s", fontsize=10)
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
    columns[0].set_yticks(range(len(by_node)), list(by_node), fontsize=7)
    columns[0].set_ylim(len(by_node) - 0.4, -0.6)
    spent = report.walk.components(*COMPUTED)
    used = [c for c in Component if spent[c] > SEEN * report.walk.total_s]
    figure.legend(
        handles=[Patch(facecolor=COLOURS[c], label=str(c)) for c in used],
        loc="outside lower center",
        ncols=len(Component),
    )
    figure.suptitle(f"{report.title}: what each operation's time is spent on")
    return figure


def draw_tornado(swings: Sequence[Swing], seconds: float, joules: float, title: str) -> Figure:
    """Return the bars of the constants that move a step most: its time, and its energy.

    Parameters
    ----------
    seconds, joules : of the step with no constant changed.
    """
    by_time = [s for s in swings if s.swing_s > SEEN * seconds]
    by_energy = [s for s in swings if s.swing_j > SEEN * joules]
    by_energy.sort(key=lambda swing: -swing.swing_j)
    figure = _figure(12, 2.2 + 0.36 * max(1, len(by_time), len(by_energy)))
    time_axes, energy_axes = figure.subplots(1, 2)
    ends = [(swing.low_s, swing.high_s) for swing in by_time]
    _draw_bars(time_axes, by_time, ends, seconds, "step (s)")
    ends = [(swing.low_j, swing.high_j) for swing in by_energy]
    _draw_bars(energy_axes, by_energy, ends, joules, "energy of a step (J)")
    figure.legend(
        handles=[
            Patch(facecolor=LOW, label="at its low value"),
            Patch(facecolor=HIGH, label="at its high value"),
            Patch(facecolor="#bbbbbb", edgecolor="white", hatch="///", label="assumed: unmeasured"),
        ],
        loc="outside lower center",
        ncols=3,
    )
    figure.suptitle(f"{title}: each constant alone")
    return figure


def _draw_bars(
    axes: Axes,
    swings: Sequence[Swing],
    ends: Sequence[tuple[float, float]],
    middle: float,
    label: str,
) -> None:
    for row, (swing, (low, high)) in enumerate(zip(swings, ends, strict=True)):
        hatch = "///" if swing.is_assumed else ""
        for end, colour in ((low, LOW), (high, HIGH)):
            axes.barh(row, end - middle, left=middle, color=colour, hatch=hatch, edgecolor="white")
    names = [f"{s.constant.name}\n{_range(s)}" for s in swings]
    axes.set_yticks(range(len(swings)), names, fontsize=8)
    axes.invert_yaxis()
    axes.axvline(middle, color=INK, linewidth=1)
    axes.margins(x=0.08)
    axes.set_xlabel(label)
    axes.grid(axis="x", alpha=0.3)


def _range(swing: Swing) -> str:
    each = swing.constant
    for power, prefix in ((6, "M"), (3, "k"), (0, ""), (-3, "m"), (-6, "µ"), (-9, "n")):
        if each.high >= 10**power and each.unit[0] in "HBpsWJ":
            low, high = each.low / 10**power, each.high / 10**power
            return f"{low:.4g} to {high:.4g} {prefix}{each.unit}"
    return f"{each.low:.4g} to {each.high:.4g} {each.unit}"


def draw_memory(report: PlanReport) -> Figure:
    """Return the SDRAM of the fullest chip: what lies at which addresses, phase by phase."""
    figure = _figure(11, 5.4)
    axes = figure.subplots()
    chip = int(report.program.sdram_bytes.argmax())
    purposes = list(dict.fromkeys(region.purpose for region in report.program.regions))
    colours = dict(zip(purposes, _palette(len(purposes)), strict=True))
    for purpose in purposes:
        mine = [r for r in report.program.regions if r.purpose == purpose and r.bytes[chip]]
        first = np.array([region.first_phase for region in mine])
        axes.barh(
            [region.address[chip] / 1e6 for region in mine],
            np.array([region.last_phase + 1 for region in mine]) - first,
            height=[region.bytes[chip] / 1e6 for region in mine],
            left=first,
            align="edge",
            color=colours[purpose],
            edgecolor="white",
            linewidth=0.2,
        )
    axes.set_xlim(0, len(report.program.phases))
    full = constant("sdram").typical / 1e6
    axes.set_ylim(0, 1.05 * full)
    axes.axhline(full, color=INK, linestyle="--", linewidth=1)
    axes.text(0, full, " usable SDRAM", va="bottom", fontsize=8, color=INK)
    axes.set_xlabel("phase of the step")
    axes.set_ylabel("address in the chip's SDRAM (MB)")
    x, y = report.program.chips[chip].tolist()
    axes.set_title(f"{report.title}: SDRAM of the fullest chip ({x}, {y})", fontsize=11)
    handles = [Patch(facecolor=colours[purpose], label=purpose) for purpose in purposes]
    axes.legend(handles=handles, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _palette(n: int) -> list[str]:
    """Return n colours: Okabe and Ito's, then a wine red and greys."""
    known = [
        *("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442"),
        *("#882255", "#bbbbbb", "#555555"),
    ]
    return (known * (n // len(known) + 1))[:n]


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def write_pictures(folder: Path, report: PlanReport) -> list[Path]:
    """Write every picture as PNG and SVG; return their paths.

    Raises
    ------
    RunError
        If a file cannot be written.
    """
    step = report.step
    figures = {
        "slice": draw_slice(report),
        "layers": draw_layers(report),
        "memory": draw_memory(report),
        "sensitivity": draw_tornado(report.swings, step.total_s, step.energy.total_j, report.title),
    }
    written = []
    for name, figure in figures.items():
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out; files need not do it again
        for kind in ("png", "svg"):
            path = folder / f"{name}.{kind}"
            # The salt makes names inside an SVG the same, run after run.
            with rc_context({"svg.hashsalt": "regatta"}), replacing(path) as file:
                figure.savefig(
                    file, format=kind, metadata={"Date": None} if kind == "svg" else None
                )
            written.append(path)
    return written
