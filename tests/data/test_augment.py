"""Crops, flips and the input table as functions of seed, epoch and sample."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.data import augment
from orchestrator.errors import ArgumentError

AREA = (Fraction(8, 100), Fraction(1))
ASPECT = (Fraction(3, 4), Fraction(4, 3))
IMAGENET = (
    (Fraction("0.485"), Fraction("0.456"), Fraction("0.406")),
    (Fraction("0.229"), Fraction("0.224"), Fraction("0.225")),
)


def words(sample: int, seed: int = 0, epoch: int = 0) -> augment.Words:
    return augment.draw(seed, epoch, np.array([sample]))[0]


def test_draws_depend_on_the_sample_alone() -> None:
    together = augment.draw(7, 3, np.array([5, 2, 9]))
    assert (together[1] == words(2, seed=7, epoch=3)).all()
    assert (together[1] != words(2, seed=7, epoch=4)).any()
    assert (together[1] != words(2, seed=8, epoch=3)).any()


@given(st.integers(0, 10_000), st.integers(1, 600), st.integers(1, 600))
def test_crop_lies_inside_with_area_and_aspect(sample: int, height: int, width: int) -> None:
    crop = augment.random_resized_crop(words(sample), height, width, AREA, ASPECT)
    assert 0 <= crop.top and crop.top + crop.height <= height and crop.height >= 1
    assert 0 <= crop.left and crop.left + crop.width <= width and crop.width >= 1
    assert (crop.width - 1) / (crop.height + 1) < 4 / 3
    assert (crop.width + 1) / (crop.height - 1 or 0.5) > 3 / 4


def test_crops_cover_area_and_aspect_evenly() -> None:
    crops = [
        augment.random_resized_crop(words(i), 1000, 1000, (Fraction(1, 10), Fraction(1, 2)), ASPECT)
        for i in range(2000)
    ]
    areas = np.array([c.height * c.width for c in crops]) / 1e6
    logs = np.log([c.width / c.height for c in crops])
    assert np.histogram(areas, 8, (0.1, 0.5))[0].min() > 180
    assert np.histogram(logs, 8, (np.log(3 / 4), np.log(4 / 3)))[0].min() > 180
    assert np.histogram([c.top / (1000 - c.height) for c in crops], 8, (0, 1))[0].min() > 180
    assert 850 < sum(augment.is_flipped(words(i)) for i in range(2000)) < 1150


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(10, 1000, (0, 493, 10, 13)), (1000, 10, (493, 0, 13, 10)), (60, 60, (0, 0, 60, 60))],
)
def test_fallback_is_the_largest_centred_crop(
    height: int, width: int, expected: tuple[int, ...]
) -> None:
    impossible = (Fraction(9), Fraction(10))
    crop = augment.random_resized_crop(words(0), height, width, impossible, ASPECT)
    assert crop == expected


def test_aspect_table_is_exact_at_its_middle_and_ends() -> None:
    table = augment.aspect_table(ASPECT)
    assert len(table) == 4096
    assert list(table) == sorted(table)
    assert table[0] == round(65536 * 0.75 * (16 / 9) ** (1 / 8192))
    assert table[4095] == round(65536 * 4 / 3 * (9 / 16) ** (1 / 8192))
    assert all(abs(a * b / 2**32 - 1) < 3e-5 for a, b in zip(table, table[::-1], strict=True))


def test_padding_crop_reaches_every_place() -> None:
    places = {augment.padding_crop(words(i), 4) for i in range(2000)}
    assert places == {(row, column) for row in range(9) for column in range(9)}
    assert augment.padding_crop(words(0), 0) == (0, 0)


def test_centre_crop_of_evaluation() -> None:
    geometry = augment.centre_crop(375, 500, 256, 224)
    assert (geometry.rows.resized, geometry.rows.first, geometry.rows.count) == (256, 16, 224)
    assert (geometry.columns.resized, geometry.columns.first) == (341, 58)


@pytest.mark.parametrize(("size", "short"), [(224, 256), (64, 73), (160, 183), (288, 329)])
def test_short_side_is_in_proportion(size: int, short: int) -> None:
    assert augment.short_side(size, 256) == short
    assert augment.short_side(size, 100) == size


def test_input_table_of_imagenet() -> None:
    table, exponent = augment.input_table(*IMAGENET)
    assert table.shape == (256, 3)
    assert exponent == -10
    assert table[255].tolist() == [2303, 2487, 2703]
    assert table[0].tolist() == [-2169, -2085, -1848]
    assert abs(table[124, 0]) <= 6


@given(
    st.fractions(0, 1, max_denominator=1000),
    st.fractions(Fraction(1, 1000), 4, max_denominator=1000),
)
def test_input_table_is_the_rounded_rational(mean: Fraction, std: Fraction) -> None:
    table, exponent = augment.input_table((mean,), (std,))
    unit = Fraction(2) ** exponent
    errors = [(Fraction(p, 255) - mean) / std / unit - int(table[p, 0]) for p in range(256)]
    assert all(Fraction(-1, 2) <= error < Fraction(1, 2) for error in errors)
    assert 2047 <= np.abs(table).max() <= 4095
    finer = [(Fraction(p, 255) - mean) / std / unit * 2 for p in (0, 255)]
    assert any(abs((value + Fraction(1, 2)) // 1) > 4095 for value in finer)


def test_input_table_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ArgumentError, match="2 means and 1 standard deviations"):
        augment.input_table((Fraction(0), Fraction(0)), (Fraction(1),))
    with pytest.raises(ArgumentError, match="above 0"):
        augment.input_table((Fraction(0),), (Fraction(0),))


def test_padding_pixel() -> None:
    assert augment.padding_pixel(IMAGENET[0]).tolist() == [124, 116, 104]
