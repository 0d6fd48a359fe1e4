"""Whether a training may go on from a checkpoint under a configuration."""

from functools import reduce
from typing import Any

from orchestrator.config import RunConfig, numeric_differences
from orchestrator.config.schema import shown
from orchestrator.errors import CheckpointError
from orchestrator.train.rebuild import rebuild_config
from orchestrator.train.state import TrainState


def check_resume(
    state: TrainState, config: RunConfig, decoder: str, *, allow_other_decoder: bool = False
) -> None:
    """Check that going on from a state gives the numbers of an uninterrupted training.

    Parameters
    ----------
    state : the loaded checkpoint.
    config : the configuration to go on under.
    decoder : version of the image decoder and resizer at hand.
    allow_other_decoder : go on although the pixels may differ.

    Raises
    ------
    CheckpointError
        If a key that changes numbers differs, with the key and both values, or the decoder does.
    """
    saved = rebuild_config(state)
    keys = numeric_differences(saved, config)
    if keys:
        pairs = [f"{key} (was {_value(saved, key)}, now {_value(config, key)})" for key in keys]
        raise CheckpointError(
            "the checkpoint belongs to another training: "
            + "; ".join(pairs)
            + "; set it back, or start a new run (model.weights starts from these weights)"
        )
    if state.decoder != decoder and not allow_other_decoder:
        raise CheckpointError(
            f"the checkpoint's images were decoded by {state.decoder}, here it is {decoder}: "
            "the pixels may differ; install the other version, or give --allow-other-decoder"
        )


def _value(config: RunConfig, key: str) -> str:
    """Return the value of a dotted key as messages show it."""
    value: Any = reduce(getattr, key.split("."), config)
    return shown(value)
