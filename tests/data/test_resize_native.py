"""The compiled resize against the NumPy one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.data.resize import Axis, Geometry, resize
from orchestrator.data.resize_native import resize_native
from orchestrator.errors import ArgumentError


@st.composite
def axes(draw: st.DrawFn) -> Axis:
    resized = draw(st.integers(1, 70))
    first = draw(st.integers(0, resized - 1))
    count = draw(st.integers(1, resized - first))
    length = draw(st.integers(1, 50))
    return Axis(draw(st.integers(0, 5)), length, resized, first, count, draw(st.booleans()))


@given(axes(), axes(), st.integers(1, 4), st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_same_pixels(rows: Axis, columns: Axis, channels: int, seed: int, beyond: int) -> None:
    shape = (rows.start + rows.length + beyond, columns.start + columns.length + beyond, channels)
    image = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    geometry = Geometry(rows, columns)
    assert (resize_native(image, geometry) == resize(image, geometry)).all()


@pytest.mark.parametrize("value", [0, 255])
def test_extremes_keep_their_value(value: int) -> None:
    image = np.full((300, 500, 3), value, np.uint8)
    geometry = Geometry(Axis(0, 300, 224, 0, 224), Axis(9, 491, 224, 0, 224, reverse=True))
    assert (resize_native(image, geometry) == value).all()


def test_pictures_with_gaps_in_memory() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)[::2, ::-1]
    geometry = Geometry(Axis(0, 20, 8, 0, 8), Axis(0, 60, 8, 0, 8))
    assert (resize_native(image, geometry) == resize(image, geometry)).all()


@pytest.mark.parametrize(
    "axis",
    [
        Axis(-1, 5, 5, 0, 5),
        Axis(6, 5, 5, 0, 5),
        Axis(0, 0, 5, 0, 5),
        Axis(0, 5, 5, -1, 5),
        Axis(0, 5, 5, 1, 5),
        Axis(0, 5, 5, 0, 0),
    ],
)
def test_what_does_not_fit_is_refused(axis: Axis) -> None:
    good = Axis(0, 10, 5, 0, 5)
    image = np.zeros((10, 10, 3), np.uint8)
    for geometry in (Geometry(axis, good), Geometry(good, axis)):
        with pytest.raises(ArgumentError, match="does not fit an image of 10 pixels"):
            resize_native(image, geometry)
