"""The resize against exact rationals, and near Pillow's."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from orchestrator.data.resize import Axis, Geometry, make_taps, resize


@st.composite
def axes(draw: st.DrawFn, longest: int = 40) -> Axis:
    start = draw(st.integers(0, 5))
    length = draw(st.integers(1, longest))
    resized = draw(st.integers(1, longest))
    first = draw(st.integers(0, resized - 1))
    count = draw(st.integers(1, resized - first))
    return Axis(start, length, resized, first, count, draw(st.booleans()))


def exact_weights(axis: Axis, output: int) -> dict[int, Fraction]:
    """The triangle filter's weights as rationals, by input pixel of the image."""
    scale = Fraction(axis.length, axis.resized)
    support = max(scale, Fraction(1))
    centre = (output + Fraction(1, 2)) * scale
    weights = {
        axis.start + x: max(Fraction(0), 1 - abs(x + Fraction(1, 2) - centre) / support)
        for x in range(axis.length)
    }
    total = sum(weights.values())
    return {x: weight / total for x, weight in weights.items() if weight}


def outputs(axis: Axis) -> list[int]:
    order = list(range(axis.first, axis.first + axis.count))
    return order[::-1] if axis.reverse else order


@given(axes())
def test_weights_are_the_triangle_rounded_to_14_bits(axis: Axis) -> None:
    taps = make_taps(axis)
    assert (taps.weights.sum(axis=1) == 1 << 14).all()
    assert (taps.start >= axis.start).all()
    assert (taps.start + taps.weights.shape[1] <= axis.start + axis.length).all()
    for row, output in enumerate(outputs(axis)):
        exact = exact_weights(axis, output)
        stored = {int(taps.start[row]) + k: int(w) for k, w in enumerate(taps.weights[row])}
        assert set(exact) <= set(stored)
        for place, weight in stored.items():
            assert abs(weight - (1 << 14) * exact.get(place, Fraction(0))) < 1


@settings(max_examples=30, deadline=None)
@given(axes(12), axes(12), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_pixels_are_within_one_of_the_exact_filter(
    rows: Axis, columns: Axis, channels: int, seed: int
) -> None:
    shape = (rows.start + rows.length, columns.start + columns.length, channels)
    image = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    result = resize(image, Geometry(rows, columns))
    assert result.shape == (rows.count, columns.count, channels)
    for i, row in enumerate(outputs(rows)):
        for j, column in enumerate(outputs(columns)):
            for c in range(channels):
                exact = sum(
                    wy * wx * int(image[y, x, c])
                    for y, wy in exact_weights(rows, row).items()
                    for x, wx in exact_weights(columns, column).items()
                )
                assert abs(int(result[i, j, c]) - exact) < Fraction(3, 4)


@pytest.mark.parametrize("size", [(8, 8), (17, 9), (224, 224), (32, 48)])
@pytest.mark.parametrize("shape", [(32, 48), (375, 500), (9, 301)])
def test_close_to_pillow(shape: tuple[int, int], size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    ours = resize(image, Geometry(whole(shape[0], size[0]), whole(shape[1], size[1])))
    peer = Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR)
    assert np.abs(ours.astype(int) - np.asarray(peer)).max() <= 1


def whole(length: int, resized: int) -> Axis:
    return Axis(0, length, resized, 0, resized)


@given(st.integers(0, 255), axes(), axes())
def test_flat_image_keeps_its_value(value: int, rows: Axis, columns: Axis) -> None:
    image = np.full((50, 50, 1), value, np.uint8)
    assert (resize(image, Geometry(rows, columns)) == value).all()


def test_same_size_keeps_every_pixel() -> None:
    image = np.random.default_rng(2).integers(0, 256, (30, 20, 3), np.uint8)
    assert (resize(image, Geometry(whole(30, 30), whole(20, 20))) == image).all()
    mirrored = resize(image, Geometry(whole(30, 30), Axis(0, 20, 20, 0, 20, reverse=True)))
    assert (mirrored == image[:, ::-1]).all()
