"""Everything a training or an evaluation needs before its first image, from the configuration."""

from dataclasses import dataclass

from orchestrator.boards.base import ReplicaSettings
from orchestrator.config import RunConfig
from orchestrator.data import Dataset, Loader, open_dataset
from orchestrator.data.augment import input_table
from orchestrator.errors import ConfigError
from orchestrator.model.graph import Graph
from orchestrator.model.ops_loss import loss_targets
from orchestrator.model.zoo import build_network

MOST_POSITIONS = 1 << 24
"""Most positions of a ghost batch in one feature map, so that all its sums are exact."""


@dataclass(frozen=True)
class Setup:
    """The parts of a run that follow from its configuration and its data.

    Attributes
    ----------
    graph : the network.
    classes : names of the data's classes.
    train_data, eval_data : the two splits; None for the training split of an evaluation.
    settings : what a replica needs beside the graph.
    """

    graph: Graph
    classes: tuple[str, ...]
    train_data: Dataset | None
    eval_data: Dataset
    settings: ReplicaSettings


def prepare(config: RunConfig, *, training: bool = True) -> Setup:
    """Open the data and build the network.

    Raises
    ------
    ConfigError
        A value does not fit the data or the network.
    DataError
        The data is missing, empty or damaged.
    """
    seed = config.train.seed
    eval_data = open_dataset(config.data, config.model, "eval", seed)
    train_data = open_dataset(config.data, config.model, "train", seed) if training else None
    names = (train_data or eval_data).classes
    graph = build_network(config.model, config.model.classes or len(names))
    check_ghost_batch(config, graph)
    return Setup(graph, names, train_data, eval_data, replica_settings(config, graph))


def replica_settings(config: RunConfig, graph: Graph) -> ReplicaSettings:
    """Return the input table and the targets of a run."""
    table, exponent = input_table(config.data.mean, config.data.std)
    classes = graph.node(graph.output).shape[0]
    on, off = loss_targets(classes, config.train.label_smoothing)
    return ReplicaSettings(
        seed=config.train.seed,
        table=table,
        table_exponent=exponent,
        target_on=on,
        target_off=off,
    )


def open_loader(config: RunConfig, data: Dataset, *, training: bool) -> Loader:
    """Return the loader of a split."""
    return Loader(
        data,
        data=config.data,
        image_size=config.model.image_size,
        channels=config.model.channels,
        ghost_batch=config.train.ghost_batch if training else config.train.eval_batch,
        seed=config.train.seed,
        training=training,
    )


def check_ghost_batch(config: RunConfig, graph: Graph) -> None:
    """Refuse a ghost batch with more positions in a feature map than sums are exact for.

    Raises
    ------
    ConfigError
        It has more than 2^24 (numerics page, sections 3 and 4).
    """
    maps = [node.shape for node in graph.nodes if len(node.shape) == 3]
    largest = max((shape[0] * shape[1] for shape in maps), default=1)
    if config.train.ghost_batch * largest > MOST_POSITIONS:
        raise ConfigError(
            f"train.ghost_batch: {config.train.ghost_batch} images have "
            f"{config.train.ghost_batch * largest:,} positions in the largest feature map; sums "
            f"are exact for {MOST_POSITIONS:,}, use at most {MOST_POSITIONS // largest}"
        )
