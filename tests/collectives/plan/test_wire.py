import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.collectives.plan.wire import MOST_GHOST_BATCHES, Wire, piece_elements
from orchestrator.errors import ArgumentError


@given(st.integers(1, 4096), st.integers(1, 16))
def test_the_width_holds_every_sum_and_no_narrower_one_would(boards, ghost_batches):
    n_bytes = Wire(ghost_batches).element_bytes(boards)
    largest = boards * ghost_batches * (1 << 15)  # saturated gradients are below 2^15
    assert largest - boards * ghost_batches <= (1 << (8 * n_bytes - 1)) - 1
    if boards * ghost_batches > 1:
        assert largest > (1 << (8 * (n_bytes - 1) - 1)) - 1


def test_widths_grow_by_whole_bytes():
    assert [Wire().element_bytes(n) for n in (1, 2, 256, 257, 1200, 65_536)] == [2, 3, 3, 4, 4, 4]
    assert Wire(1200).element_bytes(1) == 4


@given(st.integers(0, 10**8), st.integers(1, 10_000))
def test_pieces_cover_the_buffer_in_whole_words(n_elements, n_pieces):
    piece = piece_elements(n_elements, n_pieces)
    assert piece % 4 == 0 and piece * n_pieces >= n_elements
    assert (piece - 4) * n_pieces < n_elements or piece == 0


def test_sums_beyond_int32_are_refused():
    with pytest.raises(ArgumentError, match="1 to 65536"):
        Wire(MOST_GHOST_BATCHES + 1)
    with pytest.raises(ArgumentError, match="2 boards x 40000 ghost batches"):
        Wire(40_000).element_bytes(2)
