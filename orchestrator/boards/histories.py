"""Histories of bit lengths: what decides the delayed exponents, the same on every rank.

A history holds one entry a step, newest last: the largest absolute bit length a tensor had over
all ghost batches of all ranks, or None where it was all zero (numerics page, section 3).
"""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from orchestrator.dfp import (
    DELAY_STEPS,
    GRADIENT_DELAY_STEPS,
    delayed_exponent,
    extend_history,
    frozen_bits,
)
from orchestrator.errors import CheckpointError

NONE = -(2**30)
"""Stands for "no bit length" in the vector that ranks reduce by maximum."""


class Histories:
    """All histories of a replica, and the bit lengths of the step under way.

    Parameters
    ----------
    keys : names of the histories: ``y:``, ``d:``, ``a:`` and ``g:`` followed by what they describe.

    Attributes
    ----------
    current : int32 [len(keys)], the largest absolute bit length seen in this step, by key in
        sorted order; ranks reduce it by maximum before :meth:`close_step`.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self.keys = tuple(sorted(keys))
        self._index = {key: i for i, key in enumerate(self.keys)}
        self.entries: dict[str, list[int | None]] = {key: [] for key in self.keys}
        self.current: NDArray[np.int32] = np.full(len(self.keys), NONE, np.int32)
        self._exponents: dict[str, int | None] = {}

    def exponent(self, key: str) -> int | None:
        """Return the delayed exponent of a 16-bit tensor, or None without a non-zero entry."""
        # Entries change once a step, and every ghost batch asks.
        if key not in self._exponents:
            self._exponents[key] = delayed_exponent(self.entries[key])
        return self._exponents[key]

    def frozen(self, key: str) -> int:
        """Return the absolute bit length an activation is given in evaluation."""
        bits = frozen_bits(self.entries[key])
        return 0 if bits is None else bits

    def record(self, key: str, bits: int | None) -> None:
        """Note the absolute bit length of one tensor of this step."""
        if bits is not None:
            i = self._index[key]
            if bits > self.current[i]:
                self.current[i] = bits

    def discard_step(self) -> None:
        """Forget the bit lengths of the step under way."""
        self.current.fill(NONE)

    def close_step(self) -> None:
        """Move the step's (reduced) bit lengths into the histories."""
        for key, value in zip(self.keys, self.current.tolist(), strict=True):
            steps = GRADIENT_DELAY_STEPS if key.startswith("g:") else DELAY_STEPS
            bits = None if value == NONE else value
            self.entries[key] = list(extend_history(self.entries[key], bits, steps))
        self._exponents.clear()
        self.discard_step()

    def is_empty(self) -> bool:
        """Tell whether no step was ever closed."""
        return not any(self.entries.values())

    def load(self, entries: Mapping[str, list[int | None]]) -> None:
        """Replace all histories, as read from a checkpoint; none at all leaves them empty.

        Raises
        ------
        CheckpointError
            If there are some, but not one for each of the keys.
        """
        odd = sorted(set(entries) ^ set(self.keys))
        if entries and odd:
            raise CheckpointError(
                f"the checkpoint's histories of exponents are not those of the network: {odd[0]} "
                "is in only one of the two; use it with the version and network that wrote it"
            )
        self.entries = {key: list(entries.get(key, ())) for key in self.keys}
        self._exponents.clear()
        self.discard_step()
