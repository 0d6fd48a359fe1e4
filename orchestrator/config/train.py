"""Section `train`: batches, length, evaluation and checkpoints of a training."""

from dataclasses import dataclass, field
from fractions import Fraction

from orchestrator.config.schema import about, check_fields
from orchestrator.errors import ConfigError

MOST_GHOST_BATCHES = 65_536
"""Gradients of 16 bits, summed exactly in int32 (docs/numerics.md, section 3)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlyStopConfig:
    """Stop when the evaluation's count of correct images no longer grows."""

    patience: int = field(
        metadata=about("evaluations without a gain before stopping", low=1, numeric=False)
    )
    min_delta: int = field(
        default=1,
        metadata=about("more correct images that count as a gain", low=1, numeric=False),
    )

    def __post_init__(self) -> None:
        check_fields(self, "train.early_stop")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """Batches, length, evaluation and checkpoints."""

    global_batch: int = field(
        metadata=about("images of one step over all ranks; a multiple of ghost_batch", low=1)
    )
    epochs: int = field(metadata=about("passes over the training images", low=1, high=100_000))
    batch_schedule: tuple[tuple[int, int], ...] = field(
        default=(),
        metadata=about("changes of the global batch: [epoch, images], epochs rising", low=1),
    )
    ghost_batch: int = field(
        default=32,
        metadata=about("images that share batch-norm statistics, computed whole", low=1),
    )
    max_steps: int | None = field(
        default=None, metadata=about("stop after so many steps", low=1, numeric=False)
    )
    seed: int = field(
        default=0,
        metadata=about("seed of order, augmentation, start and dither", low=0, high=2**64 - 1),
    )
    label_smoothing: Fraction = field(
        default=Fraction(0), metadata=about("share of the target spread evenly", low=0, below=1)
    )
    eval_every_epochs: int = field(
        default=1, metadata=about("epochs between evaluations", low=1, numeric=False)
    )
    eval_batch: int = field(
        default=32, metadata=about("images evaluated at a time", low=1, numeric=False)
    )
    threads: int = field(
        default=1,
        metadata=about("computing threads of a rank", low=1, high=1024, numeric=False),
    )
    checkpoint_every_epochs: int = field(
        default=1,
        metadata=about("epochs between checkpoints; 0: only at the end", low=0, numeric=False),
    )
    checkpoint_every_steps: int | None = field(
        default=None, metadata=about("also every so many steps", low=1, numeric=False)
    )
    keep_checkpoints: int = field(
        default=2, metadata=about("newest checkpoints kept", low=1, numeric=False)
    )
    keep_best: bool = field(
        default=True,
        metadata=about("also keep the checkpoint with the best accuracy", numeric=False),
    )
    early_stop: EarlyStopConfig | None = field(
        default=None,
        metadata=about("stop when accuracy no longer grows; null: never", numeric=False),
    )

    def __post_init__(self) -> None:
        check_fields(self, "train")
        check_batch("train.global_batch", self.global_batch, self.ghost_batch)
        previous = 0
        for i, (epoch, batch) in enumerate(self.batch_schedule):
            check_batch(f"train.batch_schedule[{i}]", batch, self.ghost_batch)
            if epoch <= previous:
                raise ConfigError(
                    f"train.batch_schedule[{i}]: epoch {epoch} does not come after {previous}; "
                    "list the changes by rising epoch, from 1"
                )
            previous = epoch


def check_batch(key: str, batch: int, ghost_batch: int) -> None:
    """Raise ConfigError unless `batch` is 1 to 65,536 whole ghost batches."""
    if batch % ghost_batch:
        below, above = batch - batch % ghost_batch, batch + ghost_batch - batch % ghost_batch
        near = f"{below} or {above}" if below else f"{above}"
        raise ConfigError(
            f"{key}: {batch} is not a multiple of train.ghost_batch {ghost_batch}; use {near}, "
            "or another train.ghost_batch"
        )
    if batch // ghost_batch > MOST_GHOST_BATCHES:
        raise ConfigError(
            f"{key}: {batch} is {batch // ghost_batch} ghost batches of {ghost_batch}; at most "
            f"{MOST_GHOST_BATCHES} can be summed exactly, raise train.ghost_batch"
        )
