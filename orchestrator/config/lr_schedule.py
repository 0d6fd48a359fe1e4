"""Section `lr_schedule`: the learning rate over the epochs."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from orchestrator.config.schema import about, check_fields, shown
from orchestrator.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class PlateauConfig:
    """Lower the rate when the evaluation's count of correct images no longer grows."""

    patience: int = field(
        default=5, metadata=about("evaluations without a gain before lowering", low=1)
    )
    min_delta: int = field(
        default=1, metadata=about("more correct images that count as a gain", low=1)
    )

    def __post_init__(self) -> None:
        check_fields(self, "lr_schedule.plateau")


@dataclass(frozen=True, kw_only=True, slots=True)
class PieceConfig:
    """One piece of a joined schedule; it lasts until the next one starts."""

    start: Fraction = field(metadata=about("epoch at which the piece starts", low=0))
    factor: Fraction = field(
        metadata=about("rate at its start, as a multiple of the scaled base_lr", low=0)
    )
    shape: Literal["constant", "polynomial", "cosine"] = field(
        default="constant", metadata=about("way from `factor` to `end_factor`")
    )
    end_factor: Fraction | None = field(
        default=None, metadata=about("rate at its end; not for constant", low=0)
    )
    power: Fraction = field(
        default=Fraction(1), metadata=about("polynomial: exponent", above=0, high=16)
    )

    def __post_init__(self) -> None:
        check_fields(self, "lr_schedule.pieces")
        if (self.end_factor is None) != (self.shape == "constant"):
            raise ConfigError(
                f"lr_schedule.pieces.end_factor: {shown(self.end_factor)} is not allowed with "
                f"shape {self.shape}; constant has none, polynomial and cosine need one"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class LrScheduleConfig:
    """The learning rate as a function of the epoch, exact to the last digit."""

    base_lr: Fraction = field(metadata=about("learning rate before scaling", above=0, high=10_000))
    scale: Literal["none", "linear", "sqrt"] = field(
        default="none",
        metadata=about("multiply base_lr by (train.global_batch / scale_batch), or its root"),
    )
    scale_batch: int = field(
        default=256, metadata=about("global batch that base_lr is meant for", low=1)
    )
    warmup_epochs: Fraction = field(
        default=Fraction(0), metadata=about("epochs of linear rise, step by step", low=0)
    )
    warmup_start: Fraction = field(
        default=Fraction(0), metadata=about("rate of the first step of the warm-up", low=0)
    )
    decay: Literal["constant", "steps", "polynomial", "cosine", "plateau", "joined"] = field(
        default="constant", metadata=about("shape after the warm-up")
    )
    milestones: tuple[Fraction, ...] = field(
        default=(), metadata=about("steps: epochs at which the rate is multiplied by gamma", low=0)
    )
    gamma: Fraction = field(
        default=Fraction(1, 10),
        metadata=about("steps, plateau: factor of each reduction", above=0, below=1),
    )
    power: Fraction = field(
        default=Fraction(2), metadata=about("polynomial: exponent", above=0, high=16)
    )
    end_lr: Fraction = field(
        default=Fraction(0), metadata=about("polynomial, cosine: rate at the end", low=0)
    )
    decay_epochs: Fraction | None = field(
        default=None,
        metadata=about(
            "polynomial, cosine: epoch at which end_lr is reached; null: train.epochs", above=0
        ),
    )
    pieces: tuple[PieceConfig, ...] = field(
        default=(), metadata=about("joined: the pieces, by rising start, the first at 0")
    )
    plateau: PlateauConfig = field(
        default_factory=PlateauConfig, metadata=about("plateau: when to lower the rate")
    )

    def __post_init__(self) -> None:
        check_fields(self, "lr_schedule")
        rising("lr_schedule.milestones", self.milestones)
        rising("lr_schedule.pieces", tuple(piece.start for piece in self.pieces))
        if self.decay == "steps" and not self.milestones:
            raise ConfigError("lr_schedule.milestones: missing; decay steps needs at least one")
        if self.decay == "joined" and (not self.pieces or self.pieces[0].start != 0):
            raise ConfigError("lr_schedule.pieces: decay joined needs pieces, the first at start 0")
        if self.decay_epochs is not None and self.decay_epochs <= self.warmup_epochs:
            raise ConfigError(
                f"lr_schedule.decay_epochs: {shown(self.decay_epochs)} must be more than "
                f"lr_schedule.warmup_epochs {shown(self.warmup_epochs)}"
            )


def rising(key: str, epochs: tuple[Fraction, ...]) -> None:
    """Raise ConfigError unless the epochs rise strictly."""
    for i in range(1, len(epochs)):
        if epochs[i] <= epochs[i - 1]:
            raise ConfigError(
                f"{key}[{i}]: epoch {shown(epochs[i])} does not come after "
                f"{shown(epochs[i - 1])}; list them by rising epoch"
            )
