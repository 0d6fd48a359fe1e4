import copy
import hashlib

import numpy as np
import pytest

from orchestrator.errors import ArgumentError
from orchestrator.train.fingerprint import fingerprint
from orchestrator.train.state import TrainState


def tiny() -> TrainState:
    return TrainState(
        network="mlp",
        masters={"fc.weight": np.array([[1, -2]], np.int32)},
        momentum={"fc.weight": np.array([[3, 4]], np.int32)},
        running={"bn.running_mean": np.array([5], np.int64)},
        histories={"y:fc": [1, None]},
        step=6,
    )


def test_encoding_is_the_documented_one() -> None:
    plain = (
        b"bn.running_mean\0"
        + bytes([1, 0, 0, 0])
        + (1).to_bytes(8, "little")
        + (5).to_bytes(8, "little")
        + (-28).to_bytes(4, "little", signed=True)
        + b"fc.weight\0"
        + bytes([2, 0, 0, 0])
        + (1).to_bytes(8, "little")
        + (2).to_bytes(8, "little")
        + bytes([1, 0, 0, 0, 254, 255, 255, 255])
        + (-28).to_bytes(4, "little", signed=True)
    )
    more = (
        b"state\0fc.weight\0"
        + bytes([2, 0, 0, 0])
        + (1).to_bytes(8, "little")
        + (2).to_bytes(8, "little")
        + bytes([3, 0, 0, 0, 4, 0, 0, 0])
        + (-30).to_bytes(4, "little", signed=True)
        + b'{"y:fc":[1,null]}\0'
        + (6).to_bytes(8, "little")
    )
    assert fingerprint(tiny()) == hashlib.sha256(plain).hexdigest()
    assert fingerprint(tiny(), full=True) == hashlib.sha256(plain + more).hexdigest()


def test_order_of_insertion_and_memory_layout_do_not_matter(state: TrainState) -> None:
    other = copy.deepcopy(state)
    other.masters = {
        name: np.asfortranarray(other.masters[name]) for name in reversed(other.masters)
    }
    assert fingerprint(other, full=True) == fingerprint(state, full=True)


def test_one_bit_anywhere_changes_it(state: TrainState) -> None:
    before = fingerprint(state)
    for arrays in (state.masters, state.running):
        array = next(iter(arrays.values()))
        array.reshape(-1)[-1] ^= 1
        after = fingerprint(state)
        assert after != before
        before = after


def test_momentum_histories_and_step_count_only_in_the_full_one(state: TrainState) -> None:
    plain, seen = fingerprint(state), {fingerprint(state, full=True)}
    state.momentum["fc.weight"][0, 0] ^= 1
    seen.add(fingerprint(state, full=True))
    state.histories["y:conv1"][0] = 0
    seen.add(fingerprint(state, full=True))
    state.extra["conv1.weight"].reshape(-1)[0] ^= 1
    seen.add(fingerprint(state, full=True))
    state.step += 1
    seen.add(fingerprint(state, full=True))
    assert len(seen) == 5
    assert fingerprint(state) == plain


def test_other_element_types_are_refused(state: TrainState) -> None:
    state.masters["fc.bias"] = state.masters["fc.bias"].astype(np.int64)
    with pytest.raises(ArgumentError, match=r"fc\.bias: expected int32 elements, got int64"):
        fingerprint(state)
