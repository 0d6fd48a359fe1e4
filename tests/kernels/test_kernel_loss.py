"""Loss kernels against the oracle."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mantissas import KINDS, kinds, mantissas, same_bits, seeds

from orchestrator.boards.kernels import Kernels
from orchestrator.errors import ArgumentError
from orchestrator.model.ops import loss_targets


@given(
    size=st.tuples(st.integers(1, 6), st.integers(1, 40)), kind=kinds, seed=seeds,
    limit=st.sampled_from([2, 5000, 32767]), smoothing=st.sampled_from([0, 1, 3]),
)  # fmt: skip
def test_loss(
    kernels: Kernels, size: tuple[int, int], kind: str, seed: int, limit: int, smoothing: int
) -> None:
    logits = mantissas(kind, size, limit, seed)
    labels = np.random.default_rng(seed).integers(0, size[1], size[0], dtype=np.int32)
    targets = loss_targets(size[1], Fraction(smoothing, 10))
    same_bits(kernels, "softmax_loss", logits, labels, *targets, seed, np.zeros_like(logits))
    same_bits(kernels, "evaluate_logits", logits, labels, *targets)


@pytest.mark.parametrize("kind", KINDS)
def test_loss_of_many_classes(kernels: Kernels, kind: str) -> None:
    logits = mantissas(kind, (8, 21000), 32767)
    labels = np.arange(0, 8 * 2000, 2000, dtype=np.int32)
    targets = loss_targets(21000, Fraction(1, 10))
    same_bits(kernels, "softmax_loss", logits, labels, *targets, 5, np.zeros_like(logits))
    same_bits(kernels, "evaluate_logits", logits, labels, *targets)


def test_every_distance_between_logits(kernels: Kernels) -> None:
    """All of the exponential's arguments, and sums that meet every place of the logarithm."""
    logits = np.stack([np.full(65535, 32767), 32767 - np.arange(65535)], axis=1).astype(np.int16)
    labels = np.ones(65535, np.int32)
    same_bits(kernels, "softmax_loss", logits, labels, 1 << 24, 0, 1, np.zeros_like(logits))


@pytest.mark.parametrize("label", [-1, 10])
def test_a_label_that_is_no_class_is_refused(kernels: Kernels, label: int) -> None:
    logits = np.zeros((2, 10), np.int16)
    with pytest.raises(ArgumentError, match=r"with 10 classes they must be 0 \.\. 9"):
        kernels.evaluate_logits(logits, np.array([3, label], np.int32), 1 << 24, 0)
