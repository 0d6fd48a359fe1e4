"""The report's pictures of changed machines, and of constants at their ends."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from orchestrator.machine.constants import Level
from orchestrator.studies.records import Record
from orchestrator.studies.scaling import Point
from orchestrator.studies.scaling_plot import RECORD_COLOUR, STYLES, spread
from orchestrator.studies.scaling_table import points_of
from orchestrator.train.disk import replacing

BLUE, ORANGE = (colour for colour, _, _ in STYLES.values())

Study = Mapping[str, Any]
"""What `orchestrator.studies.scaling_report.figures` returns."""


def draw_what_if(study: Study, whole: Point, records: Sequence[Record]) -> Figure:
    """Return images/s of the whole machine, today and changed, beside published speeds."""
    named = [("today", whole)]
    for each in study["what_if"]:
        (point,) = points_of([each["point"]])
        named.append((each["words"].removeprefix("what if: "), point))
    figure, axes = _figure(len(named))
    for place, (_, point) in enumerate(named):
        low, typical, high = (point.at[level].images_per_s for level in Level)
        axes.plot([low, high], [place] * 2, color=BLUE, linewidth=2, marker="|")
        axes.plot(typical, place, "o", color=BLUE)
    axes.set_yticks(range(len(named)), [_wrapped(name) for name, _ in named], fontsize=7.5)
    axes.invert_yaxis()
    axes.set_xscale("log")
    known = [(record, found.value) for record in records if (found := record.images_per_s)]
    for (record, rate), x in zip(known, spread([rate for _, rate in known], 1.3), strict=True):
        axes.axvline(rate, color=RECORD_COLOUR, linewidth=0.6, alpha=0.6, zorder=0)
        axes.annotate(
            record.name,
            (rate, 1.0),
            (x, 1.02),
            xycoords=("data", "axes fraction"),
            rotation=60,
            fontsize=7,
            color=RECORD_COLOUR,
        )
    axes.set_xlabel(f"images/s on {whole.boards:,} boards (dots: typical; lines: low to high)")
    return figure


def draw_constants(ordered: Sequence[Study], today: float) -> Figure:
    """Return images/s with each constant at its slow and its fast end, the widest first.

    Parameters
    ----------
    ordered : the study's ``constants``.
    today : images/s with all constants typical.
    """
    figure, axes = _figure(len(ordered))
    for place, each in enumerate(ordered):
        slow, fast = each["slow_images_per_s"], each["fast_images_per_s"]
        axes.barh(place, slow - today, left=today, color=ORANGE, height=0.6, hatch="//")
        axes.barh(place, fast - today, left=today, color=BLUE, height=0.6)
    labels = [f"{each['name']} ({each['status']})" for each in ordered]
    axes.set_yticks(range(len(ordered)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.axvline(today, color="#000000", linewidth=1)
    axes.barh([0], [0], color=ORANGE, hatch="//", label="at its slow end")
    axes.barh([0], [0], color=BLUE, label="at its fast end")
    axes.legend(loc="lower left", fontsize=8)
    axes.set_xlabel("images/s, all other constants typical")
    return figure


def _figure(n_rows: int) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(9, 1.4 + 0.34 * n_rows), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    return figure, axes


def _wrapped(words: str) -> str:
    """Return words in lines of three properties each."""
    parts = words.split(", ")
    return ",\n".join(", ".join(parts[i : i + 3]) for i in range(0, len(parts), 3))


def write_figure(path: Path, figure: Figure) -> None:
    """Write a picture as a PNG, as a whole; the same bytes for the same figure.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    with replacing(path) as file:
        figure.savefig(file, format="png", metadata={"Software": None})
