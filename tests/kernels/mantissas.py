"""Inputs for kernels, and the comparison all kernel tests make: oracle = kernels, bit for bit.

Random data never overflows a sum, and a kernel that carries wrongly passes it; so every case also
runs on tensors whose mantissas all have the largest magnitude.
"""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from orchestrator.boards.kernels import Kernels
from orchestrator.model import ops

Array = NDArray[Any]

KINDS = ("random", "highest", "lowest", "alternating", "random sign", "sparse", "zero")


def mantissas(kind: str, shape: tuple[int, ...], limit: int, seed: int = 0) -> NDArray[np.int16]:
    """Return int16 mantissas of a kind, at most limit in magnitude."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(shape))
    values = {
        "random": lambda: rng.integers(-limit, limit + 1, size),
        "highest": lambda: np.full(size, limit),
        "lowest": lambda: np.full(size, -limit),
        "alternating": lambda: np.where(np.arange(size) % 2, limit, -limit),
        "random sign": lambda: np.where(rng.integers(0, 2, size), limit, -limit),
        "sparse": lambda: np.where(rng.integers(0, 9, size), 0, limit),
        "zero": lambda: np.zeros(size),
    }
    return values[kind]().astype(np.int16).reshape(shape)


kinds = st.sampled_from(KINDS)
seeds = st.integers(0, 2**32 - 1)


def same_bits(kernels: Kernels, name: str, *arguments: Any) -> Any:
    """Call a kernel and its oracle; arrays they wrote and what they return must be equal."""
    ours, theirs = _copies(arguments), _copies(arguments)
    result = getattr(kernels, name)(*ours)
    expected = getattr(ops, name)(*theirs)
    for i, (mine, oracle) in enumerate(zip(ours, theirs, strict=True)):
        if isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(mine, oracle, f"{name}: argument {i}")
    if isinstance(expected, tuple):
        for i, (mine, oracle) in enumerate(zip(result, expected, strict=True)):
            np.testing.assert_array_equal(mine, oracle, f"{name}: result {i}")
            if isinstance(oracle, np.ndarray):
                assert mine.dtype == oracle.dtype
    else:
        np.testing.assert_array_equal(result, expected, f"{name}: result")
    return result


def _copies(arguments: tuple[Any, ...]) -> list[Any]:
    return [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
