"""A scaling study as one interactive page: a file that needs nothing else, light or dark."""

from collections.abc import Sequence
from html import escape
from math import log10
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from orchestrator.machine.constants import Level
from orchestrator.studies.records import Record
from orchestrator.studies.scaling import Point, Scaling
from orchestrator.studies.scaling_plot import (
    COMPONENT_COLOURS,
    STYLES,
    TIMES,
    names_left,
)
from orchestrator.studies.scaling_table import (
    COST_COLUMNS,
    RECORD_COLUMNS,
    SPEED_COLUMNS,
    by_scaling,
    component_columns,
    component_rows,
    cost_rows,
    digits,
    duration,
    kwh,
    notes,
    record_rows,
    shown_components,
    speed_rows,
)
from orchestrator.train.disk import replace_text

FIGURE = "scaling"
DASHES = {"-": "solid", "--": "dash"}
SYMBOLS = {"o": "circle", "s": "square"}
GREY = "#888888"

STYLE = """
:root { color-scheme: light dark; --ink: #222222; --paper: #ffffff; --line: #cccccc }
@media (prefers-color-scheme: dark) {
  :root { --ink: #dddddd; --paper: #181818; --line: #444444 }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  margin: 1.5rem auto; max-width: 1200px; padding: 0 1rem }
div.wide { overflow-x: auto }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; font-variant-numeric: tabular-nums }
th, td { border-bottom: 1px solid var(--line); padding: .15rem .7rem; text-align: right }
th:first-child, td:first-child { text-align: left }
"""

SCRIPT = f"""
const dark = matchMedia("(prefers-color-scheme: dark)");
function paint() {{
  const ink = dark.matches ? "#dddddd" : "#222222", line = dark.matches ? "#444444" : "#dddddd";
  const change = {{"paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
    "font.color": ink}};
  for (const axis of ["xaxis", "xaxis2", "xaxis3", "xaxis4",
                      "yaxis", "yaxis2", "yaxis3", "yaxis4"]) {{
    change[axis + ".gridcolor"] = line;
    change[axis + ".zerolinecolor"] = line;
    change[axis + ".linecolor"] = ink;
  }}
  Plotly.relayout("{FIGURE}", change);
}}
dark.addEventListener("change", paint);
paint();
"""


def write_page(
    path: Path, points: Sequence[Point], records: Sequence[Record], title: str, facts: Sequence[str]
) -> None:
    """Write the page; the same text for the same study.

    Parameters
    ----------
    facts : sentences about the study, above the figures.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    replace_text(path, page(points, records, title, facts))


def page(
    points: Sequence[Point], records: Sequence[Record], title: str, facts: Sequence[str]
) -> str:
    """Return the page as HTML."""
    figure = draw(points, records).to_html(
        full_html=False, include_plotlyjs=True, div_id=FIGURE, config={"displaylogo": False}
    )
    curves = by_scaling(points)
    parts = [f"<h1>{escape(title)}</h1>", *(f"<p>{escape(fact)}</p>" for fact in facts), figure]
    for scaling, curve in curves.items():
        parts += [
            f"<h2>{str(scaling).capitalize()} scaling</h2>",
            _table(SPEED_COLUMNS, speed_rows(curve)),
            _table(COST_COLUMNS, cost_rows(curve)),
            "<p>Seconds of a step, at typical constants:</p>",
            _table(component_columns(curve), component_rows(curve)),
        ]
    parts += [f"<p>{escape(note)}</p>" for note in notes(points)]
    if records:
        parts += [
            "<h2>Published trainings</h2>",
            _table(RECORD_COLUMNS, record_rows(records)),
            "<p>Power and energy are the nominal power of the processors alone.</p>",
        ]
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
            *parts,
            f"<script>{SCRIPT}</script>",
            "</body></html>\n",
        ]
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"
    return f'<div class="wide">{table}</div>'


def draw(points: Sequence[Point], records: Sequence[Record]) -> go.Figure:
    """Return the figure: speed, efficiency, what a step is spent on, time over power."""
    curves = by_scaling(points)
    first = next(iter(curves.values()))
    figure = make_subplots(
        rows=2,
        cols=2,
        subplot_titles=(
            "Speed, beside published systems",
            "Efficiency: speed over that of as many slices alone",
            f"What a step is spent on ({first[0].scaling} scaling, typical)",
            "Time and power to train",
        ),
        vertical_spacing=0.12,
    )
    for scaling, curve in curves.items():
        _speed(figure, scaling, curve)
        _efficiency(figure, scaling, curve)
        _cost(figure, scaling, curve)
    _records(figure, records, first)
    _components(figure, first)
    boards = sorted({point.boards for point in points})
    for row, column in ((1, 1), (1, 2)):
        figure.update_xaxes(
            type="log",
            tickvals=boards,
            ticktext=[f"{n:,}" for n in boards],
            title="boards",
            row=row,
            col=column,
        )
    figure.update_yaxes(type="log", title="images/s", exponentformat="SI", dtick=1, row=1, col=1)
    figure.update_yaxes(title="per cent", range=[0, 105], row=1, col=2)
    figure.update_xaxes(title="boards", type="category", row=2, col=1)
    figure.update_yaxes(title="seconds", row=2, col=1)
    figure.update_xaxes(
        type="log", title="power (kW)", range=_power_range(points, records), row=2, col=2
    )
    figure.update_yaxes(
        type="log",
        tickvals=list(TIMES.values()),
        ticktext=list(TIMES),
        title="time to train",
        row=2,
        col=2,
    )
    figure.update_layout(
        template="none",
        barmode="stack",
        height=900,
        margin={"l": 70, "r": 20, "t": 60, "b": 50},
        legend={"orientation": "h", "y": -0.08},
        hoverlabel={"align": "left"},
    )
    return figure


def _power_range(points: Sequence[Point], records: Sequence[Record]) -> list[float]:
    """Return the ends of the axis of power, as powers of ten of kW, with room for names."""
    watts = [point.at[Level.TYPICAL].power_w for point in points]
    watts += [record.power_w for record in records if record.seconds]
    return [log10(min(watts) / 2000), log10(max(watts) / 150)]


def _line(scaling: Scaling) -> dict[str, Any]:
    colour, marker, line = STYLES[scaling]
    return {
        "mode": "lines+markers",
        "line": {"color": colour, "dash": DASHES[line]},
        "marker": {"symbol": SYMBOLS[marker], "color": colour, "size": 7},
        "legendgroup": str(scaling),
    }


def _hover(point: Point) -> str:
    """Return what is shown over a point."""
    low, typical, high = (point.at[level] for level in Level)
    return "<br>".join(
        [
            f"<b>{point.boards:,} boards, {point.scaling} scaling</b>",
            f"batch {point.global_batch:,}, {point.busy_slices:,} of {point.slices:,} slices busy",
            f"step {digits(typical.step_s)} s ({digits(low.step_s)} – {digits(high.step_s)})",
            f"{digits(typical.images_per_s)} images/s "
            f"({digits(low.images_per_s)} – {digits(high.images_per_s)})",
            f"efficiency {100 * typical.efficiency:.1f} %, "
            f"roofline {100 * typical.utilisation:.0f} %",
            f"to train {duration(typical.train_s)} "
            f"({duration(low.train_s)} – {duration(high.train_s)})",
            f"{digits(typical.power_w / 1000)} kW, {kwh(typical.energy_j)} kWh",
            f"sum over boards: {point.algorithm or 'none'}",
        ]
    )


def _speed(figure: go.Figure, scaling: Scaling, curve: Sequence[Point]) -> None:
    boards = [point.boards for point in curve]
    colour = STYLES[scaling][0]
    for level, fill in ((Level.LOW, None), (Level.HIGH, "tonexty")):
        figure.add_scatter(
            x=boards,
            y=[point.at[level].images_per_s for point in curve],
            mode="lines",
            line={"color": colour, "width": 0.5},
            fill=fill,
            fillcolor=_faint(colour),
            name=f"{scaling}, {level}",
            legendgroup=str(scaling),
            showlegend=False,
            hoverinfo="skip",
            row=1,
            col=1,
        )
    figure.add_scatter(
        x=boards,
        y=[point.at[Level.TYPICAL].images_per_s for point in curve],
        name=f"{scaling} scaling, typical (band: low to high)",
        text=[_hover(point) for point in curve],
        hovertemplate="%{text}<extra></extra>",
        row=1,
        col=1,
        **_line(scaling),
    )


def _faint(colour: str) -> str:
    """Return a colour at 15 % opacity."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.15)"


def _efficiency(figure: go.Figure, scaling: Scaling, curve: Sequence[Point]) -> None:
    figure.add_scatter(
        x=[point.boards for point in curve],
        y=[100 * point.at[Level.TYPICAL].efficiency for point in curve],
        name=f"{scaling}",
        showlegend=False,
        text=[_hover(point) for point in curve],
        hovertemplate="%{text}<extra></extra>",
        row=1,
        col=2,
        **_line(scaling),
    )


def _cost(figure: go.Figure, scaling: Scaling, curve: Sequence[Point]) -> None:
    shown = [point for point in curve if point.epochs is not None]
    figure.add_scatter(
        x=[point.at[Level.TYPICAL].power_w / 1000 for point in shown],
        y=[point.at[Level.TYPICAL].train_s for point in shown],
        name=f"{scaling}",
        showlegend=False,
        text=[_hover(point) for point in shown],
        hovertemplate="%{text}<extra></extra>",
        row=2,
        col=2,
        **_line(scaling),
    )


def _records(figure: go.Figure, records: Sequence[Record], curve: Sequence[Point]) -> None:
    """Add published systems: their speed at the most boards of the curve, time over power."""
    most = max(point.boards for point in curve)
    known = [(record, rate) for record in records if (rate := record.images_per_s)]
    mark = {"symbol": "triangle-up", "color": GREY, "size": 9}
    figure.add_scatter(
        x=[2 * most] * len(known),
        y=[rate.value for _, rate in known],
        mode="markers",
        marker=mark,
        name="published (nominal power of the processors)",
        legendgroup="published",
        text=[f"<b>{r.name}</b><br>{digits(rate.value)} images/s" for r, rate in known],
        hovertemplate="%{text}<extra></extra>",
        showlegend=bool(known),
        row=1,
        col=1,
    )
    trained = [record for record in records if record.seconds]
    figure.add_scatter(
        x=[record.power_w / 1000 for record in trained],
        y=[record.seconds.value for record in trained if record.seconds],
        mode="markers+text",
        marker=mark,
        text=[record.name for record in trained],
        textposition=[f"middle {'left' if left else 'right'}" for left in names_left(trained)],
        textfont={"size": 10, "color": GREY},
        name="published",
        legendgroup="published",
        showlegend=False,
        hovertext=[
            f"<b>{r.name}</b><br>{r.count:,} {r.processor.name}<br>"
            f"{duration(r.seconds.value if r.seconds else None)}, {kwh(r.energy_j)} kWh"
            for r in trained
        ],
        hovertemplate="%{hovertext}<extra></extra>",
        row=2,
        col=2,
    )


def _components(figure: go.Figure, curve: Sequence[Point]) -> None:
    for i, name in enumerate(shown_components(curve)):
        figure.add_bar(
            x=[f"{point.boards:,}" for point in curve],
            y=[point.at[Level.TYPICAL].components[name] for point in curve],
            name=name,
            marker={
                "color": COMPONENT_COLOURS[i % len(COMPONENT_COLOURS)],
                "line": {"color": "#333333", "width": 0.5},
            },
            hovertemplate=f"{name}: %{{y:.3f}} s<extra></extra>",
            row=2,
            col=1,
        )
