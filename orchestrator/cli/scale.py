"""``regatta scale``."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.cli.cache import cache_folder
from orchestrator.cli.lists import whole_numbers
from orchestrator.cli.output import check_json, print_table, write_json
from orchestrator.config import RunConfig, load_config
from orchestrator.errors import ArgumentError
from orchestrator.studies.records import Record, records_of
from orchestrator.studies.scaling import Point, Scaling, Study, slices_on, whole_ghost_batches
from orchestrator.studies.scaling_epochs import find_recipe
from orchestrator.studies.scaling_page import write_page
from orchestrator.studies.scaling_plot import write_plot
from orchestrator.studies.scaling_replica import plan_slice
from orchestrator.studies.scaling_table import (
    COST_COLUMNS,
    SPEED_COLUMNS,
    as_json,
    by_scaling,
    component_columns,
    component_rows,
    cost_rows,
    notes,
    record_rows,
    speed_rows,
)
from orchestrator.studies.scaling_whatif import in_words, overrides_of, parse_changes
from orchestrator.train.disk import writing

RECORD_COLUMNS = ("published", "processors", "to train", "images/s", "kW", "kWh")
RECORD_CELLS = (0, 1, 4, 5, 7, 8)
"""Of `record_rows`: what fits a terminal."""


def scale(
    config_path: Path,
    *,
    boards: str,
    scaling: str,
    batch: int | None,
    global_batch: int | None,
    model: str | None,
    recipe: str | None,
    extrapolate: bool,
    epoch_images: int,
    what_if: list[str],
    closed: bool,
    overrides: list[str],
    output: Path,
    json_path: Path | None,
) -> None:
    """Predict trainings on any number of boards, and lay them beside the published ones."""
    check_json(json_path)
    check_output(output)
    kinds = scalings(scaling)
    counts = sorted(set(whole_numbers("--boards", boards)))
    if not counts:
        raise ArgumentError("--boards: no number is given; give 1,24,1200 or alike")
    changes = parse_changes(what_if)
    named = [f"model.name={model}"] if model else []
    config = load_config(config_path, [*overrides, *named])
    length = find_recipe(recipe, config.model.name, config.train.epochs)
    if epoch_images < 1:
        raise ArgumentError(f"--epoch-images: {epoch_images} is not possible; give at least 1")
    for count in counts:
        slices_on(count, config.slice.boards)
    size = config.train.ghost_batch
    total = config.train.global_batch if global_batch is None else global_batch
    of_a_slice = whole_ghost_batches(size if batch is None else batch, size, "--batch")
    of_all = whole_ghost_batches(total, size, "--global-batch")
    folder = cache_folder()
    slice_model = plan_slice(config, folder / "plans")
    study = Study(
        slice_model=slice_model,
        recipe=length,
        extrapolate=extrapolate,
        overrides=overrides_of(changes),
        closed=closed,
        folder=folder / "sums",
        epoch_images=epoch_images,
    )
    points: list[Point] = []
    if Scaling.WEAK in kinds:
        points += study.weak(counts, of_a_slice)
    if Scaling.STRONG in kinds:
        points += study.strong(counts, of_all)
    title = f"Scaling of {config.model.name} on SpiNNaker ({config_path.stem})"
    facts = about(config, study, in_words(changes))
    records = records_of(config.model.name)
    report(title, facts, points, records)
    result = as_json(
        points,
        {
            "config": config_path.stem,
            "model": config.model.name,
            "slice_boards": slice_model.boards,
            "ghost_batch": slice_model.ghost_batch,
            "parameters": slice_model.n_parameters,
            "recipe": length.name,
            "target": length.target,
            "epoch_images": epoch_images,
            "what_if": changes,
            "published": [record.as_json() for record in records],
        },
    )
    write_files(output, title, facts, points, records, result)
    write_json(json_path, result)
    print(f"JSON, picture and interactive page are in {output}")


def write_files(
    output: Path,
    title: str,
    facts: Sequence[str],
    points: Sequence[Point],
    records: Sequence[Record],
    result: Mapping[str, Any],
) -> None:
    """Write ``scale.json``, ``scale.png`` and ``scale.html`` into a folder."""
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    write_json(output / "scale.json", result)
    write_plot(output / "scale.png", points, records, title)
    write_page(output / "scale.html", points, records, title, facts)


def scalings(name: str) -> tuple[Scaling, ...]:
    """Return the kinds of scaling that ``--scaling`` asks for.

    Raises
    ------
    ArgumentError
        The name is neither weak, strong nor both.
    """
    if name == "both":
        return tuple(Scaling)
    if name not in tuple(Scaling):
        raise ArgumentError(f"--scaling: {name!r} is not one of {', '.join(Scaling)}, both")
    return (Scaling(name),)


def check_output(output: Path) -> None:
    """Refuse a folder that cannot be written, before the work.

    Raises
    ------
    ArgumentError
        The path is a file, or the nearest folder there is cannot be written.
    """
    if output.exists() and not output.is_dir():
        raise ArgumentError(f"--output {output}: is a file; give a folder")
    nearest = next(path for path in (output, *output.absolute().parents) if path.exists())
    if not os.access(nearest, os.W_OK):
        raise ArgumentError(f"--output {output}: the folder {nearest} cannot be written")


def about(config: RunConfig, study: Study, changes: str) -> list[str]:
    """Return what a study assumes, in sentences."""
    model = study.slice_model
    boards = "one board" if model.boards == 1 else f"{model.boards} boards"
    return [
        f"A replica of {model.n_parameters:,} parameters on {boards}, {model.ghost_batch} images "
        f"of {config.model.image_size} x {config.model.image_size} at a time; recipe "
        f"{study.recipe.name}: {study.recipe.target}; epochs of {study.epoch_images:,} images.",
        "Predicted, not measured: typical constants of the machine, and low to high ones.",
        *([changes[0].upper() + changes[1:] + "."] if changes else []),
    ]


def report(
    title: str, facts: Sequence[str], points: Sequence[Point], records: Sequence[Record]
) -> None:
    """Print the tables of a study."""
    print(title)
    print("\n".join(facts))
    for scaling, curve in by_scaling(points).items():
        name = str(scaling).capitalize()
        print_table(f"{name} scaling: speed", SPEED_COLUMNS, speed_rows(curve))
        print_table(f"{name} scaling: training", COST_COLUMNS, cost_rows(curve))
        fewest, most = component_rows([curve[0], curve[-1]])
        names = component_columns([curve[0], curve[-1]])
        print_table(
            f"{name} scaling: seconds of a step",
            ("boards", fewest[0], most[0]),
            list(zip(names[1:], fewest[1:], most[1:], strict=True)),
        )
    for note in notes(points):
        print(note)
    if records:
        rows = [tuple(row[i] for i in RECORD_CELLS) for row in record_rows(records)]
        print_table("Published, at the processors' nominal power", RECORD_COLUMNS, rows)
