"""A model's weights as a list of floating-point arrays, and back onto their grids."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ArgumentError, CheckpointError
from orchestrator.train.state import MASTER_EXPONENT, RUNNING_EXPONENT, TrainState
from orchestrator.train.weights import to_grid

Masters = dict[str, NDArray[np.int32]]
Running = dict[str, NDArray[np.int64]]


def as_floats(state: TrainState, names: Sequence[str]) -> list[NDArray[np.float64]]:
    """Return parameters and running statistics by name; float64 holds each of them exactly."""
    floats: list[NDArray[np.float64]] = []
    for name in names:
        if name in state.masters:
            floats.append(state.masters[name].astype(np.float64) * 2.0**MASTER_EXPONENT)
        else:
            floats.append(state.running[name].astype(np.float64) * 2.0**RUNNING_EXPONENT)
    return floats


def from_floats(
    state: TrainState, names: Sequence[str], weights: Sequence[Any]
) -> tuple[Masters, Running]:
    """Return arrays rounded half up to multiples of 2^-28, as counts of them.

    Parameters
    ----------
    state : whose shapes they must have.
    names : of the arrays, in their order.
    weights : anything NumPy takes as floating-point arrays.

    Raises
    ------
    ArgumentError
        If the number of arrays or a shape is wrong, or a value is not finite or too large (8 for
        parameters, 2^18 for running statistics); the message names the array.
    """
    if len(weights) != len(names):
        raise ArgumentError(
            f"set_weights: {len(weights)} arrays; the model has {len(names)} "
            "(parameters, then running statistics: see weight_names)"
        )
    masters: Masters = {}
    running: Running = {}
    for name, weight in zip(names, weights, strict=True):
        parameter = name in state.masters
        shape = (state.masters[name] if parameter else state.running[name]).shape
        try:
            values = np.asarray(weight, np.float64)
        except (TypeError, ValueError):
            raise ArgumentError(f"set_weights: {name} is no array of numbers") from None
        if values.shape != shape:
            raise ArgumentError(f"set_weights: {name} has shape {values.shape}; it needs {shape}")
        try:
            if parameter:
                masters[name] = to_grid(name, values, np.int32)
            else:
                running[name] = to_grid(name, values, np.int64)
        except CheckpointError as error:
            raise ArgumentError(f"set_weights: {error}") from None
    return masters, running
