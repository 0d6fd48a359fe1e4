"""Initial master weights, drawn in integers (docs/numerics.md, section 8).

Every element is addressed by (seed, tensor name, element), so a tensor's values do not depend on
the other tensors of the network, on the order of drawing, or on the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from orchestrator.dfp import LIMIT32, MASTER_EXPONENT, half_up, mantissa16
from orchestrator.model.distributions import HeNormal, Normal, Uniform
from orchestrator.model.graph import Graph, Parameter
from orchestrator.model.layers import BatchNorm, Conv2D, Dense
from orchestrator.philox import INIT, philox4x32, tensor_id

_CHUNK = 1 << 14
"""Elements drawn at once: the words of a chunk stay in the cache."""

_WORD_MAX = 2**32 - 1


SumWords = Callable[[int, int, slice], NDArray[np.int64]]
"""(seed, tensor id, elements) -> the sum of each element's twelve random words."""


def initial_masters(
    graph: Graph, seed: int, words: SumWords | None = None
) -> dict[str, NDArray[np.int32]]:
    """Return the initial master weights of every parameter, on the grid 2^-28.

    Weights of convolutions and dense layers are drawn from their layer's distribution; biases and
    betas are 0; gammas are 1, or 0 where the layer asks for it.

    Parameters
    ----------
    graph
        The network.
    seed
        The run's seed, 0 .. 2^64 - 1.
    words
        A faster way to the same words; NumPy's by default.

    Returns
    -------
    int32 arrays by parameter name, in internal layout.

    Raises
    ------
    ArgumentError
        If the seed is out of range.
    """
    draw = partial(_master, graph, seed=seed, sum_words=words or sum_words)
    return {
        parameter.name: draw(parameter=parameter).reshape(parameter.shape)
        for parameter in graph.parameters
    }


def _master(
    graph: Graph, parameter: Parameter, seed: int, sum_words: SumWords
) -> NDArray[np.int32]:
    layer = graph.node(parameter.node).layer
    if parameter.kind in ("conv", "dense"):
        assert isinstance(layer, Conv2D | Dense)
        if isinstance(layer.initial, Uniform):
            return _draw_uniform(parameter, layer.initial, seed)
        return _draw_normal(parameter, layer.initial, seed, sum_words)
    gamma = parameter.kind == "gamma"
    assert not gamma or isinstance(layer, BatchNorm)
    one = gamma and not (isinstance(layer, BatchNorm) and layer.zero_gamma)
    return np.full(parameter.size, (1 << -MASTER_EXPONENT) if one else 0, np.int32)


def _draw_normal(
    parameter: Parameter, distribution: HeNormal | Normal, seed: int, sum_words: SumWords
) -> NDArray[np.int32]:
    """Return normal values: the sum of twelve uniform words has variance 2^64 (numerics, 8)."""
    variance = distribution.variance(parameter.fan_in, parameter.fan_out)
    scalar = root_mantissa16(variance / 2**64)
    identity = tensor_id(parameter.name)
    drawn = np.empty(parameter.size, np.int32)
    for part in _chunks(parameter.size):
        drawn[part] = _to_grid(sum_words(seed, identity, part) - 6 * _WORD_MAX, *scalar)
    return drawn


def _draw_uniform(parameter: Parameter, distribution: Uniform, seed: int) -> NDArray[np.int32]:
    scalar = mantissa16(distribution.bound / 2**32)
    identity = tensor_id(parameter.name)
    drawn = np.empty(parameter.size, np.int32)
    for part in _chunks(parameter.size):
        words = philox4x32((_elements(part), 0, identity, INIT << 24), seed)[:, 0]
        drawn[part] = _to_grid(2 * words.astype(np.int64) - _WORD_MAX, *scalar)
    return drawn


def sum_words(seed: int, identity: int, elements: slice) -> NDArray[np.int64]:
    """Return the sum of the twelve random words of each element, int64.

    Parameters
    ----------
    seed
        The run's seed.
    identity
        The tensor's id.
    elements
        Range of elements, start and stop given.
    """
    call = np.arange(3, dtype=np.uint64)[:, None]
    words = philox4x32((_elements(elements), call, identity, INIT << 24), seed)
    total: NDArray[np.int64] = words.sum(axis=(0, 2), dtype=np.int64)
    return total


def _chunks(size: int) -> Iterator[slice]:
    for start in range(0, size, _CHUNK):
        yield slice(start, min(start + _CHUNK, size))


def _elements(part: slice) -> NDArray[np.uint64]:
    return np.arange(part.start, part.stop, dtype=np.uint64)


def _to_grid(units: NDArray[np.int64], m: int, exponent: int) -> NDArray[np.int64]:
    """Return random units times a scalar on the grid 2^-28, half up, held inside int32."""
    rounded: NDArray[np.int64] = half_up(units * m, MASTER_EXPONENT - exponent)
    return np.clip(rounded, -LIMIT32, LIMIT32, out=rounded)


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
