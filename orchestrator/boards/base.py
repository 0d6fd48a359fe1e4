"""The door to boards: whatever computes a replica, the trainer sees these few methods."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from orchestrator.boards.histories import Histories
from orchestrator.boards.parameters import Allocate, FlatTensors
from orchestrator.boards.running import RunningStatistics
from orchestrator.config import SliceConfig
from orchestrator.errors import ConfigError
from orchestrator.model.graph import Graph
from orchestrator.optim import Norms, Scalar, Scalars


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaSettings:
    """What a replica needs to know beside its graph.

    Attributes
    ----------
    seed : the run's seed.
    table, table_exponent : int16 [256, channels] input mantissas by pixel value; their exponent.
    target_on, target_off : label-smoothed targets in Q0.24.
    """

    seed: int
    table: NDArray[np.int16]
    table_exponent: int
    target_on: int
    target_off: int


class GhostBatch(NamedTuple):
    """Decoded images of one ghost batch and where they stand in the training."""

    images: NDArray[np.uint8]
    """[n, h, w, c]."""

    labels: NDArray[np.int32]
    """[n]."""

    positions: NDArray[np.int64]
    """[n], in the epoch's order."""

    epoch: int
    step: int
    ghost: int


class GhostResult(NamedTuple):
    """Exact counts of one ghost batch."""

    loss_q24: int
    correct: int


class Evaluation(NamedTuple):
    """Exact counts of one evaluated batch."""

    loss_q24: int
    top1: int
    top5: int
    predicted: NDArray[np.int32]


class Board(Protocol):
    """One replica: its parameters, its gradient, its step."""

    graph: Graph
    histories: Histories
    masters: FlatTensors
    momentum: FlatTensors
    gradients: FlatTensors
    """Of the step: exact sums over this board's ghost batches, over all ranks once reduced."""

    running: RunningStatistics

    def load(
        self,
        masters: Mapping[str, NDArray[np.int32]],
        momentum: Mapping[str, NDArray[np.int32]] | None = None,
        running: Mapping[str, NDArray[np.int64]] | None = None,
    ) -> None:
        """Set parameters, momentum (zero if not given) and running statistics."""

    def calibrate(self, batch: GhostBatch) -> None:
        """Run one ghost batch without update to give empty histories their first entries."""

    def calibrate_evaluation(self, images: NDArray[np.uint8]) -> None:
        """Take the frozen exponents of weights without histories from these images."""

    def begin_step(self) -> None:
        """Copy weights to 13 bits, fix this step's exponents, clear gradient and sums."""

    def ghost_batch(self, batch: GhostBatch) -> GhostResult:
        """Add one ghost batch's gradient."""

    def gradient_exponents(self) -> Mapping[str, int | None]:
        """Return this step's gradient exponents; None counts as zero gradient."""

    def norms(self, names: Iterable[str]) -> dict[str, Norms]:
        """Return the norms of parameters and of their summed gradients."""

    def update(self, scalars: Mapping[str, Scalars], ahead: Scalar | None) -> None:
        """Step momentum and masters by the reduced gradient; ``ahead``: Nesterov's momentum."""

    def close_step(self) -> None:
        """Update running statistics and histories from the reduced values."""

    def evaluate(self, images: NDArray[np.uint8], labels: NDArray[np.int32]) -> Evaluation:
        """Return exact counts with running statistics and frozen exponents."""

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.int16]:
        """Return logits on 2^-10 with running statistics and frozen exponents."""

    def saturations(self) -> dict[str, int]:
        """Return the counts of clamped values since the last call, by kind of tensor."""

    def close(self) -> None:
        """Release what the board holds."""


def open_board(
    config: SliceConfig,
    graph: Graph,
    settings: ReplicaSettings,
    threads: int,
    allocate: Allocate | None = None,
) -> Board:
    """Return the board that ``slice.backend`` names.

    Parameters
    ----------
    config : the section ``slice``.
    graph, settings : the network and what a replica needs beside it.
    threads : computing threads of the native backend.
    allocate : makes the gradient's buffer, where an exchange wants it in memory of its own.

    Raises
    ------
    ConfigError
        The backend is not one of those this version has.
    MissingToolError
        The native kernels were not built.
    """
    from orchestrator.boards.replica import Replica

    if config.backend == "native":
        from orchestrator.boards.kernels_native import open_kernels

        return Replica(graph, settings, open_kernels(threads), allocate)
    if config.backend == "reference":
        from orchestrator.model import ops

        return Replica(graph, settings, ops, allocate)
    raise ConfigError(
        f"slice.backend is {config.backend!r}: this version runs 'native' and 'reference'"
    )
