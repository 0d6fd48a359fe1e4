"""The window against a scripted time: no sockets, no clock."""

import random
from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.boards.hardware.window import (
    FIRST_TIMEOUT_S,
    LEAST,
    LONGEST_TIMEOUT_S,
    PAUSE_S,
    REORDERED,
    Window,
)


def filled(limit=32, n=LEAST, at=0.0):
    """Return a window with requests 0, 1, ... under way, and their sequence numbers."""
    window = Window(limit)
    return window, [window.send(index, at) for index in range(n)]


def test_requests_come_back_by_their_sequence_numbers():
    window, sequences = filled()
    assert [window.answered(s, 0.01) for s in reversed(sequences)] == list(range(LEAST))[::-1]
    assert len(window) == 0


def test_a_second_answer_and_an_unknown_one_give_nothing():
    window, (first, *_) = filled()
    assert window.answered(first, 0.01) == 0
    assert window.answered(first, 0.02) is None
    assert window.answered(40_000, 0.02) is None


def test_the_window_grows_by_one_an_answer_up_to_its_limit():
    window, sequences = filled(limit=10)
    assert window.room == 0
    window.answered(sequences[0], 0.01)
    assert window.room == 2  # one came back, and one more is allowed
    for sequence in sequences[1:]:
        window.answered(sequence, 0.01)
    assert window.room == 10


def test_a_request_that_enough_later_ones_overtook_is_lost():
    window, sequences = filled(n=REORDERED + 2)
    lost, *later = sequences
    for sequence in later[:REORDERED]:
        window.answered(sequence, 0.01)
    assert window.lost(0.011) == []  # as yet it may only be late
    window.answered(later[REORDERED], 0.012)
    assert [sequence for sequence, _ in window.lost(0.013)] == [lost]
    assert window.lost(0.014) == []


def test_a_request_is_late_after_the_first_time_out_then_twice_that():
    window, (only,) = filled(n=1)
    assert window.deadline() == FIRST_TIMEOUT_S
    assert window.lost(FIRST_TIMEOUT_S - 0.001) == []
    ((sequence, flight),) = window.lost(FIRST_TIMEOUT_S)
    assert (sequence, flight.copies) == (only, 2)
    assert window.deadline() == FIRST_TIMEOUT_S + 2 * FIRST_TIMEOUT_S


def test_time_outs_stop_growing():
    window, _ = filled(n=1)
    now, waits = 0.0, []
    for _ in range(6):
        waits.append(window.deadline() - now)
        now = window.deadline()
        assert len(window.lost(now)) == 1
    assert waits == sorted(waits) and max(waits) == LONGEST_TIMEOUT_S


def test_time_outs_follow_the_round_trips():
    window, (first,) = filled(n=1)
    window.answered(first, 0.1)
    for _ in range(50):
        sequence = window.send("next", 1.0)
        window.answered(sequence, 1.1)
    window.send("last", 2.0)
    assert 2.1 < window.deadline() < 2.0 + FIRST_TIMEOUT_S


def test_a_loss_takes_the_window_back_once_for_all_that_were_under_way():
    window, sequences = filled(limit=64, n=LEAST)
    now = 0.0
    for _ in range(40):
        window.answered(sequences.pop(0), now := now + 0.001)
        while window.room > 0:
            sequences.append(window.send("more", now))
    before = window.room + len(window)
    for sequence in (*sequences[1:10], *sequences[11:25]):  # the first and the eleventh are lost
        window.answered(sequence, now + 0.001)
        window.lost(now + 0.002)
    after = window.room + len(window)
    assert LEAST < after < before
    assert after > 0.6 * before


def test_all_that_is_late_is_not_sent_at_once():
    window, sequences = filled(limit=32)
    now = 0.0
    for _ in range(40):
        window.answered(sequences.pop(0), now := now + 0.001)
        while window.room > 0:
            sequences.append(window.send("more", now))
    assert len(window) == 32
    assert len(window.lost(now + 100)) == LEAST
    assert window.lost(now + 100.001) == []


def test_a_refused_request_is_repeated_after_a_pause():
    window, (first, *_) = filled(n=2)
    assert window.refused(first, 0.01) == 1
    assert window.refused(first, 0.01) == 0  # it waits already
    assert window.lost(0.01 + PAUSE_S / 2) == []
    assert [sequence for sequence, _ in window.lost(0.01 + PAUSE_S)] == [first]
    assert window.refused(first, 0.2) == 2
    assert window.answered(first, 0.3) == 0


def test_copies_settle_when_each_is_answered_or_the_time_for_it_is_over():
    window, (only,) = filled(n=1)
    assert window.settled_at(0.0) == 0.0
    window.lost(0.5)
    window.answered(only, 0.51)
    assert window.settled_at(0.51) > 0.51
    window.answered(only, 0.52)
    assert window.settled_at(0.52) == 0.52


def test_numbers_of_copies_under_way_are_not_used_again():
    window, (lost,) = filled(n=1)
    window.lost(FIRST_TIMEOUT_S)
    window.answered(lost, 0.6)
    used = set()
    for _ in range(0x10000 - 1):
        sequence = window.send("next", 1.0)
        used.add(sequence)
        window.answered(sequence, 1.001)
    assert lost not in used
    assert len(used) == 0x10000 - 1
    window.settle()
    assert lost in {window.send("next", 2.0) for _ in range(2)}


def test_what_is_given_up_is_not_taken_for_something_new():
    window, sequences = filled(n=3)
    window.abandon()
    assert len(window) == 0 and window.deadline() == float("inf")
    assert [window.answered(sequence, 1.0) for sequence in sequences] == [None] * 3


@given(
    seed=st.integers(0, 2**32),
    loss=st.sampled_from([0.0, 0.05, 0.3]),
    doubled=st.sampled_from([0.0, 0.2]),
    reordered=st.sampled_from([0.0, 0.2]),
    n=st.integers(1, 120),
    limit=st.integers(1, 40),
)
def test_every_request_is_answered_once(seed, loss, doubled, reordered, n, limit):
    draw = random.Random(seed).random
    window = Window(limit, first_sequence=0xFFF0)
    network: deque[int] = deque()
    answered, sent, now = [], 0, 0.0

    def transmit(sequence):
        if draw() >= loss:
            network.append(sequence)
            if draw() < doubled:
                network.append(sequence)

    for _ in range(100_000):
        now += 0.001
        for sequence, _ in window.lost(now):
            transmit(sequence)
        while sent < n and window.room > 0:
            transmit(window.send(sent, now))
            sent += 1
        assert len(window) <= limit
        if network:
            if draw() < reordered:
                network.rotate(-1)
            request = window.answered(network.popleft(), now)
            if request is not None:
                answered.append(request)
        elif len(window):
            now = max(now, window.deadline())
        elif sent == n:
            break
    assert sorted(answered) == list(range(n))
