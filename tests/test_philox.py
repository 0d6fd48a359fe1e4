"""Philox against Random123's published vectors, and the addressing rules."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import ArgumentError
from orchestrator.philox import DITHER, dither_seeds, philox4x32, tensor_id

# Random123 1.14, tests/kat_vectors, lines "philox4x32 10".
KNOWN = [
    (
        "00000000 00000000 00000000 00000000",
        "00000000 00000000",
        "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
    ),
    (
        "ffffffff ffffffff ffffffff ffffffff",
        "ffffffff ffffffff",
        "408f276d 41c83b0e a20bc7c6 6d5451fd",
    ),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]

words = st.integers(0, 2**32 - 1)


def parse(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_matches_the_published_vectors(counter: str, key: str, expected: str) -> None:
    low, high = parse(key)
    c0, c1, c2, c3 = parse(counter)
    assert philox4x32((c0, c1, c2, c3), low | high << 32).tolist() == parse(expected)


def test_arrays_broadcast_and_equal_single_calls() -> None:
    rows = np.arange(5, dtype=np.int64)[:, None]
    columns = np.array([0, 7, 2**32 - 1], dtype=np.uint32)
    got = philox4x32((rows, columns, 3, 4), 0x1234_5678_9ABC_DEF0)
    assert got.shape == (5, 3, 4)
    assert got.dtype == np.uint32
    for i in range(5):
        for j in range(3):
            single = philox4x32((i, int(columns[j]), 3, 4), 0x1234_5678_9ABC_DEF0)
            assert np.array_equal(got[i, j], single)


@given(words, words, words, words, st.integers(0, 2**64 - 1))
@settings(max_examples=40, deadline=None)
def test_matches_a_plain_integer_version(c0: int, c1: int, c2: int, c3: int, seed: int) -> None:
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    x = [c0, c1, c2, c3]
    for _ in range(10):
        a, b = x[0] * 0xD2511F53, x[2] * 0xCD9E8D57
        x = [(b >> 32) ^ x[1] ^ k0, b & 0xFFFFFFFF, (a >> 32) ^ x[3] ^ k1, a & 0xFFFFFFFF]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    assert philox4x32((c0, c1, c2, c3), seed).tolist() == x


def test_tensor_id_is_crc32() -> None:
    assert tensor_id("123456789") == 0xCBF43926


def test_dither_seeds_are_words_0_of_their_addresses() -> None:
    ids = [tensor_id("conv1"), tensor_id("fc")]
    expected = [int(philox4x32((11, 3, i, DITHER << 24), 42)[0]) for i in ids]
    assert dither_seeds(42, 11, 3, np.array(ids)) == expected


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_refuses_a_seed_out_of_range(seed: int) -> None:
    with pytest.raises(ArgumentError, match="seed"):
        philox4x32((0, 0, 0, 0), seed)


@pytest.mark.parametrize("word", [-1, 2**32])
def test_refuses_a_counter_word_out_of_range(word: int) -> None:
    with pytest.raises(ArgumentError, match="counter word"):
        philox4x32((0, word, 0, 0), 0)
