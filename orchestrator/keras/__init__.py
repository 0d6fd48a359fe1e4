"""Networks built, trained and used from Python, in the manner of Keras: docs/building-models.md."""

from orchestrator.keras.history import History
from orchestrator.keras.model import Model, Scores, Sequential
from orchestrator.keras.optimizers import LARS, SGD
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

__all__ = [
    "Add",
    "AvgPool2D",
    "BatchNorm",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "History",
    "Input",
    "LARS",
    "MaxPool2D",
    "Model",
    "ReLU",
    "SGD",
    "Scores",
    "Sequential",
]
