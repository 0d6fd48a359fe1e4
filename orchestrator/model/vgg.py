"""VGG-11, -13, -16 and -19, with and without batch norm.

Module names and numbers are torchvision's ('features.0', 'classifier.3'), all layers counted.

References
----------
Simonyan, Zisserman: "Very deep convolutional networks for large-scale image recognition", ICLR
2015, table 1 (configurations A, B, D, E). Batch norm after each convolution and the initial weights
(He-normal by fan_out, classifier sd 0.01) as in torchvision's source.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from orchestrator.errors import ConfigError
from orchestrator.model.distributions import HeNormal, Normal
from orchestrator.model.graph import Graph, build_graph
from orchestrator.model.layers import (
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Input,
    MaxPool2D,
    ReLU,
    Tensor,
)
from orchestrator.model.resnet import NormOptions

CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Depth: convolutions of each of the five stages; a stage ends in a 2x2 pool."""

_WIDTHS = (64, 128, 256, 512, 512)
_HIDDEN = 4096
_DENSE = Normal(Fraction(1, 100))
_SMALLEST = 32


def vgg(
    depth: int,
    image: Sequence[int],
    classes: int,
    *,
    norm: NormOptions | None,
    dropout: Fraction = Fraction(1, 2),
) -> Graph:
    """Return VGG-`depth` (11, 13, 16 or 19) for images of shape `image` (H, W, C).

    The classifier is built for the feature map the image gives: 7 x 7 at 224, as published.
    torchvision would resample other maps to 7 x 7 instead.

    Parameters
    ----------
    depth
        11, 13, 16 or 19.
    image
        (H, W, C), H and W at least 32.
    classes
        Number of outputs.
    norm
        Batch norm after every convolution; None for none.
    dropout
        Rate after the two hidden dense layers; 0 leaves the layers out and keeps the numbering.

    Raises
    ------
    ConfigError
        If the image is smaller than 32 x 32.
    """
    if min(image[:2]) < _SMALLEST:
        raise ConfigError(
            f"model.image_size: vgg{depth} needs images of at least {_SMALLEST}x{_SMALLEST}, "
            f"got {image[0]}x{image[1]}"
        )
    inputs = Input(image)
    x = inputs
    number = 0
    for width, count in zip(_WIDTHS, CONVOLUTIONS[depth], strict=True):
        for _ in range(count):
            x, number = _conv(x, width, number, norm)
        x = MaxPool2D(2, 2, name=f"features.{number}")(x)
        number += 1
    x = Flatten(name="flatten")(x)
    for number in (0, 3):
        x = Dense(_HIDDEN, initial=_DENSE, name=f"classifier.{number}")(x)
        x = ReLU(name=f"classifier.{number + 1}")(x)
        if dropout:
            x = Dropout(dropout, name=f"classifier.{number + 2}")(x)
    return build_graph(inputs, Dense(classes, initial=_DENSE, name="classifier.6")(x))


def _conv(x: Tensor, width: int, number: int, norm: NormOptions | None) -> tuple[Tensor, int]:
    """Convolution, batch norm if wanted and ReLU, from `number` on, and the next free number."""
    initial = HeNormal("fan_out")
    x = Conv2D(width, 3, padding=1, initial=initial, name=f"features.{number}")(x)
    if norm is not None:
        number += 1
        x = BatchNorm(norm.momentum, norm.epsilon, name=f"features.{number}")(x)
    return ReLU(name=f"features.{number + 1}")(x), number + 2
