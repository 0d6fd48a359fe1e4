"""The picture of a run: loss and accuracy over its steps.

``python -m orchestrator.studies.plot_run RUN OUTPUT.png`` draws the run in folder RUN.
"""

import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from orchestrator.errors import DataError, RegattaError
from orchestrator.studies.sweep_plot import COLOURS
from orchestrator.train.disk import replacing
from orchestrator.train.metrics import read_metrics
from orchestrator.train.rundir import RunFolder

Record = Mapping[str, Any]

TRAINING, EVALUATION = COLOURS[:2]


def draw_run(records: Sequence[Record], title: str) -> Figure:
    """Return the figure of a run's records: every step, the mean of each epoch, evaluations.

    Raises
    ------
    DataError
        If there is no record of a step.
    """
    steps = [record for record in records if record["kind"] == "step"]
    evaluations = [record for record in records if record["kind"] == "evaluation"]
    if not steps:
        raise DataError(f"{title}: no step was recorded, so there is nothing to draw")
    figure = Figure(figsize=(8, 3.4), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _curves(left, steps, evaluations, "loss", 1)
    left.set_yscale("log")
    left.yaxis.set_major_formatter("{x:g}")
    left.set_ylabel("loss (cross-entropy, nats)")
    _curves(right, steps, evaluations, "accuracy", 100)
    right.set_ylim(0, 102)
    right.set_ylabel("top-1 accuracy (%)")
    for axes in (left, right):
        axes.set_xlabel("step")
        axes.set_xlim(0, 1.02 * steps[-1]["step"])
        axes.grid(alpha=0.3)
    right.legend(loc="lower right")
    figure.suptitle(title, fontsize="medium")
    return figure


def _curves(
    axes: Axes, steps: Sequence[Record], evaluations: Sequence[Record], key: str, scale: float
) -> None:
    """Draw one quantity: single steps pale, epoch means and evaluations strong."""
    numbers = [record["step"] for record in steps]
    axes.plot(
        numbers,
        [scale * record[key] for record in steps],
        color=TRAINING,
        alpha=0.3,
        linewidth=0.8,
        label="training, each step",
    )
    means = [_epoch_mean(list(epoch), key) for _, epoch in groupby(steps, lambda r: r["epoch"])]
    axes.plot(
        [step for step, _ in means],
        [scale * value for _, value in means],
        color=TRAINING,
        label="training, mean of an epoch",
    )
    axes.plot(
        [record["step"] for record in evaluations],
        [scale * record[key] for record in evaluations],
        color=EVALUATION,
        marker="o",
        markersize=3.5,
        label="test images",
    )


def _epoch_mean(epoch: Sequence[Record], key: str) -> tuple[float, float]:
    """Return an epoch's middle step and the mean of a quantity over its samples."""
    samples = sum(record["samples"] for record in epoch)
    mean = sum(record[key] * record["samples"] for record in epoch) / samples
    return (epoch[0]["step"] + epoch[-1]["step"]) / 2, mean


def plot_run(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    output: Annotated[Path, typer.Argument(help="PNG file to write.")],
    title: Annotated[str | None, typer.Option(help="Title; the run's name by default.")] = None,
) -> None:
    """Draw loss and accuracy of a run over its steps."""
    records = read_metrics(RunFolder(run).metrics)
    figure = draw_run(records, title or run.resolve().name)
    with replacing(output) as file:
        figure.savefig(file, format="png")


if __name__ == "__main__":
    try:
        typer.run(plot_run)
    except RegattaError as error:
        print(f"plot_run: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
