"""AlexNet against torchvision's size, numbering, and image sizes."""

from fractions import Fraction

import pytest

from orchestrator.errors import ConfigError
from orchestrator.model.alexnet import alexnet
from orchestrator.model.layers import Conv2D, Dense, Dropout, MaxPool2D


def test_size_is_torchvisions() -> None:
    graph = alexnet((224, 224, 3), 1000)
    assert graph.parameter_count == 61_100_840
    assert round(graph.macs / 1e9, 3) == 0.714
    assert graph.node("features.12").shape == (6, 6, 256)


def test_numbering_is_torchvisions() -> None:
    nodes = alexnet((224, 224, 3), 1000).nodes
    names = {
        kind: [node.name for node in nodes if isinstance(node.layer, kind)]
        for kind in (Conv2D, MaxPool2D, Dense, Dropout)
    }
    assert names[Conv2D] == [f"features.{k}" for k in (0, 3, 6, 8, 10)]
    assert names[MaxPool2D] == [f"features.{k}" for k in (2, 5, 12)]
    assert names[Dense] == [f"classifier.{k}" for k in (1, 4, 6)]
    assert names[Dropout] == ["classifier.0", "classifier.3"]


def test_the_classifier_fits_the_image() -> None:
    assert alexnet((64, 64, 3), 10).node("flatten").shape == (256,)
    assert alexnet((63, 63, 3), 10, dropout=Fraction(0)).node("flatten").shape == (256,)
    with pytest.raises(ConfigError, match="alexnet needs images of at least 63x63, got 62x63"):
        alexnet((62, 63, 3), 10)
