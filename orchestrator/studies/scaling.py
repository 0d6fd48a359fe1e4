"""The scaling study: how fast any number of boards trains a network, and at what cost of energy.

*Weak* scaling gives every slice the same images a step, so the global batch grows with the boards;
*strong* scaling keeps the global batch, so each slice has fewer. A step is that of the busiest
slice, as `orchestrator.perf` predicts it from its plan, with the sum of the gradient over all
boards; the images that come in over each board's Ethernet are a further bound. Low, typical and
high take all constants of the machine at their slow, typical or fast end (docs/machine.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from pathlib import Path
from typing import Protocol

from orchestrator.errors import ArgumentError
from orchestrator.machine.constants import Level
from orchestrator.studies.records import IMAGENET_IMAGES
from orchestrator.studies.scaling_epochs import Epochs, Recipe
from orchestrator.studies.scaling_machine import Boards, boards_of
from orchestrator.studies.scaling_sums import BoardSums, input_seconds

WAITING_FOR_IMAGES = "input"


class Scaling(StrEnum):
    """What stays the same when boards are added."""

    WEAK = "weak"
    STRONG = "strong"


class Sums(Protocol):
    """Sums over boards."""

    def fastest(self, n_elements: int) -> tuple[str, float]:
        """Return the fastest algorithm, and the time to sum n_elements over all boards."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SliceStep:
    """A step of one slice.

    Attributes
    ----------
    components : seconds by what they are spent on; they add up to the step.
    energy : joules of the slice's boards by what they are spent on, with its share of the frames.
    idle_w : power of the slice's boards, with their share of the frames, when nothing runs.
    roofline_s : the step's multiply-accumulates on all application cores at the measured rate.
    """

    components: Mapping[str, float]
    energy: Mapping[str, float]
    idle_w: float
    roofline_s: float

    @property
    def seconds(self) -> float:
        """Return the length of the step."""
        return sum(self.components.values())


class SliceModel(Protocol):
    """Predicts the steps of one slice."""

    @property
    def boards(self) -> int:
        """Return the boards of the slice."""

    @property
    def ghost_batch(self) -> int:
        """Return the images that the slice computes at a time."""

    @property
    def input_bytes(self) -> int:
        """Return the most pixels of a ghost batch, in bytes, that one board takes in."""

    @property
    def n_parameters(self) -> int:
        """Return the elements of the gradient."""

    def step(
        self, level: Level, overrides: Mapping[str, float], ghost_batches: int, sums: Sums | None
    ) -> SliceStep:
        """Return a step of so many ghost batches; sums is None for a slice that is alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """A training on some boards, at one level of constants.

    Attributes
    ----------
    components : seconds of a step, by what they are spent on.
    images_per_s : global batch over the step.
    efficiency : images/s over those of as many slices, each training alone.
    utilisation : of the compute roofline of all boards, used or not.
    power_w : of all boards and frames.
    train_s, energy_j : to the recipe's target; None where its epochs are not known.
    """

    components: Mapping[str, float]
    images_per_s: float
    efficiency: float
    utilisation: float
    power_w: float
    train_s: float | None
    energy_j: float | None

    @property
    def step_s(self) -> float:
        """Return the length of a step."""
        return sum(self.components.values())

    @property
    def joules_per_image(self) -> float:
        """Return the energy of the machine for each image."""
        return self.power_w / self.images_per_s


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A number of boards in a study.

    Attributes
    ----------
    scaling, boards, machines : what it is.
    slices : replicas of the network.
    busy_slices : those that have images; fewer in strong scaling beyond the batch.
    ghost_batches : of the busiest slice.
    global_batch : images a step.
    epochs : to the target; None where not known.
    algorithm : that sums the gradient over cables, at typical constants.
    at : predictions by level.
    """

    scaling: Scaling
    boards: int
    machines: int
    slices: int
    busy_slices: int
    ghost_batches: int
    global_batch: int
    epochs: Epochs | None
    algorithm: str
    at: Mapping[Level, Prediction]


def slices_on(n_boards: int, slice_boards: int) -> int:
    """Return how many slices of so many boards a number of boards holds.

    Raises
    ------
    ArgumentError
        As `boards_of`, or there are fewer boards than a slice has.
    """
    boards_of(n_boards)
    if n_boards < slice_boards:
        raise ArgumentError(f"--boards: {n_boards} are fewer than the {slice_boards} of a slice")
    return n_boards // slice_boards


def whole_ghost_batches(images: int, ghost_batch: int, key: str) -> int:
    """Return how many ghost batches a number of images is.

    Parameters
    ----------
    key : names the number in the message.

    Raises
    ------
    ArgumentError
        The images are not whole ghost batches, or none.
    """
    if images < ghost_batch or images % ghost_batch:
        raise ArgumentError(
            f"{key}: {images:,} is not a multiple of the ghost batch {ghost_batch} "
            "(train.ghost_batch)"
        )
    return images // ghost_batch


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """What a study asks.

    Attributes
    ----------
    slice_model : of one replica.
    recipe : how long to train.
    extrapolate : whether to say how long beyond what is known about the recipe.
    overrides : constants of the machine that differ from today's, by name, for each level.
    closed : whether parts of the largest machine are closed to tori of their own.
    folder : where counts of sums are kept between studies; None for nowhere.
    epoch_images : images of an epoch.
    """

    slice_model: SliceModel
    recipe: Recipe
    extrapolate: bool = False
    overrides: Mapping[Level, Mapping[str, float]]
    closed: bool = False
    folder: Path | None = None
    epoch_images: int = IMAGENET_IMAGES

    def weak(self, boards: Sequence[int], ghost_batches: int) -> list[Point]:
        """Return the points at which every slice has so many ghost batches a step, at least 1.

        Raises
        ------
        ArgumentError
            As `slices_on`, or sums beyond int32.
        """
        alone = self._alone(ghost_batches)
        return [
            self._point(
                Scaling.WEAK, n, ghost_batches * slices_on(n, self.slice_model.boards), alone
            )
            for n in boards
        ]

    def strong(self, boards: Sequence[int], ghost_batches: int) -> list[Point]:
        """Return the points at which all slices together have so many ghost batches a step.

        Raises
        ------
        ArgumentError
            As `weak`.
        """
        alone = self._alone(ghost_batches)
        return [self._point(Scaling.STRONG, n, ghost_batches, alone) for n in boards]

    def _alone(self, ghost_batches: int) -> dict[Level, float]:
        """Return the images/s of one slice that trains alone."""
        boards = boards_of(self.slice_model.boards)
        images = ghost_batches * self.slice_model.ghost_batch
        return {
            level: images / sum(self._step(boards, level, ghost_batches, None)[0].values())
            for level in Level
        }

    def _step(
        self, boards: Boards, level: Level, ghost_batches: int, sums: Sums | None
    ) -> tuple[dict[str, float], SliceStep]:
        """Return the components of the busiest slice's step, with its wait for images; the step."""
        model, overrides = self.slice_model, self.overrides[level]
        step = model.step(level, overrides, ghost_batches, sums)
        pixels = ghost_batches * model.input_bytes
        arrival = input_seconds(boards.machine.n_boards, pixels, level, overrides)
        waiting = max(0.0, arrival - step.seconds)
        return {**step.components, WAITING_FOR_IMAGES: waiting}, step

    def _point(
        self, scaling: Scaling, n_boards: int, total: int, alone: Mapping[Level, float]
    ) -> Point:
        """Return a point of `total` ghost batches a step."""
        boards = boards_of(n_boards, closed=self.closed)
        slices = slices_on(n_boards, self.slice_model.boards)
        batch = total * self.slice_model.ghost_batch
        load = _Load(n_boards / self.slice_model.boards, total, ceil(total / slices))
        epochs = self.recipe.epochs(batch, extrapolate=self.extrapolate)
        steps = None if epochs is None else epochs.mean * ceil(self.epoch_images / batch)
        at, algorithm = {}, ""
        for level in Level:
            sums = BoardSums(boards, load.ghost_batches, level, self.overrides[level], self.folder)
            if slices > 1 and level is Level.TYPICAL:
                algorithm = sums.fastest(self.slice_model.n_parameters)[0]
            found = self._step(boards, level, load.ghost_batches, sums if slices > 1 else None)
            at[level] = load.predict(*found, batch, alone[level], steps)
        return Point(
            scaling=scaling,
            boards=n_boards,
            machines=boards.machines,
            slices=slices,
            busy_slices=load.busy,
            ghost_batches=load.ghost_batches,
            global_batch=batch,
            epochs=epochs,
            algorithm=algorithm,
            at=at,
        )


@dataclass(frozen=True, slots=True)
class _Load:
    """How a step's ghost batches are spread.

    Attributes
    ----------
    slices : boards over those of a slice; boards of no slice count in part.
    total : ghost batches of a step.
    ghost_batches : of the busiest slices; the last busy one may have fewer.
    """

    slices: float
    total: int
    ghost_batches: int

    @property
    def busy(self) -> int:
        """Return the slices that have a ghost batch."""
        return ceil(self.total / self.ghost_batches)

    def predict(
        self,
        components: Mapping[str, float],
        step: SliceStep,
        batch: int,
        alone: float,
        steps: float | None,
    ) -> Prediction:
        """Return what a step of the busiest slices means for all.

        Slices that have less to do, or nothing, wait with the power of idle boards. The last busy
        slice is counted as busy as the others.
        """
        seconds = sum(components.values())
        busy_j = sum(step.energy.values()) + (seconds - step.seconds) * step.idle_w
        energy = self.busy * busy_j + (self.slices - self.busy) * seconds * step.idle_w
        rate = batch / seconds
        work = self.total / self.ghost_batches * step.roofline_s
        return Prediction(
            components=components,
            images_per_s=rate,
            efficiency=rate / (alone * self.slices),
            utilisation=work / (self.slices * seconds),
            power_w=energy / seconds,
            train_s=None if steps is None else steps * seconds,
            energy_j=None if steps is None else steps * energy,
        )
