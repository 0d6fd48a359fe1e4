"""Initial weights: exact integers, addressed by name and element, with the right spread."""

import hashlib
from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.errors import ArgumentError
from orchestrator.model.distributions import Distribution, HeNormal, Normal, Uniform
from orchestrator.model.graph import sequential
from orchestrator.model.initialise import initial_masters, root_mantissa16
from orchestrator.model.layers import Conv2D, Dense, Flatten
from orchestrator.model.resnet import NormOptions, digits_resnet
from orchestrator.philox import philox4x32, tensor_id

# SHA-256 over (name, little-endian values) in name order of the digits network's masters, seed 0.
GOLDEN = "8d33b99ee3b6fea2183214bba9e71668c1d2f62c218557f438fa10d68793d759"

SEED = 0x1234_5678_9ABC_DEF0


@given(st.fractions(min_value=Fraction(1, 10**12), max_value=10**6, max_denominator=10**12))
@example(Fraction((2**17 - 1) ** 2, 4))
@example(Fraction(1, 10**4))
def test_root_mantissa_is_the_nearest_one(square: Fraction) -> None:
    m, exponent = root_mantissa16(square)
    assert 2**15 <= m < 2**16
    unit = Fraction(2) ** exponent
    above = (m + Fraction(1, 2)) * unit
    # At m = 2^15 the root may have been rounded up to it from the finer binade below.
    below = (m - Fraction(1, 2 if m > 2**15 else 4)) * unit
    assert below**2 <= square < above**2


def plain(name: str, element: int, distribution: Distribution, fan_in: int, fan_out: int) -> int:
    """Section 8 of the numerics page for one element, in rationals."""

    def word(index: int) -> int:
        counter = (element, index // 4, tensor_id(name), 4 << 24)
        return int(philox4x32(counter, SEED)[index % 4])

    if isinstance(distribution, Uniform):
        drawn = 2 * word(0) - (2**32 - 1)
        m, exponent = root_mantissa16((distribution.bound / 2**32) ** 2)
    else:
        drawn = sum(word(index) for index in range(12)) - 6 * (2**32 - 1)
        variance = distribution.variance(fan_in, fan_out)
        m, exponent = root_mantissa16(variance / 2**64)
    return floor(drawn * m * Fraction(2) ** (exponent + 28) + Fraction(1, 2))


@pytest.mark.parametrize(
    "distribution",
    [
        HeNormal("fan_in"),
        HeNormal("fan_out"),
        Normal(Fraction(1, 100)),
        Uniform(Fraction(1, 3)),
    ],
)
def test_every_element_follows_the_numerics_page(distribution: Distribution) -> None:
    layer = Conv2D(3, (2, 3), initial=distribution, name="conv")
    graph = sequential((5, 5, 4), [layer, Flatten(), Dense(2, name="fc")])
    drawn = initial_masters(graph, SEED)["conv.weight"]
    assert drawn.dtype == np.int32 and drawn.shape == (3, 2, 3, 4)
    expected = [plain("conv.weight", i, distribution, 24, 18) for i in range(drawn.size)]
    assert drawn.ravel().tolist() == expected


@pytest.mark.parametrize(
    ("distribution", "sd", "largest"),
    [
        (HeNormal("fan_in"), (2 / 300) ** 0.5, 6 * (2 / 300) ** 0.5),
        (HeNormal("fan_out"), (2 / 200) ** 0.5, 6 * (2 / 200) ** 0.5),
        (Normal(Fraction(1, 100)), 0.01, 0.06),
        (Uniform(Fraction(1, 4)), 0.25 / 3**0.5, 0.25),
    ],
)
def test_spread(distribution: Distribution, sd: float, largest: float) -> None:
    graph = sequential((300,), [Dense(200, initial=distribution, name="fc")])
    weights = initial_masters(graph, 7)["fc.weight"] / 2**28
    # Five standard errors of the mean and of the standard deviation over 60,000 values.
    assert abs(weights.mean()) < 5 * sd / 60_000**0.5
    assert abs(weights.std() / sd - 1) < 5 / (2 * 60_000) ** 0.5
    assert np.abs(weights).max() <= largest * (1 + 2**-15)


def test_affine_parts_and_biases() -> None:
    masters = initial_masters(digits_resnet((8, 8, 1), 10), 0)
    assert np.all(masters["bn1.weight"] == 2**28)
    assert np.all(masters["layer1.0.bn2.weight"] == 0)
    assert np.all(masters["layer2.0.downsample.1.weight"] == 2**28)
    assert not masters["bn1.bias"].any() and not masters["fc.bias"].any()
    kept = digits_resnet((8, 8, 1), 10, NormOptions(zero_last_gamma=False))
    assert np.all(initial_masters(kept, 0)["layer1.0.bn2.weight"] == 2**28)


def test_a_tensor_depends_on_seed_and_name_only() -> None:
    small = sequential((9,), [Dense(7, name="a"), Dense(7, name="b")])
    large = sequential((9,), [Dense(9, name="c"), Dense(7, name="a"), Dense(3, name="d")])
    first, second = initial_masters(small, SEED), initial_masters(large, SEED)
    assert np.array_equal(first["a.weight"], second["a.weight"])
    assert not np.array_equal(first["a.weight"], initial_masters(small, SEED + 1)["a.weight"])
    assert not np.array_equal(first["a.weight"][:, :7], first["b.weight"])


def test_chunks_leave_no_seam() -> None:
    """A tensor of several chunks equals its elements drawn one by one around the seams."""
    graph = sequential((130,), [Dense(300, name="fc")])
    drawn = initial_masters(graph, SEED)["fc.weight"].ravel()
    for chunk in range(1, ceil(drawn.size / 2**14)):
        for element in (chunk * 2**14 - 1, chunk * 2**14):
            expected = plain("fc.weight", element, HeNormal("fan_in"), 130, 300)
            assert drawn[element] == expected


def test_a_fan_of_one_saturates_instead_of_wrapping() -> None:
    graph = sequential((1,), [Dense(100_000, initial=HeNormal("fan_in"), name="fc")])
    weights = initial_masters(graph, 0)["fc.weight"].astype(np.int64)
    assert np.abs(weights).max() <= 2**31 - 1
    assert abs(weights.std() / 2**28 / 2**0.5 - 1) < 0.02


def test_the_bits_stay_those_of_the_first_version() -> None:
    digest = hashlib.sha256()
    for name, array in sorted(initial_masters(digits_resnet((8, 8, 1), 10), 0).items()):
        digest.update(name.encode() + array.astype("<i4").tobytes())
    assert digest.hexdigest() == GOLDEN


def test_seed_out_of_range_is_refused() -> None:
    with pytest.raises(ArgumentError, match="seed -1"):
        initial_masters(sequential((4,), [Dense(2)]), -1)
