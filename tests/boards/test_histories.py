"""Histories: margins, lengths, and what an all-zero step means."""

import pytest

from orchestrator.boards.histories import NONE, Histories
from orchestrator.errors import CheckpointError


def closed(histories: Histories, *bits: int | None) -> Histories:
    for value in bits:
        histories.record("y:conv", value)
        histories.close_step()
    return histories


def test_an_empty_history_decides_nothing() -> None:
    histories = Histories(["y:conv"])
    assert histories.is_empty()
    assert histories.exponent("y:conv") is None
    assert closed(histories, None).exponent("y:conv") is None
    assert not histories.is_empty()


def test_a_young_history_has_a_wide_margin() -> None:
    histories = closed(Histories(["y:conv"]), 4, None, 3, 2)
    assert histories.exponent("y:conv") == 4 + 3 - 15
    assert closed(histories, 2).exponent("y:conv") == 3 + 3 - 15
    assert closed(histories, 2).exponent("y:conv") == 3 + 1 - 15


def test_the_largest_of_a_step_counts_and_the_oldest_step_goes() -> None:
    histories = Histories(["y:conv", "g:w"])
    for bits in (9, 1, 1, 1, 1):
        for key in ("y:conv", "g:w"):
            histories.record(key, bits)
            histories.record(key, bits - 5)
        histories.close_step()
    assert histories.entries == {"y:conv": [1] * 4, "g:w": [9, 1, 1, 1, 1]}


def test_ranks_reduce_the_current_step_by_maximum() -> None:
    histories = Histories(["y:conv", "a:conv"])
    histories.record("y:conv", -30)
    assert histories.keys == ("a:conv", "y:conv")
    assert histories.current.tolist() == [NONE, -30]
    histories.discard_step()
    assert histories.current.tolist() == [NONE, NONE]


def test_frozen_exponents_leave_a_bit_above_the_largest() -> None:
    assert closed(Histories(["y:conv"]), 4, 7, None).frozen("y:conv") == 8
    assert Histories(["a:conv"]).frozen("a:conv") == 0


def test_only_histories_of_the_same_network_are_loaded() -> None:
    histories = Histories(["y:conv", "a:conv"])
    histories.load({"y:conv": [3, None], "a:conv": [2]})
    assert histories.entries == {"y:conv": [3, None], "a:conv": [2]}
    with pytest.raises(CheckpointError, match="not those of the network: a:conv is in only one"):
        histories.load({"y:conv": [3]})
    assert histories.entries == {"y:conv": [3, None], "a:conv": [2]}
    histories.load({})
    assert histories.is_empty() and histories.keys == ("a:conv", "y:conv")
