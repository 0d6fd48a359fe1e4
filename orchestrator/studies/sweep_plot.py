"""The picture of a sweep: test accuracy over the batch size, one curve an optimizer."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from orchestrator.studies.sweep import Point
from orchestrator.train.disk import replacing

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Told apart also by colour-blind eyes (Okabe and Ito 2008)."""

MARKERS = ("o", "s", "^", "D")


def draw_sweep(points: Sequence[Point], title: str) -> Figure:
    """Return the figure: mean over seeds as a line, their range as a band, each seed as a dot."""
    figure = Figure(figsize=(7, 4.4), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    optimizers = list(dict.fromkeys(point.first.optimizer for point in points))
    for i, optimizer in enumerate(optimizers):
        colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
        curve = sorted(
            (point for point in points if point.first.optimizer == optimizer),
            key=lambda point: point.first.batch,
        )
        batches = [point.first.batch for point in curve]
        means = [100 * point.mean for point in curve]
        axes.plot(batches, means, color=colour, marker=marker, label=optimizer.upper())
        if any(len(point.outcomes) > 1 for point in curve):
            low = [100 * min(point.accuracies) for point in curve]
            high = [100 * max(point.accuracies) for point in curve]
            axes.fill_between(batches, low, high, color=colour, alpha=0.15, linewidth=0)
            for point in curve:
                values = [100 * accuracy for accuracy in point.accuracies]
                axes.plot([point.first.batch] * len(values), values, ".", color=colour, alpha=0.5)
    ticks = sorted({point.first.batch for point in points})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [f"{batch:,}" for batch in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("global batch (images a step)")
    axes.set_ylabel("test accuracy (%)")
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def write_plot(path: Path, points: Sequence[Point], title: str) -> None:
    """Write the picture as a PNG, as a whole.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    figure = draw_sweep(points, title)
    with replacing(path) as file:
        figure.savefig(file, format="png")
