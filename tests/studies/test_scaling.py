"""The scaling study on a slice with a closed form: every figure is worked out by hand beside it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slice_stand_in import CYCLES_A_GHOST_BATCH, UPDATE_S, ClosedForm

from orchestrator.errors import ArgumentError
from orchestrator.machine.constants import Level
from orchestrator.studies.records import IMAGENET_IMAGES
from orchestrator.studies.scaling import Scaling, Study, slices_on, whole_ghost_batches
from orchestrator.studies.scaling_epochs import Basis, ReferenceRecipe
from orchestrator.studies.scaling_machine import boards_of
from orchestrator.studies.scaling_sums import BoardSums, input_seconds

TODAY = {level: {} for level in Level}
TYPICAL = Level.TYPICAL
COMPUTE = CYCLES_A_GHOST_BATCH / 200e6
SOME = (1, 3, 6, 24, 100)


def study(model=None, **changes):
    settings = {"recipe": ReferenceRecipe(), "overrides": TODAY} | changes
    return Study(slice_model=model or ClosedForm(), **settings)


def test_one_board_is_the_slice_alone():
    (point,) = study().weak([1], 1)
    at = point.at[TYPICAL]
    assert at.step_s == pytest.approx(COMPUTE + UPDATE_S)
    assert at.components["exchange"] == 0 and point.algorithm == ""
    assert at.images_per_s == pytest.approx(32 / (COMPUTE + UPDATE_S))
    assert at.efficiency == pytest.approx(1)
    assert at.utilisation == pytest.approx(0.8 * COMPUTE / at.step_s)


def test_a_weak_step_is_the_slices_step_with_the_sum_over_all_boards():
    (point,) = study().weak([24], 2)
    exchange = BoardSums(boards_of(24), 2, TYPICAL, {}).fastest(25_557_032)
    at = point.at[TYPICAL]
    assert (point.global_batch, point.slices, point.ghost_batches) == (24 * 64, 24, 2)
    assert at.step_s == pytest.approx(2 * COMPUTE + exchange[1] + UPDATE_S)
    assert point.algorithm == exchange[0]
    alone = 64 / (2 * COMPUTE + UPDATE_S)
    assert at.efficiency == pytest.approx(at.images_per_s / (24 * alone))


def test_time_and_energy_to_train_are_steps_times_a_steps():
    (point,) = study().weak([1200], 1)
    at = point.at[TYPICAL]
    assert point.global_batch == 38_400 and point.epochs.basis is Basis.INTERPOLATED
    steps = point.epochs.mean * -(-IMAGENET_IMAGES // 38_400)
    assert at.train_s == pytest.approx(steps * at.step_s)
    step_j = 1200 * (30 * at.step_s + 24 * COMPUTE)
    assert at.energy_j == pytest.approx(steps * step_j)
    assert at.power_w == pytest.approx(step_j / at.step_s)
    assert at.joules_per_image == pytest.approx(step_j / 38_400)


def test_strong_scaling_keeps_the_batch_and_counts_boards_without_images():
    one, few, many = study().strong([1, 6, 48], 20)
    assert {point.global_batch for point in (one, few, many)} == {640}
    assert [point.ghost_batches for point in (one, few, many)] == [20, 4, 1]
    assert [point.busy_slices for point in (one, few, many)] == [1, 5, 20]
    at = many.at[TYPICAL]
    assert at.efficiency == pytest.approx(at.images_per_s / (48 * one.at[TYPICAL].images_per_s))
    exchange = at.components["exchange"]
    energy = 48 * 30 * (COMPUTE + exchange + UPDATE_S) + 20 * 24 * COMPUTE
    assert at.power_w * at.step_s == pytest.approx(energy)
    assert at.utilisation == pytest.approx(0.8 * COMPUTE * 20 / 48 / at.step_s)


def test_a_step_waits_for_images_that_arrive_more_slowly():
    model = ClosedForm(slower=0.01)
    (point,) = study(model).weak([1], 1)
    at = point.at[TYPICAL]
    arrival = input_seconds(1, model.input_bytes, TYPICAL, {})
    assert arrival == pytest.approx(32 * 224 * 224 * 3 / 4e6)
    assert at.step_s == pytest.approx(arrival)
    assert at.components["input"] == pytest.approx(arrival - 0.01 * COMPUTE - UPDATE_S)
    assert at.power_w * at.step_s == pytest.approx(30 * arrival + 24 * 0.01 * COMPUTE)


def test_a_host_can_be_slower_than_its_boards():
    assert input_seconds(1200, 10**6, TYPICAL, {"host_boards_rate": 24e6}) == pytest.approx(1.0)
    assert input_seconds(1, 10**6, TYPICAL, {"host_boards_rate": 24e6}) == pytest.approx(1 / 4)


def test_slices_of_several_boards():
    model = ClosedForm(boards=3)
    three, eight = study(model).weak([3, 8], 1)
    assert (three.slices, eight.slices) == (1, 2)
    assert three.at[TYPICAL].components["exchange"] == 0
    rate = three.at[TYPICAL].images_per_s
    assert eight.at[TYPICAL].efficiency == pytest.approx(
        eight.at[TYPICAL].images_per_s / (8 / 3 * rate)
    )
    with pytest.raises(ArgumentError, match="2 are fewer than the 3 of a slice"):
        study(model).weak([2], 1)


def test_the_time_to_train_is_left_out_beyond_the_known_batches():
    (point,) = study().weak([1200], 2)
    assert point.epochs is None
    assert point.at[TYPICAL].train_s is None and point.at[TYPICAL].energy_j is None
    (asked,) = study(extrapolate=True).weak([1200], 2)
    assert asked.epochs.basis is Basis.EXTRAPOLATED and asked.at[TYPICAL].train_s > 0


def test_a_faster_clock_is_asked_for_by_an_override():
    (now,), (fast,) = (
        study(overrides={level: changes for level in Level}).weak([6], 1)
        for changes in ({}, {"clock": 400e6})
    )
    gained = now.at[TYPICAL].step_s - fast.at[TYPICAL].step_s
    assert gained == pytest.approx(COMPUTE / 2)


@settings(max_examples=20, deadline=None)
@given(boards=st.sampled_from(SOME), ghosts=st.integers(1, 8), strong=st.booleans())
def test_what_always_holds(boards, ghosts, strong):
    found = study().strong([boards], ghosts) if strong else study().weak([boards], ghosts)
    (point,) = found
    low, typical, high = (point.at[level] for level in (Level.LOW, Level.TYPICAL, Level.HIGH))
    assert low.step_s >= typical.step_s >= high.step_s > 0
    for at in (low, typical, high):
        assert 0 < at.efficiency <= 1 + 1e-12
        assert 0 < at.utilisation <= 1
        assert at.images_per_s == pytest.approx(point.global_batch / at.step_s)
        assert 30 * boards <= at.power_w <= 54 * boards + 1e-6
    assert 1 <= point.busy_slices <= point.slices == boards
    assert (point.scaling is Scaling.STRONG) is strong


@pytest.mark.parametrize("images", [-32, 0, 16, 33])
def test_images_that_are_not_whole_ghost_batches_are_refused(images):
    with pytest.raises(ArgumentError, match=f"--batch: {images} is not a multiple of .* 32"):
        whole_ghost_batches(images, 32, "--batch")


def test_ghost_batches_and_slices_are_counted():
    assert whole_ghost_batches(38_400, 32, "") == 1200
    assert [slices_on(n, 3) for n in (3, 5, 1200)] == [1, 1, 400]
    with pytest.raises(ArgumentError, match="0 is not possible"):
        slices_on(0, 3)
