"""Evaluation over all ranks: exact counts, whatever the number of ranks and the batch size."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.boards.base import Board
from orchestrator.collectives import Collective
from orchestrator.data import GhostRequest, Loader


@dataclass(frozen=True)
class EvaluationCounts:
    """Exact counts of a pass over the evaluation split.

    Attributes
    ----------
    loss_q24 : sum of the samples' losses, Q0.24.
    top1, top5 : samples counted as right.
    class_samples, class_top1 : int64 [classes], samples and right ones of each class.
    """

    loss_q24: int
    top1: int
    top5: int
    class_samples: NDArray[np.int64]
    class_top1: NDArray[np.int64]

    @property
    def samples(self) -> int:
        """All evaluated samples."""
        return int(self.class_samples.sum())

    @property
    def loss(self) -> float:
        """Mean loss of a sample, nats."""
        return self.loss_q24 / 2**24 / self.samples


def evaluate(
    board: Board,
    loader: Loader,
    collective: Collective,
    *,
    samples: int,
    classes: int,
    batch: int,
    stopped: Callable[[], bool] = lambda: False,
) -> EvaluationCounts | None:
    """Evaluate ``samples`` images dealt to the ranks in batches; None if a rank was told to stop.

    Running statistics and frozen exponents make every image's logits independent of its batch.
    """
    starts = range(collective.rank * batch, samples, collective.size * batch)
    requests = [
        GhostRequest(0, np.arange(start, min(start + batch, samples)), start) for start in starts
    ]
    totals = np.zeros(4 + 2 * classes, np.int64)
    by_class = totals[4:].reshape(2, classes)
    for part in loader.ghost_batches(requests):
        if stopped():
            totals[3] = 1
            break
        images, labels = part.images[part.own], part.labels[part.own]
        if not len(labels):
            continue
        result = board.evaluate(images, labels)
        totals[:3] += (result.loss_q24, result.top1, result.top5)
        by_class[0] += np.bincount(labels, minlength=classes)
        right = labels[result.predicted == labels]
        by_class[1] += np.bincount(right, minlength=classes)
    collective.sum_int64(totals)
    if totals[3]:
        return None
    loss_q24, top1, top5 = (int(count) for count in totals[:3])
    return EvaluationCounts(loss_q24, top1, top5, by_class[0], by_class[1])
