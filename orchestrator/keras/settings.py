"""From a compiled model and the arguments of a fit to the configuration of a training."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from orchestrator.config import (
    DataConfig,
    ModelConfig,
    RunConfig,
    SliceConfig,
    TrainConfig,
)
from orchestrator.errors import ArgumentError, ConfigError
from orchestrator.keras.optimizers import SGD, Number, Optimizer, exact, schedule_of
from orchestrator.model.graph import Graph

ARGUMENTS = {
    "train.global_batch": "batch_size",
    "train.ghost_batch": "ghost_batch",
    "train.epochs": "epochs",
    "train.seed": "seed",
    "train.threads": "threads",
    "train.label_smoothing": "label_smoothing",
    "data.augmentation": "augmentation",
    "data.mean": "mean",
    "data.std": "std",
    "slice.backend": "backend",
}
"""Keys of the configuration, and the arguments they are given as here."""

Augmentation = Literal["none", "cifar"]
Backend = Literal["native", "reference", "emulated", "hardware"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Compiled:
    """What `compile` was given."""

    optimizer: Optimizer = field(default_factory=SGD)
    label_smoothing: Number = 0
    backend: Backend = "native"
    threads: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """What a `fit` was given, and how many images it has.

    `epochs` is where the training ends, counted from its start; by default, where no training is
    meant, later than any warm-up.
    """

    samples: int
    eval_samples: int = 0
    batch_size: int = 32
    ghost_batch: int = 32
    epochs: int = 100_000
    eval_batch: int = 32
    augmentation: Augmentation = "none"


def run_config(
    call: str,
    network: ModelConfig,
    compiled: Compiled,
    mean: tuple[Fraction, ...],
    std: tuple[Fraction, ...],
    seed: int,
    fit: Fit,
) -> RunConfig:
    """Return the configuration of a training on arrays.

    Parameters
    ----------
    call : what messages begin with, such as "fit".
    network, compiled, mean, std, seed : the model.
    fit : the training.

    Raises
    ------
    ArgumentError
        If a value is not allowed; the message names the argument.
    """
    try:
        return RunConfig(
            model=network,
            data=DataConfig(
                source="memory",
                mean=mean,
                std=std,
                augmentation=fit.augmentation,
                train_samples=fit.samples,
                eval_samples=fit.eval_samples or None,
            ),
            train=TrainConfig(
                global_batch=fit.batch_size,
                ghost_batch=fit.ghost_batch,
                epochs=fit.epochs,
                eval_batch=fit.eval_batch,
                seed=seed,
                label_smoothing=exact("label_smoothing", compiled.label_smoothing),
                threads=compiled.threads,
            ),
            optimizer=compiled.optimizer.section(),
            lr_schedule=schedule_of(compiled.optimizer),
            slice=SliceConfig(backend=compiled.backend),
        )
    except ConfigError as error:
        raise ArgumentError(f"{call}: {in_arguments(str(error))}") from None


def describe_network(graph: Graph, name: str) -> ModelConfig:
    """Return the section `model` of a network built by hand.

    Raises
    ------
    ArgumentError
        If it does not take square images, or does not end with two or more logits.
    """
    shape, outputs = graph.input_shape, graph.output_shape
    if len(shape) != 3 or shape[0] != shape[1]:
        raise ArgumentError(f"{name}: takes {shape}; a model takes square images (H, W, C), H = W")
    if len(outputs) != 1 or outputs[0] < 2:
        raise ArgumentError(
            f"{name}: makes {outputs}; a model ends with a Dense layer of one unit a class"
        )
    try:
        return ModelConfig(name=name, image_size=shape[0], channels=shape[2], classes=outputs[0])
    except ConfigError as error:
        raise ArgumentError(f"{name}: {error}") from None


def in_arguments(message: str) -> str:
    """Return a message about configuration keys with the names the arguments have here.

    Examples
    --------
    >>> in_arguments("train.global_batch: 10 is not a multiple of train.ghost_batch 32")
    'batch_size: 10 is not a multiple of ghost_batch 32'
    """
    for key, argument in ARGUMENTS.items():
        message = message.replace(key, argument)
    return message
