"""Epochs to the target by batch, and the published trainings they come from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import ArgumentError
from orchestrator.studies.records import IMAGENET_IMAGES, RECORDS, Known, records_of
from orchestrator.studies.scaling_epochs import (
    REFERENCE_POINTS,
    Basis,
    ReferenceRecipe,
    find_recipe,
    recipes,
)

RECIPE = ReferenceRecipe()
LAST = REFERENCE_POINTS[-1]


@pytest.mark.parametrize("point", REFERENCE_POINTS, ids=lambda point: str(point.batch))
def test_a_reference_point_is_itself(point):
    found = RECIPE.epochs(point.batch, extrapolate=False)
    assert (found.mean, found.sd, found.basis) == (point.mean, point.sd, Basis.REFERENCE)


def test_half_way_between_two_points_is_their_mean():
    found = RECIPE.epochs((32_768 + 49_152) // 2, extrapolate=False)
    assert found.mean == pytest.approx((56.0 + 68.0) / 2)
    assert found.basis is Basis.INTERPOLATED


@given(st.integers(REFERENCE_POINTS[0].batch, LAST.batch - 1))
def test_epochs_never_fall_with_the_batch_and_stay_between_the_points(batch):
    here, there = (RECIPE.epochs(b, extrapolate=False) for b in (batch, batch + 1))
    assert here.mean <= there.mean
    around = [point.mean for point in REFERENCE_POINTS]
    assert min(around) <= here.mean <= max(around)


def test_a_small_batch_takes_the_first_point_and_says_so():
    found = RECIPE.epochs(32, extrapolate=False)
    assert (found.mean, found.basis) == (35.0, Basis.SMALLEST)


def test_beyond_the_last_point_nothing_is_said_unless_asked_for():
    assert RECIPE.epochs(LAST.batch + 1, extrapolate=False) is None
    found = RECIPE.epochs(LAST.batch + 2304, extrapolate=True)
    assert found.basis is Basis.EXTRAPOLATED
    assert found.mean == pytest.approx(85.9 + 2304 * (85.9 - 84.5) / 2304)


def test_a_published_recipe_holds_up_to_its_batch():
    goyal = find_recipe("goyal-2017", "resnet50", 60)
    assert goyal.epochs(8192, extrapolate=False).mean == 90
    assert goyal.epochs(8193, extrapolate=False) is None
    assert goyal.epochs(8193, extrapolate=True).basis is Basis.EXTRAPOLATED


def test_the_configured_length_holds_for_any_batch_and_promises_nothing():
    found = find_recipe("config", "vgg16", 74)
    assert found.epochs(10**6, extrapolate=False).basis is Basis.CONFIGURED
    assert "whatever" in found.target


def test_networks_without_reference_points_take_the_configured_length():
    assert list(recipes("alexnet", 90)) == ["config"]
    assert find_recipe(None, "alexnet", 90).name == "config"
    assert find_recipe(None, "resnet50", 90).name == "mlperf"


def test_an_unknown_recipe_is_refused_with_the_known_ones():
    with pytest.raises(ArgumentError, match=r"no recipe 'adam'; it has mlperf, .*config"):
        find_recipe("adam", "resnet50", 60)


def test_every_record_has_a_speed_and_a_source():
    assert {record.model for record in RECORDS} == {"resnet50", "vgg16"}
    for record in RECORDS:
        assert record.images_per_s is not None and record.images_per_s.value > 0
        assert len(record.source) > 10 and record.power_w > 0


def test_a_derived_speed_is_epochs_over_time_and_marked():
    akiba = next(record for record in records_of("resnet50") if record.name == "Akiba 2017")
    assert akiba.images_per_s.known is Known.DERIVED
    assert akiba.images_per_s.value == pytest.approx(90 * IMAGENET_IMAGES / 900)
    assert akiba.energy_j == pytest.approx(1024 * 300 * 900)
    assert akiba.as_json()["train_s"] == {"value": 900, "known": "stated"}


def test_a_stated_speed_is_kept_and_gives_no_time():
    node = records_of("vgg16")[0]
    assert node.images_per_s.value == 2052
    assert node.energy_j is None and node.as_json()["train_s"] is None
    assert node.joules_per_image == pytest.approx(6 * 300 / 2052)
