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
from orchestrator.boards.running import RunningStatistics
from orchestrator.model.lower import ConvOp, Lowered, PoolOp
from orchestrator.model.shapes import ConvShape, PoolShape

Array = NDArray[Any]

INT16 = np.dtype(np.int16)
UINT8 = np.dtype(np.uint8)


class Tensor(NamedTuple):
    """Mantissas and the exponent they share."""

    data: Array
    exponent: int
    extremes: tuple[Array, Array] | None = None
    """Smallest and largest mantissa per channel, where they are known."""


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


class Shapes:
    """Sizes of a network's operations and tensors for one number of images.

    Parameters
    ----------
    plan : the network.
    n : images.

    Attributes
    ----------
    conv, pool : by name of the operation.
    tensors : (n, h, w, c) by name.
    """

    def __init__(self, plan: Lowered, n: int) -> None:
        self.n = n
        self.tensors = {name: (n, *hwc) for name, hwc in plan.shapes.items()}
        self.conv: dict[str, ConvShape] = {}
        self.pool: dict[str, PoolShape] = {}
        for op in plan.ops:
            if isinstance(op, ConvOp):
                self.conv[op.name] = ConvShape(
                    n, op.height, op.width, op.channels, op.filters, *op.kernel,
                    op.stride, op.padding, op.out_height, op.out_width,
                )  # fmt: skip
            elif isinstance(op, PoolOp):
                self.pool[op.name] = PoolShape(
                    n, op.height, op.width, op.channels, *op.kernel,
                    op.stride, op.padding, op.out_height, op.out_width,
                )  # fmt: skip


@dataclass
class Pass:
    """The state of one pass over one ghost batch."""

    plan: Lowered
    kernels: Kernels
    weights: Weights
    histories: Histories
    running: RunningStatistics
    arena: Arena
    shapes: Shapes
    address: Address | None = None
    dithers: Mapping[str, int] = field(default_factory=dict)
    """Dither seed by name of the tensor an error is written behind."""
    sums: dict[str, Tensor] = field(default_factory=dict)
    activations: dict[str, Tensor] = field(default_factory=dict)
    branches: dict[str, Any] = field(default_factory=dict)
    """By name of the sums: what the kernels made of them, for the backward pass."""

    pool_indices: dict[str, Array] = field(default_factory=dict)
    saturated: Counter[str] = field(default_factory=Counter)

    def rows(self, tensor: str, data: Array) -> Array:
        """Return [n, h, w, c] data as [rows, c] of the named tensor."""
        return data.reshape(-1, self.plan.shapes[tensor][2])

    def take(self, tensor: str, dtype: np.dtype[Any] = INT16) -> Array:
        """Return a buffer of the named tensor's shape for this ghost batch."""
        return self.arena.take(self.shapes.tensors[tensor], dtype)
