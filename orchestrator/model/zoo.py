"""The networks a configuration can name."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.config.model import ModelConfig
from orchestrator.errors import ArgumentError, ConfigError
from orchestrator.model.alexnet import alexnet
from orchestrator.model.graph import Graph
from orchestrator.model.mlp import mlp
from orchestrator.model.resnet import (
    IMAGENET_DEPTHS,
    NormOptions,
    cifar_resnet,
    digits_resnet,
    imagenet_resnet,
)
from orchestrator.model.vgg import CONVOLUTIONS, vgg

Builder = Callable[[ModelConfig, int], Graph]


def _image(model: ModelConfig) -> tuple[int, int, int]:
    return model.image_size, model.image_size, model.channels


def _norm(model: ModelConfig) -> NormOptions:
    return NormOptions(
        momentum=model.bn_momentum,
        epsilon=model.bn_epsilon,
        zero_last_gamma=model.zero_init_last_gamma,
    )


def _imagenet(depth: int) -> Builder:
    return lambda model, classes: imagenet_resnet(depth, _image(model), classes, _norm(model))


def _cifar(depth: int, bottleneck: bool) -> Builder:
    return lambda model, classes: cifar_resnet(
        depth, _image(model), classes, _norm(model), bottleneck=bottleneck
    )


def _vgg(depth: int) -> Builder:
    return lambda model, classes: vgg(
        depth,
        _image(model),
        classes,
        norm=_norm(model) if model.batch_norm else None,
        dropout=model.dropout,
    )


_BUILDERS: dict[str, Builder] = {
    **{f"resnet{depth}": _imagenet(depth) for depth in IMAGENET_DEPTHS},
    **{f"resnet{depth}": _cifar(depth, False) for depth in (8, 20, 32, 44, 56)},
    "resnet29_bottleneck": _cifar(29, True),
    **{f"vgg{depth}": _vgg(depth) for depth in CONVOLUTIONS},
    "alexnet": lambda model, classes: alexnet(_image(model), classes, dropout=model.dropout),
    "mlp": lambda model, classes: mlp(_image(model), classes, model.hidden),
    "digits_resnet": lambda model, classes: digits_resnet(_image(model), classes, _norm(model)),
}

NETWORKS: tuple[str, ...] = tuple(_BUILDERS)
"""Names that `model.name` may have."""


def build_network(model: ModelConfig, classes: int) -> Graph:
    """Return the network `model.name` for `classes` classes.

    Raises
    ------
    ConfigError
        If the name is unknown, or the image size does not suit the network.
    """
    if model.name not in _BUILDERS:
        raise ConfigError(
            f"model.name: there is no network {model.name!r}; known are {', '.join(NETWORKS)}"
        )
    try:
        return _BUILDERS[model.name](model, classes)
    except ArgumentError as error:
        raise ConfigError(f"model: {model.name} cannot be built: {error}") from None
