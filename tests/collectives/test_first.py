"""What the first rank finds, or its error, is every rank's."""

import numpy as np
import pytest

from orchestrator import errors
from orchestrator.collectives import SingleCollective, from_first


class Ranks(SingleCollective):
    """One of two ranks after the other: what rank 0 broadcasts waits for rank 1."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[np.ndarray] = []

    def broadcast(self, buffer, root=0):
        if self.rank == root:
            self.sent.append(buffer.copy())
        else:
            buffer[...] = self.sent.pop(0)


@pytest.mark.parametrize("value", [None, "run-2", {"a": [1, None]}, "ä" * 5000])
def test_all_ranks_get_the_value(value):
    ranks = Ranks()
    assert from_first(ranks, lambda: value) == value
    ranks.rank = 1
    assert from_first(ranks, lambda: pytest.fail("called on another rank")) == value


@pytest.mark.parametrize("kind", [errors.ArgumentError, errors.RunError, errors.MissingToolError])
def test_all_ranks_raise_the_error(kind):
    def fail():
        raise kind("disk full")

    ranks = Ranks()
    for ranks.rank in (0, 1):
        with pytest.raises(kind, match=r"^disk full$"):
            from_first(ranks, fail)
