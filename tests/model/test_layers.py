"""Layers: shapes, costs, names, and messages for what cannot be built."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import ArgumentError
from orchestrator.model.distributions import HeNormal, Normal, Uniform
from orchestrator.model.layers import (
    LONGEST_SUM,
    Add,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Input,
    Layer,
    MaxPool2D,
    ReLU,
)

sizes = st.integers(1, 12)


@given(sizes, sizes, sizes, sizes, st.integers(1, 4), st.integers(0, 3))
def test_convolution_places_every_window_that_fits(
    height: int, width: int, rows: int, columns: int, stride: int, padding: int
) -> None:
    def places(size: int, window: int) -> int:
        return len(range(0, size + 2 * padding - window + 1, stride))

    expected = (places(height, rows), places(width, columns))
    layer = Conv2D(5, (rows, columns), stride, padding)
    if 0 in expected:
        with pytest.raises(ArgumentError, match=rf"'conv2d': a {rows}x{columns} window does not"):
            layer(Input((height, width, 3)))
    else:
        assert layer(Input((height, width, 3))).shape == (*expected, 5)


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (MaxPool2D(3, 2, 1), (112, 112, 64), (56, 56, 64)),
        (AvgPool2D(2, 2), (9, 8, 4), (4, 4, 4)),
        (GlobalAvgPool(), (7, 5, 64), (64,)),
        (Flatten(), (7, 5, 64), (2240,)),
        (Flatten(), (6,), (6,)),
        (BatchNorm(), (7, 5, 64), (7, 5, 64)),
        (ReLU(), (9,), (9,)),
        (Dropout("0.5"), (9,), (9,)),
        (Dense(4), (9,), (4,)),
    ],
)
def test_output_shapes(layer: Layer, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert layer(Input(shape)).shape == expected


def test_weights_and_macs_of_a_convolution() -> None:
    layer = Conv2D(8, (3, 1), stride=2, padding=1)
    output = layer(Input((9, 9, 4))).shape
    assert output == (5, 6, 8)
    assert layer.parameter_shapes(((9, 9, 4),)) == {"weight": (8, 3, 1, 4), "bias": (8,)}
    assert layer.macs(((9, 9, 4),), output) == 5 * 6 * 8 * 3 * 1 * 4


def test_no_bias_means_no_bias_tensor() -> None:
    assert set(Conv2D(8, 3, bias=False).parameter_shapes(((9, 9, 4),))) == {"weight"}
    assert set(Dense(8, bias=False).parameter_shapes(((9,),))) == {"weight"}


def test_unnamed_layers_get_free_names_and_do_not_share_weights() -> None:
    x = Input((4,))
    layer = Dense(4)
    x = Dense(4, name="dense_1")(layer(x))
    x = layer(x)
    assert list(x.recording) == ["input", "dense", "dense_1", "dense_2"]


def test_add_takes_a_list_or_two_tensors() -> None:
    x = Input((4,))
    y = Dense(4)(x)
    assert Add()([x, y]).shape == Add()(x, y).shape == (4,)


def test_rates_are_exact() -> None:
    assert Dropout(0.1).rate == Fraction(1, 10)
    norm = BatchNorm(0.1, 1e-05)
    assert (norm.momentum, norm.epsilon) == (Fraction(1, 10), Fraction(1, 100_000))
    assert norm == BatchNorm(Fraction(1, 10), "1e-5")


def test_layers_are_values() -> None:
    assert Conv2D(8, 3, name="a") == Conv2D(8, 3, name="a")
    with pytest.raises(AttributeError):
        Dropout(0.5).rate = Fraction(1)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Conv2D(0, 3), "filters 0 is not allowed"),
        (lambda: Conv2D(True, 3), "filters True is not allowed"),
        (lambda: Conv2D(8, 0), r"kernel \(0, 0\) is not allowed"),
        (lambda: Conv2D(8, 3, name="c1", stride=0), r"layer 'c1' \(Conv2D\): stride 0"),
        (lambda: Conv2D(8, 3, padding=-1), "padding -1 is not allowed"),
        (lambda: MaxPool2D(3, 2, 2), "more than half the kernel 3"),
        (lambda: Dense(-4), "units -4 is not allowed"),
        (lambda: Dropout(1), "rate 1.0 is not allowed; give 0 <= rate < 1"),
        (lambda: Dropout("half"), "rate 'half' is not a number"),
        (lambda: Dropout(float("nan")), "rate nan is not a number"),
        (lambda: BatchNorm(momentum=0), "momentum 0.0 is not allowed"),
        (lambda: BatchNorm(epsilon=0), "epsilon 0.0 is not allowed"),
        (lambda: HeNormal("fan_avg"), "fan_avg"),  # type: ignore[arg-type]
        (lambda: Normal(Fraction(0)), "sd 0 is not allowed"),
        (lambda: Uniform(Fraction(8)), "bound 8 is not allowed"),
        (lambda: Input((8, 8)), r"shape \(8, 8\) is not allowed"),
        (lambda: Input((8, 8, 0)), r"shape \(8, 8, 0\) is not allowed"),
        (lambda: Dense(4)(Input((8, 8, 1))), r"Dense takes a vector.*\(8, 8, 1\).*Flatten"),
        (lambda: Conv2D(4, 3)(Input((8,))), r"takes a feature map.*\(8,\)"),
        (lambda: GlobalAvgPool()(Input((8,))), r"takes a feature map.*\(8,\)"),
        (lambda: Dense(4, name="a b")(Input((8,))), "layer name 'a b' is not allowed"),
        (lambda: Dense(4, name="input")(Input((8,))), "'input' is used twice"),
        (lambda: Add()(Input((8,))), "takes 2 input.s., was called with 1"),
        (lambda: Add()(Input((8,)), Input((8,))), "come from different Input"),
        (lambda: Dense(4)(3), "symbolic tensors, not on int"),  # type: ignore[arg-type]
        (lambda: Dense(4)(Input((LONGEST_SUM + 1,))), f"hold at most {LONGEST_SUM}"),
    ],
)
def test_what_cannot_be_built_is_refused_with_its_value(build: object, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        build()  # type: ignore[operator]


def test_shapes_of_an_addition_must_agree() -> None:
    x = Input((8, 8, 4))
    with pytest.raises(ArgumentError, match=r"'sum': cannot add .*\(8, 8, 4\) and \(4, 4, 4\)"):
        Add(name="sum")(x, MaxPool2D(2, 2)(x))


def test_longest_sum_is_the_last_exact_one() -> None:
    assert LONGEST_SUM * 4095**2 < 2**42 <= (LONGEST_SUM + 1) * 4095**2
