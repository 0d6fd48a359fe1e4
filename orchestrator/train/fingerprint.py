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
    twice = sorted(state.masters.keys() & state.running.keys())
    if twice:
        raise ArgumentError(f"{twice[0]}: both a parameter and a running statistic")
    digest = hashlib.sha256()
    masters = _expect(state.masters, np.int32, MASTER_EXPONENT)
    _enter(digest, masters | _expect(state.running, np.int64, RUNNING_EXPONENT))
    if full:
        digest.update(b"state\0")
        _enter(digest, _expect(state.momentum, np.int32, MOMENTUM_EXPONENT))
        _enter(digest, _expect(state.extra, np.int64, SECOND_MOMENT_EXPONENT))
        histories = json.dumps(state.histories, sort_keys=True, separators=(",", ":"))
        digest.update(histories.encode() + b"\0")
        digest.update(state.step.to_bytes(8, "little"))
    return digest.hexdigest()


_Entry = tuple[NDArray[Any], int]


def _expect(
    arrays: Mapping[str, NDArray[Any]], dtype: type[np.signedinteger[Any]], exponent: int
) -> dict[str, _Entry]:
    """Return arrays of the expected element type, each with its exponent."""
    for name, array in arrays.items():
        if array.dtype != dtype:
            raise ArgumentError(f"{name}: expected {np.dtype(dtype)} elements, got {array.dtype}")
    return {name: (array, exponent) for name, array in arrays.items()}


def _enter(digest: "hashlib._Hash", arrays: Mapping[str, _Entry]) -> None:
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
