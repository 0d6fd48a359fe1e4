"""Networks by name, from a configuration."""

from fractions import Fraction
from math import prod

import pytest

from orchestrator.config.model import ModelConfig
from orchestrator.errors import ConfigError
from orchestrator.model.layers import BatchNorm, Dropout
from orchestrator.model.zoo import NETWORKS, build_network


@pytest.mark.parametrize("name", NETWORKS)
def test_every_name_builds_and_is_deterministic(name: str) -> None:
    model = ModelConfig(name=name, image_size=64)
    graph = build_network(model, 7)
    assert graph.input_shape == (64, 64, 3)
    assert graph.output_shape == (7,)
    assert graph == build_network(model, 7)
    assert graph.parameter_count == sum(prod(p.shape) for p in graph.parameters)


def test_the_options_reach_the_network() -> None:
    norm = build_network(
        ModelConfig(
            name="resnet8", image_size=32, bn_momentum=Fraction(1, 5), bn_epsilon=Fraction(1, 1000)
        ),
        10,
    )
    layer = norm.node("bn1").layer
    assert isinstance(layer, BatchNorm)
    assert (layer.momentum, layer.epsilon) == (Fraction(1, 5), Fraction(1, 1000))
    vgg = build_network(
        ModelConfig(
            name="vgg11", image_size=32, channels=1, batch_norm=False, dropout=Fraction(1, 4)
        ),
        10,
    )
    assert not vgg.buffers
    assert [n.layer.rate for n in vgg.nodes if isinstance(n.layer, Dropout)] == [Fraction(1, 4)] * 2
    mlp = build_network(ModelConfig(name="mlp", image_size=8, channels=1, hidden=(32,)), 10)
    assert mlp.node("fc1").shape == (32,)


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="model.name: there is no network 'resnet51'; .*resnet50"):
        build_network(ModelConfig(name="resnet51", image_size=224), 10)


def test_image_sizes_that_do_not_suit_the_network_are_refused() -> None:
    with pytest.raises(ConfigError, match="alexnet needs images of at least 63x63"):
        build_network(ModelConfig(name="alexnet", image_size=32), 10)
    with pytest.raises(ConfigError, match="model: mlp cannot be built: .*'fc1': sums"):
        build_network(ModelConfig(name="mlp", image_size=512), 10)
