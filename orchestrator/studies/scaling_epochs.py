"""How many epochs a training needs to its target, by global batch: the price of large batches.

Larger batches take fewer steps but more epochs. MLPerf publishes how many its reference needs to
75.9 % top-1 at ten batches; between them this interpolates, and says so. Recipes of single papers
hold for the batches they were shown at, and for smaller ones.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from orchestrator.errors import ArgumentError
from orchestrator.studies.records import RECORDS, Record


class Basis(StrEnum):
    """How a number of epochs is known."""

    REFERENCE = "reference point"
    INTERPOLATED = "interpolated"
    SMALLEST = "of the smallest reference point"
    EXTRAPOLATED = "extrapolated"
    RECIPE = "published"
    CONFIGURED = "configured"


@dataclass(frozen=True, slots=True)
class Epochs:
    """Epochs to the target.

    Attributes
    ----------
    mean : epochs.
    sd : standard deviation over runs; 0 where a single figure is published.
    basis : how it is known.
    """

    mean: float
    sd: float
    basis: Basis


@dataclass(frozen=True, slots=True)
class ReferencePoint:
    """One of MLPerf's reference convergence points.

    Attributes
    ----------
    batch : images a step.
    mean, sd : epochs to 75.9 % top-1, over `runs` runs.
    """

    batch: int
    mean: float
    sd: float
    runs: int


REFERENCE_POINTS: tuple[ReferencePoint, ...] = (
    ReferencePoint(1632, 35.0, 1.1, 17),
    ReferencePoint(3264, 35.2, 0.8, 15),
    ReferencePoint(4096, 40.0, 1.0, 10),
    ReferencePoint(8192, 42.0, 1.0, 10),
    ReferencePoint(13_056, 45.4, 0.7, 10),
    ReferencePoint(32_768, 56.0, 0.5, 10),
    ReferencePoint(49_152, 68.0, 0.6, 10),
    ReferencePoint(58_880, 79.9, 0.8, 10),
    ReferencePoint(65_536, 84.5, 0.9, 10),
    ReferencePoint(67_840, 85.9, 0.6, 28),
)
"""ResNet-50 with LARS, target 75.9 % (mlperf-logging 4.1.68, ``training_4.0.0/rcps_resnet.json``;
means and deviations over its runs worked out by us)."""

REFERENCE_MODEL = "resnet50"
REFERENCE = "mlperf"
CONFIGURED = "config"


class Recipe(Protocol):
    """How long to train, as a function of the batch."""

    @property
    def name(self) -> str:
        """Return the name that ``--recipe`` takes."""

    @property
    def target(self) -> str:
        """Return what the training reaches, in words."""

    def epochs(self, batch: int, *, extrapolate: bool) -> Epochs | None:
        """Return the epochs at a global batch of at least 1; None where nothing is known.

        Parameters
        ----------
        extrapolate : whether to answer beyond the largest batch known as well.
        """


@dataclass(frozen=True, slots=True)
class ReferenceRecipe:
    """MLPerf's reference convergence points."""

    name: str = REFERENCE
    target: str = "75.9 % top-1"

    def epochs(self, batch: int, *, extrapolate: bool) -> Epochs | None:
        """Return the epochs to the target: linear in the batch between two points.

        Beyond the last point, the line through the last two goes on where that is asked for.
        """
        points = REFERENCE_POINTS
        place = bisect_left([point.batch for point in points], batch)
        if place == len(points):
            return _between(points[-2], points[-1], batch, Basis.EXTRAPOLATED, extrapolate)
        point = points[place]
        if point.batch == batch:
            return Epochs(point.mean, point.sd, Basis.REFERENCE)
        if place == 0:
            return Epochs(point.mean, point.sd, Basis.SMALLEST)
        return _between(points[place - 1], point, batch, Basis.INTERPOLATED, True)


def _between(
    one: ReferencePoint, two: ReferencePoint, batch: int, basis: Basis, wanted: bool
) -> Epochs | None:
    """Return the epochs on the line through two points, if wanted."""
    slope = (two.mean - one.mean) / (two.batch - one.batch)
    mean = one.mean + slope * (batch - one.batch)
    return Epochs(mean, max(one.sd, two.sd), basis) if wanted else None


@dataclass(frozen=True, slots=True)
class FixedRecipe:
    """A recipe of one length.

    Attributes
    ----------
    name, target : as `Recipe`.
    length : epochs.
    largest : the largest batch that it was shown to reach its target at; None for any.
    basis : of the length.
    """

    name: str
    target: str
    length: float
    largest: int | None
    basis: Basis

    def epochs(self, batch: int, *, extrapolate: bool) -> Epochs | None:
        """Return the recipe's length; beyond its largest batch only as an extrapolation."""
        if self.largest is None or batch <= self.largest:
            return Epochs(self.length, 0.0, self.basis)
        return Epochs(self.length, 0.0, Basis.EXTRAPOLATED) if extrapolate else None


def _published(record: Record) -> FixedRecipe | None:
    """Return the recipe of a published training whose batch, length and result are known."""
    if record.epochs is None or record.batch is None or record.accuracy is None:
        return None
    return FixedRecipe(
        name=record.name.lower().replace(" ", "-"),
        target=f"{record.accuracy.value:g} % top-1",
        length=record.epochs.value,
        largest=int(record.batch.value),
        basis=Basis.RECIPE,
    )


def recipes(model: str, configured_epochs: int) -> Mapping[str, Recipe]:
    """Return the recipes of a network by name; the configuration's own length is the last."""
    found: dict[str, Recipe] = {}
    if model == REFERENCE_MODEL:
        found[REFERENCE] = ReferenceRecipe()
    for record in RECORDS:
        recipe = _published(record) if record.model == model else None
        if recipe:
            found[recipe.name] = recipe
    found[CONFIGURED] = FixedRecipe(
        name=CONFIGURED,
        target=f"{configured_epochs} epochs, whatever they reach",
        length=configured_epochs,
        largest=None,
        basis=Basis.CONFIGURED,
    )
    return found


def find_recipe(name: str | None, model: str, configured_epochs: int) -> Recipe:
    """Return a recipe by name; None means the first there is: MLPerf's points for ResNet-50.

    Raises
    ------
    ArgumentError
        The network has no such recipe; the message lists those it has.
    """
    known = recipes(model, configured_epochs)
    if name is None:
        return next(iter(known.values()))
    if name not in known:
        raise ArgumentError(f"--recipe: {model} has no recipe {name!r}; it has {', '.join(known)}")
    return known[name]
