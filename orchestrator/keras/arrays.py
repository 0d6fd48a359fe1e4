"""Images and labels given as arrays: checked once, then a data set like any other."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.data import Encoded
from orchestrator.errors import ArgumentError

Shape = tuple[int, ...]


class ArrayDataset:
    """Checked arrays as one split of a data set.

    Parameters
    ----------
    images : uint8 [n, h, w, c].
    labels : int32 [n].
    classes : number of classes; their names are their numbers.
    """

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.int32], classes: int) -> None:
        self.images = images
        self._labels = labels
        self.classes: tuple[str, ...] = tuple(str(label) for label in range(classes))

    @classmethod
    def empty(cls, shape: Shape, classes: int) -> "ArrayDataset":
        """Return a split without images, which is not evaluated."""
        return cls(np.empty((0, *shape), np.uint8), np.empty(0, np.int32), classes)

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        """Return "x" and the index."""
        return f"x[{index}]"

    def read(self, index: int) -> Encoded:
        """Return one image."""
        return Encoded(self.images[index], int(self._labels[index]), self.name(index))


def check_images(call: str, x: Any, shape: Shape) -> NDArray[np.uint8]:
    """Return images as a contiguous array.

    Parameters
    ----------
    call : what messages begin with, such as "fit".
    x : uint8 [n, h, w, c].
    shape : (h, w, c) of the network's input.

    Raises
    ------
    ArgumentError
        If the elements or the shape are others, or there is no image.
    """
    images = np.asarray(x)
    if images.dtype != np.uint8:
        raise ArgumentError(
            f"{call}: x holds {images.dtype} elements; give pixels as uint8, 0 to 255 "
            "(the model normalises them with its mean and std)"
        )
    if images.shape[1:] != shape:
        raise ArgumentError(
            f"{call}: x has shape {images.shape}, the network takes "
            f"(n, {', '.join(str(size) for size in shape)})"
        )
    if not len(images):
        raise ArgumentError(f"{call}: x holds no image")
    return np.ascontiguousarray(images)


def check_labels(call: str, y: Any, images: int, classes: int) -> NDArray[np.int32]:
    """Return labels as int32 [images].

    Raises
    ------
    ArgumentError
        If they are no integers, not one an image, or outside 0 .. classes - 1.
    """
    labels = np.asarray(y)
    if labels.dtype.kind not in "iu":
        raise ArgumentError(
            f"{call}: y holds {labels.dtype} elements; give class numbers as integers"
        )
    if labels.shape != (images,):
        raise ArgumentError(
            f"{call}: y has shape {labels.shape}, x holds {images} images; give one class number "
            "an image (no one-hot vectors)"
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        wrong = low if low < 0 else high
        raise ArgumentError(
            f"{call}: y holds {wrong}; the network has {classes} outputs, "
            f"labels are 0 to {classes - 1}"
        )
    return labels.astype(np.int32)
