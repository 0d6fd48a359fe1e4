"""The figures of the report on ResNet-50 on SpiNNaker: all its studies as one JSON value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.config import RunConfig
from orchestrator.errors import ArgumentError
from orchestrator.machine.constants import CONSTANTS, Level, Status
from orchestrator.perf.rates import COSTS, NAMES
from orchestrator.studies.records import RECORDS
from orchestrator.studies.scaling import Point, SliceModel, Study, whole_ghost_batches
from orchestrator.studies.scaling_epochs import find_recipe
from orchestrator.studies.scaling_machine import LARGEST
from orchestrator.studies.scaling_table import as_json
from orchestrator.studies.scaling_whatif import in_words, overrides_of

BOARDS = (1, 3, 6, 12, 24, 48, 120, 240, 600, 1200)
SEVERAL_MACHINES = (2400, 6000, 12_000)

WHAT_IFS: tuple[Mapping[str, float], ...] = (
    {"clock": 400},
    {"cores": 32},
    {"links": 2},
    {"links": 4},
    {"packets": 4},
    {"memory": 2},
    {"cables": 4},
    {"mantissa": 8},
    {"ethernet": 10},
    {"clock": 400, "links": 4, "packets": 4, "cables": 4},
    {
        "clock": 400,
        "cores": 64,
        "links": 16,
        "packets": 4,
        "memory": 8,
        "cables": 8,
        "ethernet": 10,
    },
)
"""Changed machines that the report asks about."""

HOST_NAMES = ("host_write", "host_boards_rate")
"""Constants of the way of images into the boards."""

OTHER_NETWORKS = {"vgg16": 16, "alexnet": 32}
"""Images that a board computes at a time; 32 of VGG16 do not fit a board's memory."""

SliceOf = Callable[[RunConfig], SliceModel]


def figures(
    config: RunConfig, slice_of: SliceOf, folder: Path | None, boards: Sequence[int] = BOARDS
) -> dict[str, Any]:
    """Return all figures of the report.

    Parameters
    ----------
    config : of ResNet-50 on the whole machine.
    slice_of : returns the plan of a configuration's replica.
    folder : where counts of sums are kept; None for nowhere.
    boards : of the curves.
    """
    study = _study(config, slice_of(config), folder)
    images, ghost_batch = config.train.global_batch, config.train.ghost_batch
    total = whole_ghost_batches(images, ghost_batch, "train.global_batch")
    points = study.weak(boards, 1) + study.strong(boards, total)
    beyond = replace(study, extrapolate=True).weak(SEVERAL_MACHINES, 1)
    return {
        "recipe": {"name": study.recipe.name, "target": study.recipe.target},
        "parameters": study.slice_model.n_parameters,
        "ghost_batch": study.slice_model.ghost_batch,
        "image_size": config.model.image_size,
        **as_json(points, {}),
        "several_machines": as_json(beyond, {})["points"],
        "what_if": [_what_if(study, changes) for changes in WHAT_IFS],
        "constants": [_sensitivity(study, name) for name in (*NAMES, *HOST_NAMES)],
        "networks": {
            name: _other(config, name, images, slice_of, folder)
            for name, images in OTHER_NETWORKS.items()
        },
        "published": [record.as_json() for record in RECORDS],
    }


def _study(config: RunConfig, model: SliceModel, folder: Path | None) -> Study:
    return Study(
        slice_model=model,
        recipe=find_recipe(None, config.model.name, config.train.epochs),
        overrides=overrides_of({}),
        folder=folder,
    )


def _whole(study: Study) -> Point:
    """Return the point of a ghost batch on every board of the largest machine."""
    (point,) = study.weak([LARGEST], 1)
    return point


def _what_if(study: Study, changes: Mapping[str, float]) -> dict[str, Any]:
    """Return the largest machine with changed properties."""
    point = _whole(replace(study, overrides=overrides_of(changes)))
    return {"changes": dict(changes), "words": in_words(changes), **_json([point])}


def _sensitivity(study: Study, name: str) -> dict[str, Any]:
    """Return the speed of the largest machine with one constant slow or fast, others typical."""
    constant = CONSTANTS[name]
    slow, fast = (
        _whole(replace(study, overrides=dict.fromkeys(Level, {name: value})))
        .at[Level.TYPICAL]
        .images_per_s
        for value in (
            (constant.high, constant.low) if name in COSTS else (constant.low, constant.high)
        )
    )
    return {
        "name": name,
        "status": str(constant.status),
        "measured": constant.status is Status.MEASURED,
        "slow_images_per_s": slow,
        "fast_images_per_s": fast,
    }


def _other(
    config: RunConfig, name: str, images: int, slice_of: SliceOf, folder: Path | None
) -> dict[str, Any]:
    """Return another network on one board and on the largest machine, or why it has no plan."""
    changed = replace(
        config,
        model=replace(config.model, name=name),
        train=replace(config.train, ghost_batch=images),
    )
    try:
        model = slice_of(changed)
    except ArgumentError as error:
        return {"refused": str(error), "points": []}
    points = _study(changed, model, folder).weak([1, LARGEST], 1)
    return as_json(points, {"refused": None, "ghost_batch": images})


def _json(points: Sequence[Point]) -> dict[str, Any]:
    (found,) = as_json(points, {})["points"]
    return {"point": found}
