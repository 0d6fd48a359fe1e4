"""Philox4x32-10: random words addressed by (seed, purpose, counters), never drawn in order.

Whatever the rank, thread or time, the same address gives the same word; this is what keeps a
training's bits independent of the number of ranks and of interruptions (docs/numerics.md).

References
----------
Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3. SC'11, section 3.2.2.
"""

import zlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ArgumentError

Word = int | NDArray[Any]
"""One 32-bit counter word: a Python integer, or an integer array that broadcasts."""

SHUFFLE: Final = 1
AUGMENT: Final = 2
DITHER: Final = 3
INIT: Final = 4
DROPOUT: Final = 5
SYNTHETIC: Final = 6

_ROUNDS: Final = 10
_MULTIPLIERS: Final = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL: Final = (0x9E3779B9, 0xBB67AE85)
_LOW: Final = np.uint64(0xFFFFFFFF)
_HALF: Final = np.uint64(32)


def philox4x32(counter: tuple[Word, Word, Word, Word], seed: int) -> NDArray[np.uint32]:
    """Return the four random words at each counter, ten rounds.

    Parameters
    ----------
    counter : four words, each an integer or an integer array with values 0 .. 2^32 - 1; arrays
        broadcast against each other.
    seed : the key, 0 .. 2^64 - 1: word 0 is its low half, word 1 its high half.

    Returns
    -------
    uint32 array of the broadcast shape plus a last axis of 4.

    Raises
    ------
    ArgumentError
        The seed, or an integer counter word, is out of its range.

    Examples
    --------
    >>> [hex(word) for word in philox4x32((0, 0, 0, 0), 0)]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    if not 0 <= seed < 1 << 64:
        raise ArgumentError(f"Philox seed {seed}: a seed is between 0 and 2^64 - 1")
    c0, c1, c2, c3 = np.broadcast_arrays(*(_word(word) for word in counter))
    keys = (seed & 0xFFFFFFFF, seed >> 32)
    for _ in range(_ROUNDS):
        product0 = c0 * _MULTIPLIERS[0]
        product1 = c2 * _MULTIPLIERS[1]
        c0 = (product1 >> _HALF) ^ c1 ^ np.uint64(keys[0])
        c1 = product1 & _LOW
        c2 = (product0 >> _HALF) ^ c3 ^ np.uint64(keys[1])
        c3 = product0 & _LOW
        keys = ((keys[0] + _WEYL[0]) & 0xFFFFFFFF, (keys[1] + _WEYL[1]) & 0xFFFFFFFF)
    return np.stack((c0, c1, c2, c3), axis=-1).astype(np.uint32)


def tensor_id(name: str) -> int:
    """Return the 32-bit identity of a tensor in counters: CRC-32 of its name in UTF-8."""
    return zlib.crc32(name.encode())


def dither_seeds(seed: int, step: int, ghost: int, tensor_ids: NDArray[Any]) -> list[int]:
    """Return the 32-bit seeds of tensors' dither sequences.

    Parameters
    ----------
    seed : the run's seed, 0 .. 2^64 - 1.
    step : the step, from 0.
    ghost : the index of the ghost batch in the step's global batch.
    tensor_ids : what the function `tensor_id` returns for the tensors' names, [tensors].
    """
    seeds: list[int] = philox4x32((step, ghost, tensor_ids, DITHER << 24), seed)[:, 0].tolist()
    return seeds


def _word(word: Word) -> NDArray[np.uint64]:
    """Return a counter word as uint64; the checks catch what a cast would silently wrap."""
    if isinstance(word, int) and not 0 <= word < 1 << 32:
        raise ArgumentError(f"Philox counter word {word}: a word is between 0 and 2^32 - 1")
    return np.asarray(word).astype(np.uint64) & _LOW
