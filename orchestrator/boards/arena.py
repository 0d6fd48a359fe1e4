"""Buffers that are used again: fresh memory costs a page fault every 4 KiB, a kept one none."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Arena:
    """Hands out arrays and takes them back for the next request of the same size."""

    def __init__(self) -> None:
        self._free: dict[int, list[NDArray[np.uint8]]] = {}
        self._out: dict[int, NDArray[np.uint8]] = {}

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an array with unspecified contents."""
        n_bytes = prod(shape) * dtype.itemsize
        free = self._free.get(n_bytes)
        raw = free.pop() if free else np.empty(n_bytes, np.uint8)
        self._out[id(raw)] = raw
        return np.ndarray(shape, dtype, raw)

    def give(self, array: NDArray[Any]) -> None:
        """Take back an array, or any view of it; nobody may use it after."""
        # NumPy lets every view of a view refer to the one array that owns the memory.
        raw = self._out.pop(id(array.base))
        self._free.setdefault(raw.nbytes, []).append(raw)

    def give_all(self) -> None:
        """Take back everything that is out: a pass was given up half-way."""
        for raw in self._out.values():
            self._free.setdefault(raw.nbytes, []).append(raw)
        self._out.clear()
