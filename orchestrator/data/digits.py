"""The built-in data set: 1,797 handwritten digits of 8x8 pixels that come with scikit-learn."""

from typing import Literal

import numpy as np

from orchestrator.data.base import Encoded, Pixels
from orchestrator.errors import MissingToolError

TEST_EVERY = 5


class Digits:
    """Handwritten digits, pixels uint8 [8, 8, 1].

    Every fifth image of each digit, in scikit-learn's order, belongs to the test split: 1,442
    images train, 355 test. (Every fifth of all would be uneven: parts of that order run 0, 1, ... 9
    again and again.) Grey levels 0..16 become ``15 * level``.
    """

    classes: tuple[str, ...] = tuple("0123456789")

    def __init__(self, split: Literal["train", "eval"]) -> None:
        try:
            from sklearn.datasets import load_digits
        except ImportError as cause:
            raise MissingToolError(
                "data.source: digits needs scikit-learn: pip install scikit-learn"
            ) from cause
        bunch = load_digits()
        is_test = np.zeros(len(bunch.target), np.bool_)
        for digit in range(len(self.classes)):
            is_test[np.flatnonzero(bunch.target == digit)[TEST_EVERY - 1 :: TEST_EVERY]] = True
        chosen = np.flatnonzero(is_test if split == "eval" else ~is_test)
        levels = bunch.images.astype(np.int64)[chosen]
        self._pixels: Pixels = np.clip(15 * levels, 0, 255).astype(np.uint8)[..., None]
        self._labels = bunch.target[chosen].astype(np.int64)
        self._numbers = chosen

    def __len__(self) -> int:
        return len(self._labels)

    def name(self, index: int) -> str:
        """Return "digits/" and the number in scikit-learn's order."""
        return f"digits/{self._numbers[index]}"

    def read(self, index: int) -> Encoded:
        """Return one digit."""
        return Encoded(self._pixels[index], int(self._labels[index]), self.name(index))
