"""Plateau and early stop follow exact counts, and survive a checkpoint."""

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config import EarlyStopConfig, LrScheduleConfig, PlateauConfig
from orchestrator.errors import CheckpointError
from orchestrator.optim import ScheduleState

PLATEAU = LrScheduleConfig(
    base_lr=1, decay="plateau", plateau=PlateauConfig(patience=2, min_delta=5)
)
STOP = EarlyStopConfig(patience=3, min_delta=2)


def run(counts, schedule=PLATEAU, early_stop=STOP):
    """Return the states after each count."""
    state, states = ScheduleState(), []
    for count in counts:
        state = state.after_evaluation(count, schedule, early_stop)
        states.append(state)
    return states


def test_the_rate_falls_after_evaluations_without_a_gain():
    assert [s.reductions for s in run([10, 14, 14, 15, 16, 16, 16])] == [0, 0, 1, 1, 1, 2, 2]


def test_only_a_plateau_schedule_lowers_the_rate():
    constant = LrScheduleConfig(base_lr=1)
    assert run([10] * 9, constant)[-1].reductions == 0


def test_training_stops_after_evaluations_without_a_gain():
    states = run([10, 11, 12, 13, 13, 13])
    assert [state.stops(STOP) for state in states] == [False] * 5 + [True]
    assert not states[-1].stops(None)


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(0, 30))
def test_a_checkpoint_keeps_the_state(counts, cut):
    whole = run(counts)
    state = run(counts[:cut])[-1] if counts[:cut] else ScheduleState()
    state = state.after_step(Fraction(1, 3))
    state = ScheduleState.from_dict(json.loads(json.dumps(state.to_dict())))
    assert state.lr_previous == Fraction(1, 3)
    for count in counts[cut:]:
        state = state.after_evaluation(count, PLATEAU, STOP)
    if whole:
        expected = whole[-1]
        assert (state.rate, state.stop, state.reductions) == (
            expected.rate,
            expected.stop,
            expected.reductions,
        )


def test_an_empty_mapping_is_the_start():
    assert ScheduleState.from_dict({}) == ScheduleState()


@pytest.mark.parametrize("values", [{"rate": [1, 2]}, {**ScheduleState().to_dict(), "rate": 3}])
def test_other_values_are_refused(values):
    with pytest.raises(CheckpointError, match="not one that a training wrote"):
        ScheduleState.from_dict(values)
