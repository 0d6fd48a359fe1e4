"""What ranks exchange once a step, all exact: gradient, statistics, counts and bit lengths."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from orchestrator.boards.base import Board, GhostResult
from orchestrator.collectives import Collective

KINDS = ("logits", "y", "d", "a", "e", "g")
"""Tensors whose saturations are counted over all ranks; the update's are the same on each."""


@dataclass
class StepTotals:
    """Counts of one step: this rank's at first, all ranks' after :func:`exchange_step`.

    Attributes
    ----------
    loss_q24 : sum of the samples' losses, Q0.24.
    correct, samples, skipped : samples classified right, all samples, damaged images replaced.
    stop : how many ranks were asked to stop after this step.
    saturations : clamped values by kind of tensor.
    """

    loss_q24: int = 0
    correct: int = 0
    samples: int = 0
    skipped: int = 0
    stop: int = 0
    saturations: dict[str, int] = field(default_factory=dict)

    def add(self, result: GhostResult, samples: int, skipped: int) -> None:
        """Count one ghost batch."""
        self.loss_q24 += result.loss_q24
        self.correct += result.correct
        self.samples += samples
        self.skipped += skipped

    def values(self) -> list[int]:
        """Return the counts in a fixed order."""
        counts = [self.loss_q24, self.correct, self.samples, self.skipped, self.stop]
        return counts + [self.saturations.get(kind, 0) for kind in KINDS]

    @classmethod
    def of(cls, values: Iterable[int]) -> "StepTotals":
        """Return the counts that :meth:`values` listed."""
        loss, correct, samples, skipped, stop, *saturations = values
        by_kind = dict(zip(KINDS, saturations, strict=True))
        return cls(loss, correct, samples, skipped, stop, by_kind)


def exchange_step(collective: Collective, board: Board, totals: StepTotals) -> StepTotals:
    """Reduce a step over all ranks and return its counts.

    The board's gradient and running sums become sums over ranks, its bit lengths the maximum.
    """
    totals.saturations = board.saturations()
    counts = np.array(totals.values(), np.int64)
    packed = np.concatenate([counts, board.running.sums])
    collective.sum_int64(packed)
    board.running.sums[...] = packed[counts.size :]
    collective.max_int32(board.histories.current)
    collective.sum_int32(board.gradients.flat)
    return StepTotals.of(packed[: counts.size].tolist())
