"""Running statistics of batch norm: int64 on 2^-28, one update a step (numerics, section 4)."""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ArgumentError
from orchestrator.model.lower import Norm
from orchestrator.model.norm import Statistics, running_update

ONE = 1 << 28


class RunningStatistics:
    """Means and variances of all batch norms, and the step's sums they will be updated from.

    Attributes
    ----------
    values : int64 [channels] by buffer name; fresh ones are mean 0, variance 1.
    sums : flat int64: for each batch norm in order its means then its variances, summed over
        ghost batches, and the number of ghost batches last; ranks add it up.
    """

    def __init__(self, norms: Iterable[Norm], channels: Mapping[str, int]) -> None:
        self.norms = tuple(norms)
        total = sum(2 * channels[norm.gamma] for norm in self.norms)
        self.sums: NDArray[np.int64] = np.zeros(total + 1, np.int64)
        self.values: dict[str, NDArray[np.int64]] = {}
        self._sums: dict[str, NDArray[np.int64]] = {}
        start = 0
        for norm in self.norms:
            for name in (norm.mean, norm.var):
                n = channels[norm.gamma]
                self._sums[name] = self.sums[start : start + n]
                self.values[name] = np.full(n, ONE if name == norm.var else 0, np.int64)
                start += n

    def load(self, values: Mapping[str, NDArray[np.int64]] | None) -> None:
        """Copy values by buffer name; None restores fresh ones."""
        for norm in self.norms:
            for name in (norm.mean, norm.var):
                if values is None:
                    self.values[name][...] = ONE if name == norm.var else 0
                elif name not in values or values[name].shape != self.values[name].shape:
                    raise ArgumentError(
                        f"running statistics {name!r} missing or not of shape "
                        f"{self.values[name].shape}"
                    )
                else:
                    self.values[name][...] = values[name]

    def clear(self) -> None:
        """Start a step's sums."""
        self.sums.fill(0)

    def step_sums(self, norm: Norm) -> Statistics:
        """Return views of a batch norm's sums, to which a ghost batch adds its statistics."""
        return Statistics(self._sums[norm.mean], self._sums[norm.var])

    def count_ghost_batch(self) -> None:
        """Note that one more ghost batch has added its statistics."""
        self.sums[-1] += 1

    def close_step(self) -> None:
        """Update the running values from the reduced sums."""
        ghosts = int(self.sums[-1])
        for norm in self.norms:
            for name in (norm.mean, norm.var):
                self.values[name][...] = running_update(
                    self.values[name], self._sums[name], ghosts, norm.layer.momentum
                )

    def statistics(self, norm: Norm) -> Statistics:
        """Return a batch norm's running values."""
        return Statistics(self.values[norm.mean], self.values[norm.var])
