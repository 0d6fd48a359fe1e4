"""AlexNet in one tower, without local response normalisation.

This is torchvision's variant, with its module names: the two-GPU split of the original is joined
into one tower with fewer channels, and local response normalisation is left out.

References
----------
Krizhevsky: "One weird trick for parallelizing convolutional neural networks", 2014, footnote 1
(single tower); Krizhevsky, Sutskever, Hinton, NIPS 2012 (the original).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from orchestrator.errors import ConfigError
from orchestrator.model.distributions import Normal
from orchestrator.model.graph import Graph, build_graph
from orchestrator.model.layers import Conv2D, Dense, Dropout, Flatten, Input, MaxPool2D, ReLU

_CONVOLUTIONS = (
    (0, 64, 11, 4, 2),
    (3, 192, 5, 1, 2),
    (6, 384, 3, 1, 1),
    (8, 256, 3, 1, 1),
    (10, 256, 3, 1, 1),
)
"""Number in 'features', filters, kernel, stride, padding."""

_POOLED = (0, 3, 10)
_HIDDEN = 4096
_SMALLEST = 63


def alexnet(image: Sequence[int], classes: int, *, dropout: Fraction = Fraction(1, 2)) -> Graph:
    """Return AlexNet for images of shape `image` (H, W, C).

    The classifier is built for the feature map the image gives: 6 x 6 at 224, as published.
    torchvision would resample other maps to 6 x 6 instead. Initial weights are He-normal by fan_in,
    those of the last layer normal with sd 0.01.

    Parameters
    ----------
    image
        (H, W, C), H and W at least 63.
    classes
        Number of outputs.
    dropout
        Rate before the two hidden dense layers; 0 leaves the layers out and keeps the numbering.

    Raises
    ------
    ConfigError
        If the image is smaller than 63 x 63.
    """
    if min(image[:2]) < _SMALLEST:
        raise ConfigError(
            f"model.image_size: alexnet needs images of at least {_SMALLEST}x{_SMALLEST}, "
            f"got {image[0]}x{image[1]}"
        )
    inputs = x = Input(image)
    for number, filters, kernel, stride, padding in _CONVOLUTIONS:
        x = Conv2D(filters, kernel, stride, padding, name=f"features.{number}")(x)
        x = ReLU(name=f"features.{number + 1}")(x)
        if number in _POOLED:
            x = MaxPool2D(3, 2, name=f"features.{number + 2}")(x)
    x = Flatten(name="flatten")(x)
    for number in (0, 3):
        if dropout:
            x = Dropout(dropout, name=f"classifier.{number}")(x)
        x = Dense(_HIDDEN, name=f"classifier.{number + 1}")(x)
        x = ReLU(name=f"classifier.{number + 2}")(x)
    last = Dense(classes, initial=Normal(Fraction(1, 100)), name="classifier.6")
    return build_graph(inputs, last(x))
