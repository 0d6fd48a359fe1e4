"""One hash for the parameters of a training: equal hashes mean equal bits."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ArgumentError
from orchestrator.train.state import (
    MASTER_EXPONENT,
    MOMENTUM_EXPONENT,
    RUNNING_EXPONENT,
    SECOND_MOMENT_EXPONENT,
    TrainState,
)


def fingerprint(state: TrainState, full: bool = False) -> str:
    """Return the SHA-256 of the canonical parameters as 64 hexadecimal digits.

    The hash runs over master weights and running statistics together, sorted by name (code
    points), each entered as

    * its name in UTF-8 and one zero byte;
    * the number of dimensions as uint32, then every dimension as uint64;
    * its elements in C order: int32 for masters, int64 for running statistics;
    * its exponent as int32 (-28 for both).

    All integers are little-endian. Shapes are those of the internal layout (K, R, S, C).

    Parameters
    ----------
    state : the training.
    full : also enter, in this order, the text ``state`` and a zero byte, momentum (int32,
        exponent -30) and second moments (int64, exponent -56) in the encoding above, the histories
        as JSON (keys sorted, no spaces, UTF-8, one zero byte) and the step as uint64.

    Raises
    ------
    ArgumentError
        If an array has another element type than the one above, or a name is used twice.
    """
    digest = hashlib.sha256()
    twice = sorted(state.masters.keys() & state.running.keys())
    if twice:
        raise ArgumentError(f"{twice[0]}: both a parameter and a running statistic")
    canonical: dict[str, tuple[NDArray[Any], int]] = {}
    for name, weights in state.masters.items():
        canonical[name] = (_expect(name, weights, np.int32), MASTER_EXPONENT)
    for name, statistic in state.running.items():
        canonical[name] = (_expect(name, statistic, np.int64), RUNNING_EXPONENT)
    _enter(digest, canonical)
    if full:
        digest.update(b"state\0")
        _enter(
            digest,
            {
                name: (_expect(name, values, np.int32), MOMENTUM_EXPONENT)
                for name, values in state.momentum.items()
            },
        )
        _enter(
            digest,
            {
                name: (_expect(name, moments, np.int64), SECOND_MOMENT_EXPONENT)
                for name, moments in state.extra.items()
            },
        )
        histories = json.dumps(state.histories, sort_keys=True, separators=(",", ":"))
        digest.update(histories.encode() + b"\0")
        digest.update(state.step.to_bytes(8, "little"))
    return digest.hexdigest()


def _expect(name: str, array: NDArray[Any], dtype: type) -> NDArray[Any]:
    if array.dtype != dtype:
        raise ArgumentError(f"{name}: expected {np.dtype(dtype)} elements, got {array.dtype}")
    return array


def _enter(digest: "hashlib._Hash", arrays: Mapping[str, tuple[NDArray[Any], int]]) -> None:
    """Add named arrays to the hash in name order."""
    for name in sorted(arrays):
        array, exponent = arrays[name]
        digest.update(name.encode() + b"\0")
        digest.update(array.ndim.to_bytes(4, "little"))
        for size in array.shape:
            digest.update(size.to_bytes(8, "little"))
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        digest.update(little.reshape(-1).data)
        digest.update(exponent.to_bytes(4, "little", signed=True))
