"""How tensors lie in a board's memory, beside how they lie on the host.

On the host a tensor is [n, h, w, c]; on a board it is [n][chunk][h][w][32], the channels of the
last chunk padded with zeros.
"""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from orchestrator.virtual.tasks_element import CHUNK

Number = TypeVar("Number", bound=np.generic)


def chunks_of(channels: int) -> int:
    """Return how many chunks hold some channels."""
    return -(-channels // CHUNK)


def to_board(x: NDArray[Number]) -> NDArray[Number]:
    """Return [n, h, w, c] as [n, chunk, h, w, 32]."""
    n, h, w, c = x.shape
    padded = np.zeros((n, h, w, chunks_of(c) * CHUNK), x.dtype)
    padded[..., :c] = x
    split = padded.reshape(n, h, w, chunks_of(c), CHUNK)
    return np.ascontiguousarray(split.transpose(0, 3, 1, 2, 4))


def from_board(x: NDArray[Number], channels: int) -> NDArray[Number]:
    """Return [n, chunk, h, w, 32] as [n, h, w, channels]."""
    n, chunks, h, w, _ = x.shape
    joined = x.transpose(0, 2, 3, 1, 4).reshape(n, h, w, chunks * CHUNK)
    return np.ascontiguousarray(joined[..., :channels])


def channel_table(*columns: NDArray[Any]) -> NDArray[np.int32]:
    """Return arrays of one value per channel as int32 [chunk, array, 32], padded with zeros."""
    table = np.zeros((chunks_of(columns[0].size), len(columns), CHUNK), np.int32)
    for i, column in enumerate(columns):
        padded = np.zeros(table.shape[0] * CHUNK, np.int32)
        padded[: column.size] = column
        table[:, i] = padded.reshape(-1, CHUNK)
    return table
