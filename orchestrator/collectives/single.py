"""The exchange of one rank with itself: every sum is the buffer."""

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray


class SingleCollective:
    """One rank. Needs no MPI; see `Collective` for the methods."""

    def __init__(self) -> None:
        self.rank = 0
        self.size = 1
        self.stage = ""

    def allocate(self, n: int) -> NDArray[np.int32]:
        """Return n zeros."""
        return np.zeros(n, np.int32)

    def sum_int32(self, buffer: NDArray[np.int32]) -> None:
        """Leave the buffer as it is."""

    def sum_int64(self, buffer: NDArray[np.int64]) -> None:
        """Leave the buffer as it is."""

    def max_int32(self, buffer: NDArray[np.int32]) -> None:
        """Leave the buffer as it is."""

    def broadcast(self, buffer: NDArray[Any], root: int = 0) -> None:
        """Leave the buffer as it is."""

    def barrier(self) -> None:
        """Return at once."""

    def abort(self, code: int) -> NoReturn:
        """End the process."""
        raise SystemExit(code)

    def close(self) -> None:
        """Do nothing."""
