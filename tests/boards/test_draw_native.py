"""Compiled and NumPy draws of initial weights are the same words."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.boards.draw_native import sum_words_native
from orchestrator.model.initialise import sum_words


@given(
    seed=st.integers(0, 2**64 - 1),
    identity=st.integers(0, 2**32 - 1),
    start=st.integers(0, 2**32 - 40),
    count=st.integers(1, 30),
)
def test_native_sums_are_numpys(seed: int, identity: int, start: int, count: int) -> None:
    elements = slice(start, start + count)
    expected = sum_words(seed, identity, elements)
    assert sum_words_native(seed, identity, elements).tolist() == expected.tolist()
