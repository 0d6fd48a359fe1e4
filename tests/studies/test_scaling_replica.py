"""The study on a real plan: a small network compiled for a board."""

from pathlib import Path

import pytest

from orchestrator.config import load_config
from orchestrator.errors import ConfigError
from orchestrator.machine.constants import Level
from orchestrator.studies.scaling import Study
from orchestrator.studies.scaling_epochs import find_recipe
from orchestrator.studies.scaling_machine import boards_of
from orchestrator.studies.scaling_replica import plan_slice
from orchestrator.studies.scaling_sums import BoardSums
from orchestrator.studies.scaling_whatif import overrides_of

CONFIG = Path(__file__).parents[2] / "configs" / "cifar10_resnet8.yaml"
TYPICAL = Level.TYPICAL


@pytest.fixture(scope="module")
def config():
    return load_config(CONFIG)


@pytest.fixture(scope="module")
def planned(config, tmp_path_factory):
    return plan_slice(config, tmp_path_factory.mktemp("plans"))


def test_a_slice_is_what_its_configuration_says(config, planned):
    assert planned.boards == config.slice.boards
    assert planned.ghost_batch == config.train.ghost_batch
    pixels = config.train.ghost_batch * config.model.image_size**2 * config.model.channels
    assert planned.input_bytes >= pixels
    assert planned.n_parameters > 1000


@pytest.mark.parametrize("level", Level)
def test_a_step_is_its_components_and_at_least_the_roofline(planned, level):
    step = planned.step(level, {}, 1, None)
    assert all(seconds >= 0 for seconds in step.components.values())
    assert step.seconds >= step.roofline_s > 0
    assert sum(step.energy.values()) >= 0.9 * step.idle_w * step.seconds > 0


def test_ghost_batches_follow_each_other_and_the_sum_comes_once(planned):
    one, two = (planned.step(TYPICAL, {}, n, None) for n in (1, 2))
    update = one.components["update"]
    assert two.seconds - update == pytest.approx(2 * (one.seconds - update))
    sums = BoardSums(boards_of(24), 1, TYPICAL, {})
    summed = planned.step(TYPICAL, {}, 1, sums)
    assert one.components["exchange over boards"] == 0
    exposed = summed.components["exchange over boards"]
    assert 0 < exposed <= sums.fastest(planned.n_parameters)[1] * 1.5
    assert summed.seconds == pytest.approx(one.seconds + exposed)


def test_a_faster_machine_is_faster_on_the_same_plan(planned):
    today = planned.step(TYPICAL, {}, 1, None).seconds
    for change in ({"clock": 400.0}, {"links": 2.0}, {"cores": 32.0}, {"mantissa": 8.0}):
        assert planned.step(TYPICAL, overrides_of(change)[TYPICAL], 1, None).seconds <= today


def test_a_study_of_a_real_plan(config, planned):
    study = Study(
        slice_model=planned,
        recipe=find_recipe(None, config.model.name, config.train.epochs),
        overrides=overrides_of({}),
        epoch_images=50_000,
    )
    one, six = study.weak([1, 6], 1)
    for point in (one, six):
        low, typical, high = (point.at[level] for level in Level)
        assert low.step_s > typical.step_s > high.step_s
        assert point.epochs.mean == config.train.epochs
    assert one.at[TYPICAL].efficiency == pytest.approx(1)
    assert 0 < six.at[TYPICAL].efficiency < 1


def test_a_plan_is_found_again(config, tmp_path):
    first = plan_slice(config, tmp_path)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    again = plan_slice(config, tmp_path)
    assert kept and kept == {path: path.stat().st_mtime_ns for path in kept}
    assert again.step(TYPICAL, {}, 1, None) == first.step(TYPICAL, {}, 1, None)


def test_an_unknown_network_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="there is no network 'lenet'"):
        plan_slice(load_config(CONFIG, ["model.name=lenet"]), tmp_path)
