"""What a pass over one ghost batch keeps: tensors with their exponents, and the step's settings."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from orchestrator.boards.arena import Arena
from orchestrator.boards.histories import Histories
from orchestrator.boards.kernels import Kernels
from orchestrator.model.lower import Lowered
from orchestrator.model.norm import NormBranch, Statistics
from orchestrator.philox import dither_seed, tensor_id

Array = NDArray[Any]


class Tensor(NamedTuple):
    """Mantissas and the exponent they share; ``lo`` and ``hi`` are channel extremes where known."""

    data: Array
    exponent: int
    lo: Array | None = None
    hi: Array | None = None


@dataclass(frozen=True)
class Weights:
    """Everything a pass reads of the parameters, made once a step."""

    copies: Mapping[str, Tensor]
    """13-bit copies of convolution and dense weights."""

    masters: Mapping[str, NDArray[np.int32]]
    """All masters, 2^-28."""


@dataclass(frozen=True)
class Address:
    """Which ghost batch of the training this is: the key of everything random in it."""

    seed: int
    epoch: int
    step: int
    ghost: int
    positions: NDArray[np.int64]

    def dither(self, tensor: str) -> int:
        """Return the dither seed of a tensor."""
        return dither_seed(self.seed, self.step, self.ghost, tensor_id(tensor))


@dataclass
class Pass:
    """The state of one pass over one ghost batch."""

    plan: Lowered
    kernels: Kernels
    weights: Weights
    histories: Histories
    arena: Arena
    n: int
    address: Address | None
    sums: dict[str, Tensor] = field(default_factory=dict)
    activations: dict[str, Tensor] = field(default_factory=dict)
    branches: dict[str, NormBranch] = field(default_factory=dict)
    pool_indices: dict[str, Array] = field(default_factory=dict)
    contributions: dict[str, Statistics] = field(default_factory=dict)
    saturated: Counter[str] = field(default_factory=Counter)

    def rows(self, tensor: str, data: Array) -> Array:
        """Return [n, h, w, c] data as [rows, c] of the named tensor."""
        return data.reshape(-1, self.plan.shapes[tensor][2])

    def take(self, tensor: str, dtype: type = np.int16) -> Array:
        """Return a buffer of the named tensor's shape for this ghost batch."""
        return self.arena.take((self.n, *self.plan.shapes[tensor]), dtype)
