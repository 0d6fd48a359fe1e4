"""A scaling study as rows of text and as JSON."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from orchestrator.machine.constants import Level
from orchestrator.studies.records import Record
from orchestrator.studies.scaling import Point, Prediction, Scaling
from orchestrator.studies.scaling_epochs import Basis, Epochs

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
KWH = 3.6e6

MARKS = {
    Basis.INTERPOLATED: "*",
    Basis.SMALLEST: "†",
    Basis.EXTRAPOLATED: "‡",
}
"""How epochs are marked that nobody has measured at their batch."""

NOTES = {
    Basis.INTERPOLATED: "interpolated between MLPerf's reference points",
    Basis.SMALLEST: "below the smallest reference batch, whose epochs are taken",
    Basis.EXTRAPOLATED: "extrapolated beyond any batch that is known to reach the target",
}

SPEED_COLUMNS = (
    "boards",
    "batch",
    "step (s)",
    "images/s",
    "low–high",
    "efficiency",
    "roofline",
)

COST_COLUMNS = (
    "boards",
    "power (kW)",
    "epochs",
    "to train",
    "low–high",
    "energy (kWh)",
    "low–high",
)

RECORD_COLUMNS = (
    "published",
    "processors",
    "batch",
    "epochs",
    "to train",
    "images/s",
    "top-1 (%)",
    "power (kW)",
    "energy (kWh)",
)


def by_scaling(points: Sequence[Point]) -> dict[Scaling, list[Point]]:
    """Return the points of each kind of scaling that there is, by number of boards."""
    found = {
        scaling: sorted((p for p in points if p.scaling is scaling), key=lambda p: p.boards)
        for scaling in Scaling
    }
    return {scaling: curve for scaling, curve in found.items() if curve}


def speed_rows(points: Sequence[Point]) -> list[tuple[str, ...]]:
    """Return a row of `SPEED_COLUMNS` for each point."""
    return [
        (
            _boards(point),
            f"{point.global_batch:,}",
            digits(point.at[Level.TYPICAL].step_s),
            *_band(point, lambda at: digits(at.images_per_s)),
            f"{100 * point.at[Level.TYPICAL].efficiency:.1f} %",
            f"{100 * point.at[Level.TYPICAL].utilisation:.0f} %",
        )
        for point in points
    ]


def cost_rows(points: Sequence[Point]) -> list[tuple[str, ...]]:
    """Return a row of `COST_COLUMNS` for each point."""
    return [
        (
            _boards(point),
            digits(point.at[Level.TYPICAL].power_w / 1000),
            shown_epochs(point),
            *_band(point, lambda at: duration(at.train_s)),
            *_band(point, lambda at: kwh(at.energy_j)),
        )
        for point in points
    ]


def _boards(point: Point) -> str:
    whole = point.boards // point.machines
    return f"{point.boards:,}" if point.machines == 1 else f"{point.machines} x {whole:,}"


def _band(point: Point, show: Callable[[Prediction], str]) -> tuple[str, str]:
    """Return what is shown of a point at typical constants, and at low and high ones."""
    low, typical, high = (show(point.at[level]) for level in Level)
    return typical, low if low == high else f"{low}–{high}"


def shown_epochs(point: Point) -> str:
    """Return the epochs of a point, marked where nobody measured them at its batch."""
    if point.epochs is None:
        return "unknown"
    return f"{point.epochs.mean:.1f}{MARKS.get(point.epochs.basis, '')}"


def notes(points: Sequence[Point]) -> list[str]:
    """Return what the marks of these points mean, and what is missing."""
    bases = [point.epochs.basis if point.epochs else None for point in points]
    found = [f"{MARKS[basis]} {NOTES[basis]}" for basis in MARKS if basis in bases]
    idle = [point for point in points if point.busy_slices < point.slices]
    found += [
        f"{point.scaling} scaling on {point.boards:,} boards: {point.slices - point.busy_slices:,} "
        f"of {point.slices:,} slices have no images"
        for point in idle
    ]
    if None in bases:
        found.append(
            "unknown: the recipe is not known at this batch; --extrapolate goes on beyond it"
        )
    return found


def digits(value: float) -> str:
    """Return a number with three digits.

    Examples
    --------
    >>> [digits(value) for value in (0.01234, 5.678, 56.78, 12345.6)]
    ['0.0123', '5.68', '56.8', '12,346']
    """
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}" if value < 1e-4 else f"{value:.{max(0, 2 - _magnitude(value))}f}"


def _magnitude(value: float) -> int:
    return int(f"{value:.2e}".partition("e")[2])


def duration(seconds: float | None) -> str:
    """Return a time in the largest unit that it fills; a dash for None.

    Examples
    --------
    >>> [duration(value) for value in (None, 77, 840, 104400, 1e6, 1e9)]
    ['–', '77.0 s', '14.0 min', '29.0 h', '11.6 d', '31.7 y']
    """
    if seconds is None:
        return "–"
    for unit, length, longest in (("s", 1.0, 100.0), ("min", MINUTE, HOUR), ("h", HOUR, 2 * DAY)):
        if seconds < longest:
            return f"{digits(seconds / length)} {unit}"
    year = 365.25 * DAY
    return f"{digits(seconds / DAY)} d" if seconds < year else f"{digits(seconds / year)} y"


def kwh(joules: float | None) -> str:
    """Return an energy in kWh; a dash for None.

    Examples
    --------
    >>> [kwh(value) for value in (None, 3.6e6, 3.6e10)]
    ['–', '1.00', '10,000']
    """
    return "–" if joules is None else digits(joules / KWH)


def shown_components(points: Sequence[Point]) -> list[str]:
    """Return the components that take at least half a millisecond of some step, typically."""
    names = points[0].at[Level.TYPICAL].components
    return [
        name
        for name in names
        if max(point.at[Level.TYPICAL].components[name] for point in points) >= 0.5e-3
    ]


def component_columns(points: Sequence[Point]) -> tuple[str, ...]:
    """Return the columns of `component_rows`."""
    return ("boards", *shown_components(points), "step")


def component_rows(points: Sequence[Point]) -> list[tuple[str, ...]]:
    """Return for each point what a step's seconds are spent on, at typical constants."""
    names = shown_components(points)
    typical = [(point.boards, point.at[Level.TYPICAL]) for point in points]
    return [
        (f"{n:,}", *(f"{at.components[name]:.3f}" for name in names), f"{at.step_s:.3f}")
        for n, at in typical
    ]


def record_rows(records: Sequence[Record]) -> list[tuple[str, ...]]:
    """Return a row of `RECORD_COLUMNS` for each published training."""
    return [_record_row(record) for record in records]


def _record_row(record: Record) -> tuple[str, ...]:
    rate = record.images_per_s
    return (
        record.name,
        f"{record.count:,} {record.processor.name}",
        f"{record.batch.value:,.0f}" if record.batch else "–",
        f"{record.epochs.value:g}" if record.epochs else "–",
        duration(record.seconds.value if record.seconds else None),
        digits(rate.value) if rate else "–",
        f"{record.accuracy.value:g}" if record.accuracy else "–",
        digits(record.power_w / 1000),
        kwh(record.energy_j),
    )


def as_json(points: Sequence[Point], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return a study as JSON: what it is about, and its points.

    A point's own fields are at typical constants; ``low`` and ``high`` hold those of a slow and a
    fast machine. ``predicted_s`` and ``energy_j`` are of a step on all boards, ``train_s`` and
    ``train_energy_j`` of the whole training, null where its epochs are not known.
    """
    return {**about, "points": [_point_json(point) for point in points]}


def _point_json(point: Point) -> dict[str, Any]:
    epochs = point.epochs
    return {
        "scaling": str(point.scaling),
        "boards": point.boards,
        "machines": point.machines,
        "slices": point.slices,
        "busy_slices": point.busy_slices,
        "ghost_batches": point.ghost_batches,
        "global_batch": point.global_batch,
        "epochs": epochs and epochs.mean,
        "epochs_sd": epochs and epochs.sd,
        "epochs_basis": epochs and str(epochs.basis),
        "algorithm": point.algorithm,
        **_prediction_json(point.at[Level.TYPICAL]),
        "low": _prediction_json(point.at[Level.LOW]),
        "high": _prediction_json(point.at[Level.HIGH]),
    }


def _prediction_json(at: Prediction) -> dict[str, Any]:
    return {
        "predicted_s": at.step_s,
        "images_per_s": at.images_per_s,
        "efficiency": at.efficiency,
        "utilisation": at.utilisation,
        "power_w": at.power_w,
        "energy_j": at.power_w * at.step_s,
        "joules_per_image": at.joules_per_image,
        "train_s": at.train_s,
        "train_energy_j": at.energy_j,
        "components": dict(at.components),
    }


def points_of(found: Iterable[Mapping[str, Any]]) -> list[Point]:
    """Return the points that `as_json` wrote."""
    return [_point(each) for each in found]


def _point(found: Mapping[str, Any]) -> Point:
    names = ("boards", "machines", "slices", "busy_slices", "ghost_batches", "global_batch")
    known = found["epochs"] is not None
    return Point(
        scaling=Scaling(found["scaling"]),
        epochs=Epochs(found["epochs"], found["epochs_sd"], Basis(found["epochs_basis"]))
        if known
        else None,
        algorithm=found["algorithm"],
        at={
            Level.LOW: _prediction(found["low"]),
            Level.TYPICAL: _prediction(found),
            Level.HIGH: _prediction(found["high"]),
        },
        **{name: found[name] for name in names},
    )


def _prediction(found: Mapping[str, Any]) -> Prediction:
    names = ("components", "images_per_s", "efficiency", "utilisation", "power_w", "train_s")
    return Prediction(energy_j=found["train_energy_j"], **{name: found[name] for name in names})
