"""Buffers: what is given back is used again, whatever view of it comes back."""

import numpy as np

from orchestrator.boards.arena import Arena

INT16, UINT8 = np.dtype(np.int16), np.dtype(np.uint8)


def same_memory(a: np.ndarray, b: np.ndarray) -> bool:
    return a.ctypes.data == b.ctypes.data


def test_a_buffer_given_back_serves_any_shape_and_type_of_its_size() -> None:
    arena = Arena()
    first, other = arena.take((2, 3, 4), INT16), arena.take((2, 3, 4), INT16)
    assert first.shape == (2, 3, 4) and first.dtype == INT16 and first.flags.writeable
    assert not same_memory(first, other)
    arena.give(first.reshape(6, 4).reshape(-1, 2, 4))
    assert same_memory(arena.take((48,), UINT8), first)
    assert not same_memory(arena.take((48,), UINT8), first)


def test_everything_out_comes_back_at_once() -> None:
    arena = Arena()
    taken = [arena.take((8,), INT16) for _ in range(3)]
    arena.give_all()
    again = [arena.take((8,), INT16) for _ in range(3)]
    assert {a.ctypes.data for a in again} == {a.ctypes.data for a in taken}
