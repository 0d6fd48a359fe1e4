"""Multi-layer perceptron: dense layers with ReLU on the flattened image."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from orchestrator.model.distributions import Normal
from orchestrator.model.graph import Graph, build_graph
from orchestrator.model.layers import Dense, Flatten, Input, ReLU


def mlp(image: Sequence[int], classes: int, hidden: Sequence[int]) -> Graph:
    """Return a perceptron: hidden layers 'fc1', 'fc2', ... and the output layer 'fc'.

    Parameters
    ----------
    image
        (H, W, C), or (C,) for vectors.
    classes
        Number of outputs.
    hidden
        Width of each hidden layer; empty for a linear classifier.

    Notes
    -----
    Hidden weights start He-normal by fan_in, those of the output normal with sd 0.01.
    """
    inputs = x = Input(image)
    x = Flatten(name="flatten")(x)
    for number, units in enumerate(hidden, start=1):
        x = ReLU(name=f"relu{number}")(Dense(units, name=f"fc{number}")(x))
    last = Dense(classes, initial=Normal(Fraction(1, 100)), name="fc")
    return build_graph(inputs, last(x))
