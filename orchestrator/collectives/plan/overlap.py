"""Cutting a gradient into buckets that are summed while the backward pass goes on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator.errors import ArgumentError


@dataclass(frozen=True, slots=True)
class Bucketing:
    """Which tensors are summed together.

    Attributes
    ----------
    ends : for each bucket, the number of tensors in it and in the buckets before.
    starts_s, ends_s : when each bucket's sum begins and ends.
    """

    ends: tuple[int, ...]
    starts_s: tuple[float, ...]
    ends_s: tuple[float, ...]


def bucket_tensors(
    n_elements: Sequence[int], ready_s: Sequence[float], seconds: Callable[[int], float]
) -> Bucketing:
    """Return the buckets after which the last sum ends earliest.

    Sums follow each other; each begins when all tensors of its bucket are there and the sum before
    it has ended. Dynamic programming over where the last bucket begins finds the best cut exactly;
    of cuts that end at the same time it takes the one with fewest tensors in the last bucket.

    Parameters
    ----------
    n_elements : of each tensor, in the order in which the backward pass gives their gradients.
    ready_s : when each is there, not decreasing.
    seconds : returns the time to sum a number of elements.

    Raises
    ------
    ArgumentError
        No tensor, or times that decrease.
    """
    n = len(n_elements)
    if n == 0 or len(ready_s) != n or list(ready_s) != sorted(ready_s):
        raise ArgumentError("buckets need tensors, each with the time when it is there, in order")
    before = [0]
    for size in n_elements:
        before.append(before[-1] + size)
    done, cut = [0.0], [0]
    for end in range(1, n + 1):
        choices = [
            (max(done[start], ready_s[end - 1]) + seconds(before[end] - before[start]), -start)
            for start in range(end)
        ]
        best, start = min(choices)
        done.append(best)
        cut.append(-start)
    ends = [n]
    while cut[ends[-1]]:
        ends.append(cut[ends[-1]])
    ends.reverse()
    starts = [
        max(done[start], ready_s[end - 1]) for start, end in zip([0, *ends], ends, strict=False)
    ]
    return Bucketing(tuple(ends), tuple(starts), tuple(done[end] for end in ends))
