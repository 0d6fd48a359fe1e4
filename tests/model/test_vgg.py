"""VGG against its published sizes, torchvision's numbering, and image sizes."""

from fractions import Fraction

import pytest

from orchestrator.errors import ConfigError
from orchestrator.model.layers import BatchNorm, Conv2D, Dense, Dropout
from orchestrator.model.resnet import NormOptions
from orchestrator.model.vgg import vgg

IMAGENET = (224, 224, 3)


@pytest.mark.parametrize(
    ("depth", "plain", "with_norm"),
    [
        (11, 132_863_336, 132_868_840),
        (13, 133_047_848, 133_053_736),
        (16, 138_357_544, 138_365_992),
        (19, 143_667_240, 143_678_248),
    ],
)
def test_sizes_are_torchvisions(depth: int, plain: int, with_norm: int) -> None:
    assert vgg(depth, IMAGENET, 1000, norm=None).parameter_count == plain
    assert vgg(depth, IMAGENET, 1000, norm=NormOptions()).parameter_count == with_norm


def test_macs_of_vgg16() -> None:
    assert round(vgg(16, IMAGENET, 1000, norm=None).macs / 1e9, 2) == 15.47


def test_numbering_is_torchvisions() -> None:
    names = {
        kind: [n.name for n in vgg(11, IMAGENET, 10, norm=None).nodes if isinstance(n.layer, kind)]
        for kind in (Conv2D, Dense, Dropout)
    }
    assert names[Conv2D] == [f"features.{k}" for k in (0, 3, 6, 8, 11, 13, 16, 18)]
    assert names[Dense] == ["classifier.0", "classifier.3", "classifier.6"]
    assert names[Dropout] == ["classifier.2", "classifier.5"]
    nodes = vgg(11, IMAGENET, 10, norm=NormOptions()).nodes
    norms = [n.name for n in nodes if isinstance(n.layer, BatchNorm)]
    assert norms == [f"features.{k}" for k in (1, 5, 9, 12, 16, 19, 23, 26)]


def test_without_dropout_the_numbers_stay() -> None:
    graph = vgg(11, (32, 32, 3), 10, norm=None, dropout=Fraction(0))
    assert graph.output == "classifier.6"
    assert not any(isinstance(node.layer, Dropout) for node in graph.nodes)


def test_the_classifier_fits_the_image() -> None:
    graph = vgg(16, (64, 96, 3), 10, norm=None)
    assert graph.node("flatten").shape == (2 * 3 * 512,)
    assert vgg(16, (32, 32, 1), 10, norm=None).node("flatten").shape == (512,)
    with pytest.raises(ConfigError, match="vgg16 needs images of at least 32x32, got 32x31"):
        vgg(16, (32, 31, 3), 10, norm=None)
