import numpy as np
import pytest

from orchestrator.data.digits import Digits
from orchestrator.keras import (
    Add,
    BatchNorm,
    Conv2D,
    Dense,
    GlobalAvgPool,
    Input,
    MaxPool2D,
    Model,
    ReLU,
    Sequential,
)

NORMAL = {"mean": "0.287", "std": "0.354"}


def arrays(split, count):
    data = Digits(split)
    samples = [data.read(i) for i in range(count)]
    images = np.stack([sample.content for sample in samples])
    return images, np.array([sample.label for sample in samples])


@pytest.fixture(scope="session")
def digits():
    """256 training and 64 evaluation digits: (x, y), (x, y)."""
    return arrays("train", 256), arrays("eval", 64)


@pytest.fixture(scope="session")
def chain():
    """Builds a small chain, with and without batch norm."""

    def build(**options):
        layers = [
            Input((8, 8, 1)),
            Conv2D(8, 3, padding=1, bias=False),
            BatchNorm(),
            ReLU(),
            MaxPool2D(2, 2),
            Conv2D(8, 3),
            ReLU(),
            GlobalAvgPool(),
            Dense(10),
        ]
        return Sequential(layers, **{**NORMAL, **options})

    return build


@pytest.fixture(scope="session")
def residual():
    """Builds a network of one residual block."""

    def build(**options):
        inputs = Input((8, 8, 1))
        x = ReLU()(BatchNorm()(Conv2D(8, 3, stride=2, padding=1, bias=False)(inputs)))
        y = BatchNorm()(Conv2D(8, 3, padding=1, bias=False)(x))
        y = ReLU()(Add()(y, x))
        return Model(inputs, Dense(10)(GlobalAvgPool()(y)), **{**NORMAL, **options})

    return build
