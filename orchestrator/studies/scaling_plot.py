"""The picture of a scaling study: speed, efficiency, what a step is spent on, time and energy."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter, NullLocator

from orchestrator.machine.constants import Level
from orchestrator.studies.records import Record
from orchestrator.studies.scaling import Point, Scaling
from orchestrator.studies.scaling_table import DAY, HOUR, MINUTE, by_scaling, shown_components
from orchestrator.train.disk import replacing

STYLES = {Scaling.WEAK: ("#0072b2", "o", "-"), Scaling.STRONG: ("#d55e00", "s", "--")}
"""Colour, marker and line, told apart also by colour-blind eyes (Okabe and Ito 2008)."""

COMPONENT_COLOURS = (
    *("#0072b2", "#56b4e9", "#e69f00", "#f0e442", "#d55e00"),
    *("#cc79a7", "#999999", "#009e73", "#000000", "#ffffff"),
)
HATCHES = ("", "//", "", "..", "", "\\\\", "", "xx", "", "++")

RECORD_COLOUR = "#555555"
FAINT: dict[str, Any] = {"color": "#999999", "linewidth": 0.5, "zorder": 0}

CLOSE = 1.8
"""Published systems within this factor of each other in power and time are close: names meet."""

TIMES = {
    "1 s": 1,
    "10 s": 10,
    "1 min": MINUTE,
    "10 min": 10 * MINUTE,
    "1 h": HOUR,
    "10 h": 10 * HOUR,
    "1 d": DAY,
    "10 d": 10 * DAY,
    "100 d": 100 * DAY,
    "3 y": 1000 * DAY,
    "27 y": 10_000 * DAY,
}
"""Ticks of the axis of times, in seconds."""

ENERGIES = {
    **{f"{kwh} kWh": float(kwh) for kwh in (1, 10, 100)},
    **{f"{mwh} MWh": 1000.0 * mwh for mwh in (1, 10, 100)},
}
"""Energies that lines are drawn for, in kWh."""


def draw_scaling(points: Sequence[Point], records: Sequence[Record], title: str) -> Figure:
    """Return the figure of a study's points, beside published trainings of the same network.

    Bands reach from low to high constants. What a step is spent on is shown for weak scaling, or
    for strong where there is no other.
    """
    figure = Figure(figsize=(12, 8.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    (speed, efficiency), (spent, cost) = figure.subplots(2, 2)
    curves = by_scaling(points)
    draw_speed(speed, curves, records)
    draw_efficiency(efficiency, curves)
    draw_components(spent, next(iter(curves.values())))
    draw_cost(cost, curves, records)
    figure.suptitle(title)
    return figure


def draw_speed(axes: Axes, curves: dict[Scaling, list[Point]], records: Sequence[Record]) -> None:
    """Draw images/s over boards, and the speeds of published trainings at the right edge."""
    boards = _boards(curves)
    for scaling, curve in curves.items():
        _curve(axes, scaling, curve, [_levels(p, "images_per_s") for p in curve])
    first = next(iter(curves.values()))[0]
    ideal = [first.at[Level.TYPICAL].images_per_s * n / first.boards for n in boards]
    axes.plot(boards, ideal, ":", color="#333333", linewidth=1, label="ideal, typical")
    _log_boards(axes, boards)
    axes.set_yscale("log")
    known = [(record, found.value) for record in records if (found := record.images_per_s)]
    for (record, rate), place in zip(known, spread([each for _, each in known]), strict=True):
        axes.axhline(rate, color=RECORD_COLOUR, linewidth=0.6, alpha=0.5, zorder=0)
        axes.annotate(
            record.name,
            (1.0, rate),
            (1.02, place),
            xycoords=("axes fraction", "data"),
            fontsize=7,
            va="center",
            color=RECORD_COLOUR,
            arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": RECORD_COLOUR},
        )
    axes.set_ylabel("images/s")
    axes.set_title("Speed (lines at the right: published)", fontsize=10)
    axes.legend(fontsize=8, loc="upper left")


def spread(values: Sequence[float], apart: float = 1.45) -> list[float]:
    """Return places for labels at these values of a logarithmic axis, moved up where they meet.

    Parameters
    ----------
    apart : least factor between two places.
    """
    places = list(values)
    last = 0.0
    for i in sorted(range(len(values)), key=values.__getitem__):
        places[i] = last = max(values[i], last * apart)
    return places


def draw_efficiency(axes: Axes, curves: dict[Scaling, list[Point]]) -> None:
    """Draw efficiency over boards, and the share of the compute roofline."""
    for scaling, curve in curves.items():
        shares = [[100 * value for value in _levels(p, "efficiency")] for p in curve]
        _curve(axes, scaling, curve, shares)
    for scaling, curve in curves.items():
        roofline = [100 * point.at[Level.TYPICAL].utilisation for point in curve]
        axes.plot(
            [point.boards for point in curve],
            roofline,
            ":",
            color=STYLES[scaling][0],
            marker=STYLES[scaling][1],
            markersize=3,
            label=f"{scaling}, of the compute roofline, typical",
        )
    _log_boards(axes, _boards(curves))
    axes.set_ylim(0, 105)
    axes.set_ylabel("per cent")
    axes.set_title("Efficiency: speed over that of as many slices alone", fontsize=10)
    axes.legend(fontsize=8, loc="lower left")


def draw_components(axes: Axes, curve: Sequence[Point]) -> None:
    """Draw what a step is spent on for each number of boards, at typical constants."""
    names = shown_components(curve)
    below = [0.0] * len(curve)
    places = range(len(curve))
    for i, name in enumerate(names):
        seconds = [point.at[Level.TYPICAL].components[name] for point in curve]
        axes.bar(
            places,
            seconds,
            bottom=below,
            label=name,
            color=COMPONENT_COLOURS[i % len(COMPONENT_COLOURS)],
            hatch=HATCHES[i % len(HATCHES)],
            edgecolor="#333333",
            linewidth=0.4,
        )
        below = [low + height for low, height in zip(below, seconds, strict=True)]
    low = [point.at[Level.LOW].step_s - top for point, top in zip(curve, below, strict=True)]
    high = [top - point.at[Level.HIGH].step_s for point, top in zip(curve, below, strict=True)]
    axes.errorbar(
        places, below, yerr=(high, low), fmt="none", color="#000000", capsize=3, linewidth=1
    )
    axes.set_xticks(places, [f"{point.boards:,}" for point in curve], fontsize=8)
    axes.set_xlabel("boards")
    axes.set_ylabel("seconds of a step")
    axes.set_title(
        f"What a step is spent on ({curve[0].scaling} scaling, typical; bars: low to high)",
        fontsize=10,
    )
    handles, labels = axes.get_legend_handles_labels()
    axes.set_ylim(0, None)
    axes.legend(handles[::-1], labels[::-1], fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))


def draw_cost(axes: Axes, curves: dict[Scaling, list[Point]], records: Sequence[Record]) -> None:
    """Draw time to train over power, on lines of equal energy."""
    for scaling, curve in curves.items():
        colour, marker, line = STYLES[scaling]
        shown = [p for p in curve if p.epochs is not None]
        power = [p.at[Level.TYPICAL].power_w / 1000 for p in shown]
        times = [_levels(p, "train_s") for p in shown]
        axes.plot(
            power,
            [typical for _, typical, _ in times],
            line,
            color=colour,
            marker=marker,
            label=f"SpiNNaker, {scaling} scaling",
        )
        for point, kilowatts, (low, typical, high) in zip(shown, power, times, strict=True):
            axes.plot([kilowatts] * 2, [low, high], color=colour, alpha=0.4, linewidth=2)
            if scaling is Scaling.WEAK or len(curves) == 1:
                axes.annotate(
                    f"{point.boards:,}",
                    (kilowatts, typical),
                    textcoords="offset points",
                    xytext=(-5, -10),
                    ha="right",
                    fontsize=7,
                    color=colour,
                )
    _records_cost(axes, [record for record in records if record.seconds])
    axes.set_xscale("log")
    axes.set_yscale("log")
    _energy_lines(axes)
    axes.yaxis.set_major_locator(FixedLocator(list(TIMES.values())))
    axes.yaxis.set_major_formatter(FixedFormatter(list(TIMES)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("power (kW)")
    axes.set_ylabel("time to train")
    axes.set_title("Time and energy to train (grey lines: equal energy)", fontsize=10)
    axes.legend(fontsize=8, loc="upper right")


def _records_cost(axes: Axes, records: Sequence[Record]) -> None:
    """Draw published times over nominal power."""
    for record, left in zip(records, names_left(records), strict=True):
        assert record.seconds is not None
        place = (record.power_w / 1000, record.seconds.value)
        axes.plot(*place, "^", color=RECORD_COLOUR, markersize=5)
        axes.annotate(
            record.name,
            place,
            textcoords="offset points",
            xytext=(-6 if left else 6, -3),
            ha="right" if left else "left",
            fontsize=7,
            color=RECORD_COLOUR,
        )
    if records:
        label = "published (nominal power of the processors)"
        axes.plot([], [], "^", color=RECORD_COLOUR, label=label)


def names_left(records: Sequence[Record]) -> list[bool]:
    """Return which of the names go to the left, because there is another record at the right."""
    places = [(r.power_w, r.seconds.value) for r in records if r.seconds]
    return [
        any(
            1 < other / power < CLOSE and 1 / CLOSE < time / seconds < CLOSE
            for other, time in places
        )
        for power, seconds in places
    ]


def _energy_lines(axes: Axes) -> None:
    """Draw lines of equal energy over the axes as they are, with room for names at the right."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    right *= 4
    for label, kwh in ENERGIES.items():
        hours = [(left, kwh / left), (right, kwh / right)]
        axes.plot(*zip(*((x, HOUR * y) for x, y in hours), strict=True), **FAINT)
        at = left * 1.2
        if bottom < HOUR * kwh / at < top / 1.5:
            axes.text(at, HOUR * kwh / at, label, fontsize=6, color="#777777", va="bottom")
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def _curve(
    axes: Axes, scaling: Scaling, curve: Sequence[Point], values: Sequence[Sequence[float]]
) -> None:
    """Draw one curve with its band; values are low, typical and high of each point."""
    colour, marker, line = STYLES[scaling]
    boards = [point.boards for point in curve]
    low, typical, high = zip(*values, strict=True)
    axes.fill_between(boards, low, high, color=colour, alpha=0.15, linewidth=0)
    label = f"{scaling} scaling, low to high"
    axes.plot(boards, typical, line, color=colour, marker=marker, label=label)


def _levels(point: Point, name: str) -> list[float]:
    """Return a property of a point at low, typical and high constants."""
    return [getattr(point.at[level], name) for level in Level]


def _boards(curves: dict[Scaling, list[Point]]) -> list[int]:
    return sorted({point.boards for curve in curves.values() for point in curve})


def _log_boards(axes: Axes, boards: Sequence[int]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(boards, [f"{n:,}" for n in boards], fontsize=8)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("boards")
    axes.grid(alpha=0.3)


def write_plot(path: Path, points: Sequence[Point], records: Sequence[Record], title: str) -> None:
    """Write the picture as a PNG, as a whole; the same bytes for the same study.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    figure = draw_scaling(points, records, title)
    with replacing(path) as file:
        figure.savefig(file, format="png", metadata={"Software": None})
