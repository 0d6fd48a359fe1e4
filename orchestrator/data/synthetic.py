"""Images made from a seed: any size, any number of classes, learnable."""

from typing import Literal

import numpy as np

from orchestrator.data.base import Encoded, Pixels
from orchestrator.errors import DataError
from orchestrator.philox import SYNTHETIC, philox4x32

PATTERN_CELLS = 4
PATTERN = 0
NOISE = {"train": 1, "eval": 2}


def _bytes(count: int, item: int, kind: int, seed: int) -> Pixels:
    """Return ``count`` random bytes of the stream (item, kind)."""
    blocks = np.arange(-(-count // 16), dtype=np.uint32)
    words = philox4x32((blocks, item, kind, SYNTHETIC << 24), seed)
    return np.ascontiguousarray(words.astype("<u4")).view(np.uint8).reshape(-1)[:count]


class Synthetic:
    """Images of class patterns under noise.

    Sample i has label ``i mod classes``. Its pixel is ``(pattern + noise) / 2``, rounded down: the
    pattern is a grid of 4x4 random bytes for each class and channel, the noise a random byte for
    each element, different in the two splits.

    Parameters
    ----------
    split
        Which noise.
    count
        Number of samples, at least 1.
    classes
        Number of classes, at least 1.
    size
        Height and width in pixels.
    channels
        Channels of an image.
    seed
        Seed of the run; purpose 6 of the generator.
    """

    def __init__(
        self,
        split: Literal["train", "eval"],
        *,
        count: int,
        classes: int,
        size: int,
        channels: int,
        seed: int,
    ) -> None:
        if count < 1:
            raise DataError(f"synthetic data: {count} samples asked for, at least 1 is needed")
        self.classes = tuple(str(label) for label in range(classes))
        self._count = count
        self._shape = (size, size, channels)
        self._seed = seed
        self._split = split
        self._cell = np.arange(size) * PATTERN_CELLS // size

    def __len__(self) -> int:
        return self._count

    def name(self, index: int) -> str:
        """Return "synthetic/", the split and the number."""
        return f"synthetic/{self._split}/{index}"

    def read(self, index: int) -> Encoded:
        """Make one image."""
        size, _, channels = self._shape
        label = index % len(self.classes)
        grid = (PATTERN_CELLS, PATTERN_CELLS, channels)
        cells = _bytes(int(np.prod(grid)), label, PATTERN, self._seed).reshape(grid)
        pattern = cells[self._cell][:, self._cell].astype(np.uint16)
        noise = _bytes(size * size * channels, index, NOISE[self._split], self._seed)
        pixels = (pattern + noise.reshape(self._shape)) >> 1
        return Encoded(pixels.astype(np.uint8), label, self.name(index))
