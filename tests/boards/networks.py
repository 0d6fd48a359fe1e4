"""Small networks that together hold every pattern a replica executes."""

from collections.abc import Callable
from fractions import Fraction

from orchestrator.model.graph import Graph, build_graph
from orchestrator.model.layers import (
    Add,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Input,
    MaxPool2D,
    ReLU,
)
from orchestrator.model.symbolic import Tensor

CLASSES = 5


def norm_relu(x: Tensor) -> Tensor:
    return ReLU()(BatchNorm()(x))


def residual() -> Graph:
    """Stem with a max pool, identity and projection shortcuts, a bottleneck."""
    image = Input((15, 13, 3))
    x = norm_relu(Conv2D(6, 5, stride=2, padding=2, bias=False)(image))
    x = MaxPool2D(3, 2, 1)(x)
    y = BatchNorm()(Conv2D(6, 3, padding=1, bias=False)(norm_relu(Conv2D(6, 1, bias=False)(x))))
    x = ReLU()(Add()(y, x))
    y = norm_relu(Conv2D(4, 1, bias=False)(x))
    y = norm_relu(Conv2D(4, 3, stride=2, padding=1, bias=False)(y))
    y = BatchNorm()(Conv2D(9, 1, bias=False)(y))
    x = ReLU()(Add()(BatchNorm()(Conv2D(9, 1, stride=2, bias=False)(x)), y))
    return build_graph(image, Dense(CLASSES)(GlobalAvgPool()(x)))


def plain(rate: Fraction = Fraction(3, 10)) -> Graph:
    """Biases instead of batch norms, overlapping pools, dropout, flatten."""
    image = Input((12, 12, 2))
    x = ReLU()(Conv2D(5, 3, padding=1)(image))
    x = AvgPool2D(3, 2, 1)(x)
    x = MaxPool2D(2, 2)(ReLU()(Conv2D(7, 3, stride=1, padding=1)(x)))
    x = Dropout(rate)(ReLU()(Dense(11)(Flatten()(x))))
    return build_graph(image, Dense(CLASSES)(x))


def linear_values() -> Graph:
    """Sums without ReLU that are used as activations, twice or by a pool."""
    image = Input((6, 6, 3))
    x = BatchNorm()(Conv2D(4, 3, padding=1, bias=False)(image))
    y = BatchNorm()(Conv2D(4, 3, padding=1, bias=False)(x))
    x = Add()(y, x)
    x = Conv2D(4, 2, stride=2)(MaxPool2D(2, 1)(x))
    return build_graph(image, Dense(CLASSES)(Flatten()(x)))


def fan_out() -> Graph:
    """One activation read by three consumers."""
    image = Input((8, 8, 3))
    x = norm_relu(Conv2D(4, 3, padding=1, bias=False)(image))
    y = norm_relu(Conv2D(4, 3, padding=1, bias=False)(x))
    y = ReLU()(Add()(BatchNorm()(Conv2D(4, 1, bias=False)(y)), x))
    z = ReLU()(Add()(BatchNorm()(Conv2D(4, 1, bias=False)(x)), y))
    return build_graph(image, Dense(CLASSES)(GlobalAvgPool()(z)))


NETWORKS: dict[str, Callable[[], Graph]] = {
    "residual": residual,
    "plain": plain,
    "linear values": linear_values,
    "fan out": fan_out,
}
