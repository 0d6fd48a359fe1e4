"""Initial master weights, drawn in integers (docs/numerics.md, section 8).

Every element is addressed by (seed, tensor name, element), so a tensor's values do not depend on
the other tensors of the network, on the order of drawing, or on the machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from orchestrator.dfp import LIMIT32, MASTER_EXPONENT, half_up, mantissa16
from orchestrator.model.distributions import Distribution, Uniform
from orchestrator.model.graph import Graph, Parameter
from orchestrator.model.layers import BatchNorm, Conv2D, Dense
from orchestrator.philox import INIT, philox4x32, tensor_id

_CHUNK = 1 << 14
"""Elements drawn at once: the words of a chunk stay in the cache."""

_WORD_MAX = 2**32 - 1


def initial_masters(graph: Graph, seed: int) -> dict[str, NDArray[np.int32]]:
    """Return the initial master weights of every parameter, on the grid 2^-28.

    Weights of convolutions and dense layers are drawn from their layer's distribution; biases and
    betas are 0; gammas are 1, or 0 where the layer asks for it.

    Parameters
    ----------
    graph
        The network.
    seed
        The run's seed, 0 .. 2^64 - 1.

    Returns
    -------
    int32 arrays by parameter name, in internal layout.

    Raises
    ------
    ArgumentError
        If the seed is out of range.
    """
    return {
        parameter.name: _master(graph, parameter, seed).reshape(parameter.shape)
        for parameter in graph.parameters
    }


def _master(graph: Graph, parameter: Parameter, seed: int) -> NDArray[np.int32]:
    layer = graph.node(parameter.node).layer
    if parameter.kind in ("conv", "dense"):
        assert isinstance(layer, Conv2D | Dense)
        return _draw(parameter, layer.initial, seed)
    gamma = parameter.kind == "gamma"
    assert not gamma or isinstance(layer, BatchNorm)
    one = gamma and not (isinstance(layer, BatchNorm) and layer.zero_gamma)
    return np.full(parameter.size, (1 << -MASTER_EXPONENT) if one else 0, np.int32)


def _draw(parameter: Parameter, distribution: Distribution, seed: int) -> NDArray[np.int32]:
    uniform = isinstance(distribution, Uniform)
    if isinstance(distribution, Uniform):
        m, exponent = mantissa16(distribution.bound / 2**32)
    else:
        variance = distribution.variance(parameter.fan_in, parameter.fan_out)
        m, exponent = root_mantissa16(variance / 2**64)
    drawn = np.empty(parameter.size, np.int32)
    for part, words in _words(parameter, 1 if uniform else 3, seed):
        if uniform:
            units = 2 * words[0, :, 0].astype(np.int64) - _WORD_MAX
        else:
            units = words.sum(axis=(0, 2), dtype=np.int64) - 6 * _WORD_MAX
        master = half_up(units * m, MASTER_EXPONENT - exponent)
        drawn[part] = np.clip(master, -LIMIT32, LIMIT32)
    return drawn


def _words(
    parameter: Parameter, calls: int, seed: int
) -> Iterator[tuple[slice, NDArray[np.uint32]]]:
    """Yield, chunk by chunk, the random words of its elements: [calls, elements, 4]."""
    identity = tensor_id(parameter.name)
    call = np.arange(calls, dtype=np.uint64)[:, None]
    for start in range(0, parameter.size, _CHUNK):
        stop = min(start + _CHUNK, parameter.size)
        element = np.arange(start, stop, dtype=np.uint64)
        yield slice(start, stop), philox4x32((element, call, identity, INIT << 24), seed)


def root_mantissa16(square: Fraction) -> tuple[int, int]:
    """Return (m, e) with m * 2^e nearest to the root of a positive rational, 2^15 <= m < 2^16.

    Exact: m is the root half up, from an integer square root.

    Examples
    --------
    >>> root_mantissa16(Fraction(1, 4))
    (32768, -16)
    """
    exponent = (square.numerator.bit_length() - square.denominator.bit_length()) // 2 - 17
    while True:
        # floor(sqrt(4 q)) is the root in halves; half up is (halves + 1) // 2.
        scaled = 4 * square / Fraction(2) ** (2 * exponent)
        m = (isqrt(scaled.numerator // scaled.denominator) + 1) // 2
        if m < 1 << 16:
            return m, exponent
        exponent += 1
