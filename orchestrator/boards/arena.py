"""Buffers that are used again: fresh memory costs a page fault every 4 KiB, a kept one none."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Arena:
    """Hands out arrays and takes them back for the next request of the same size."""

    def __init__(self) -> None:
        self._free: dict[int, list[NDArray[np.uint8]]] = {}
        self._raw: dict[int, NDArray[np.uint8]] = {}

    def take(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return an array with unspecified contents."""
        n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        free = self._free.get(n_bytes)
        raw = free.pop() if free else np.empty(n_bytes, np.uint8)
        array = raw.view(dtype).reshape(shape)
        self._raw[array.__array_interface__["data"][0]] = raw
        return array

    def give(self, array: NDArray[Any]) -> None:
        """Take back an array (or any view that starts where it starts); nobody may use it after."""
        raw = self._raw.pop(array.__array_interface__["data"][0])
        self._free.setdefault(raw.nbytes, []).append(raw)

    def give_all(self) -> None:
        """Take back everything that is out: a pass was given up half-way."""
        for raw in self._raw.values():
            self._free.setdefault(raw.nbytes, []).append(raw)
        self._raw.clear()
