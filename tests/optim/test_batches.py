"""Which epoch, position and batch each step has."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config import TrainConfig
from orchestrator.errors import ArgumentError, ConfigError
from orchestrator.optim import plan_batches


def plan(samples=1000, **values):
    return plan_batches(TrainConfig(**{"global_batch": 32, "epochs": 4, **values}), samples)


def test_the_last_incomplete_batch_is_dropped():
    assert plan().steps(0) == 31
    assert plan().total_steps == 4 * 31


def test_the_batch_grows_where_the_schedule_says():
    grown = plan(batch_schedule=((1, 64), (3, 128)))
    assert [grown.batch(epoch) for epoch in range(4)] == [32, 64, 64, 128]
    assert [grown.steps(epoch) for epoch in range(4)] == [31, 15, 15, 7]
    assert [grown.first_step(epoch) for epoch in range(4)] == [0, 31, 46, 61]
    assert grown.total_steps == 68


def test_changes_after_the_end_do_not_count():
    assert plan(batch_schedule=((4, 2048),)).total_steps == 4 * 31


def test_the_exact_epoch_is_a_fraction():
    assert plan().position(31 + 10).exact_epoch == 1 + Fraction(10, 31)


def test_most_steps():
    assert plan(max_steps=5).total_steps == 5
    assert plan(max_steps=500).total_steps == 4 * 31


@given(
    samples=st.integers(96, 2000),
    changes=st.dictionaries(st.integers(1, 9), st.integers(1, 3).map(lambda n: 32 * n)),
    epochs=st.integers(1, 10),
)
def test_steps_and_positions_are_each_others_inverse(samples, changes, epochs):
    whole = plan(samples, batch_schedule=tuple(sorted(changes.items())), epochs=epochs)
    step = 0
    for epoch in range(epochs):
        assert whole.first_step(epoch) == step
        assert whole.steps(epoch) == samples // whole.batch(epoch)
        for index in range(whole.steps(epoch)):
            position = whole.position(step)
            assert (position.epoch, position.index) == (epoch, index)
            assert (position.steps, position.batch) == (whole.steps(epoch), whole.batch(epoch))
            step += 1
    assert whole.total_steps == step


def test_a_data_set_smaller_than_a_global_batch_is_refused():
    with pytest.raises(ConfigError, match="1024 images in epoch 2, but the data set has 1000"):
        plan(batch_schedule=((2, 1024),))


def test_steps_before_the_first_are_refused():
    with pytest.raises(ArgumentError, match="step -1"):
        plan().position(-1)
