"""The configuration and the network of a checkpoint, from the checkpoint alone."""

from orchestrator.config import RunConfig, parse_config
from orchestrator.errors import CheckpointError, ConfigError
from orchestrator.model.graph import Graph
from orchestrator.model.zoo import NETWORKS, build_network
from orchestrator.train.state import TrainState


def rebuild_config(state: TrainState) -> RunConfig:
    """Return the configuration a state was trained with.

    Raises
    ------
    CheckpointError
        If this version cannot read it.
    """
    try:
        return parse_config(state.config_text)
    except ConfigError as error:
        raise CheckpointError(
            f"the checkpoint's configuration is not one of this version: {error}"
        ) from error


def rebuild_network(state: TrainState) -> Graph:
    """Return the network a state belongs to, with as many classes as its weights have.

    Raises
    ------
    CheckpointError
        If this version cannot read its configuration, or its weights are not that network's.
    """
    config = rebuild_config(state)
    if config.model.name not in NETWORKS:
        raise CheckpointError(
            f"the checkpoint's network {config.model.name!r} was built in Python; only there its "
            f"weights can be used (Model.load). Known here are {', '.join(NETWORKS)}"
        )
    if config.model.classes is not None:
        return build_network(config.model, config.model.classes)
    # The name of the last layer does not depend on the number of classes.
    last = build_network(config.model, 2).output
    weight = state.masters.get(f"{last}.weight")
    if weight is None:
        raise CheckpointError(f"the checkpoint holds no {last}.weight: not of {state.network}")
    return build_network(config.model, weight.shape[0])
