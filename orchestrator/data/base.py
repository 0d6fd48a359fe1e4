"""What every data source gives: samples by index, their labels, the names of the classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Encoded:
    """One sample as its source stores it.

    Parameters
    ----------
    content
        A JPEG file's bytes, or pixels uint8 [height, width, channels].
    label
        Class index, 0 to number of classes - 1.
    name
        What a message calls this sample: its file, or shard and key.
    """

    content: bytes | Pixels
    label: int
    name: str


class Dataset(Protocol):
    """One split of a data set. ``read`` may be called from several threads at once."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; the index in this tuple is the label."""
        ...

    def __len__(self) -> int:
        """Return the number of samples."""
        ...

    def name(self, index: int) -> str:
        """Return what messages call sample ``index``, without reading it."""
        ...

    def read(self, index: int) -> Encoded:
        """Return sample ``index``, 0 to ``len() - 1``; raise DataError with its name."""
        ...


class Subset:
    """A data set limited to ``count`` samples, spread evenly over all of it.

    Taking the first samples would leave out whole classes of an image folder, which is sorted by
    class.
    """

    def __init__(self, whole: Dataset, count: int) -> None:
        self._whole = whole
        self._count = count

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names of the whole data set."""
        return self._whole.classes

    def __len__(self) -> int:
        return self._count

    def _index(self, index: int) -> int:
        return index * len(self._whole) // self._count

    def name(self, index: int) -> str:
        """Return the name of the ``index``-th chosen sample."""
        return self._whole.name(self._index(index))

    def read(self, index: int) -> Encoded:
        """Read the ``index``-th chosen sample."""
        return self._whole.read(self._index(index))


def class_labels(names: Sequence[str]) -> dict[str, int]:
    """Return the label of each class name: its place in the given order."""
    return {name: label for label, name in enumerate(names)}
