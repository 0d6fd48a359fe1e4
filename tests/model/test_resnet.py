"""Residual networks against their published sizes and the shape rules of their papers."""

import pytest

from orchestrator.model.graph import Graph
from orchestrator.model.layers import BatchNorm, Conv2D
from orchestrator.model.resnet import NormOptions, cifar_resnet, digits_resnet, imagenet_resnet

IMAGENET = (224, 224, 3)
CIFAR = (32, 32, 3)


@pytest.mark.parametrize(
    ("depth", "parameters", "giga_macs"),
    [
        (18, 11_689_512, 1.81),
        (34, 21_797_672, 3.66),
        (50, 25_557_032, 4.09),
        (101, 44_549_160, 7.80),
        (152, 60_192_808, 11.51),
    ],
)
def test_imagenet_sizes_are_torchvisions(depth: int, parameters: int, giga_macs: float) -> None:
    graph = imagenet_resnet(depth, IMAGENET, 1000)
    assert graph.parameter_count == parameters
    assert round(graph.macs / 1e9, 2) == giga_macs


def test_resnet50_has_161_tensors_and_11_million_convolution_outputs() -> None:
    graph = imagenet_resnet(50, IMAGENET, 1000)
    assert len(graph.parameters) == 161
    outputs = sum(node.elements for node in graph.nodes if isinstance(node.layer, Conv2D))
    assert outputs == 11_113_984


@pytest.mark.parametrize(
    ("depth", "parameters"),
    [(8, 78_042), (20, 272_474), (32, 466_906), (44, 661_338), (56, 855_770)],
)
def test_cifar_sizes_are_those_of_the_paper_plus_the_projections(
    depth: int, parameters: int
) -> None:
    graph = cifar_resnet(depth, CIFAR, 10)
    assert graph.parameter_count == parameters
    projections = sum(
        parameter.size for parameter in graph.parameters if ".downsample." in parameter.name
    )
    assert projections == 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    # He et al., table 6, in millions: 0.27, 0.46, 0.66, 0.85 (ResNet-8 is not in it).
    table = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85}
    assert depth == 8 or round((parameters - projections) / 1e6, 2) == table[depth]


def test_bottleneck_cifar_network() -> None:
    graph = cifar_resnet(29, CIFAR, 10, bottleneck=True)
    convolutions = [node for node in graph.nodes if isinstance(node.layer, Conv2D)]
    main = [node for node in convolutions if ".downsample." not in node.name]
    assert len(main) + 1 == 29
    assert [graph.node(f"layer{stage}.2.conv3").shape for stage in (1, 2, 3)] == [
        (32, 32, 64),
        (16, 16, 128),
        (8, 8, 256),
    ]
    assert graph.parameter_count == 313_114


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_depth_counts_layers_with_weights_on_the_main_path(depth: int) -> None:
    nodes = imagenet_resnet(depth, IMAGENET, 1000).nodes
    main = [n for n in nodes if isinstance(n.layer, Conv2D) and ".downsample." not in n.name]
    assert len(main) + 1 == depth


def test_stride_is_on_the_3x3_convolution() -> None:
    graph = imagenet_resnet(50, IMAGENET, 1000)
    strided = {
        node.name: (node.layer.window, node.layer.stride)
        for node in graph.nodes
        if isinstance(node.layer, Conv2D) and node.layer.stride == 2
    }
    assert strided.pop("conv1") == ((7, 7), 2)
    assert strided == {
        f"layer{stage}.0.{name}": (window, 2)
        for stage in (2, 3, 4)
        for name, window in (("conv2", (3, 3)), ("downsample.0", (1, 1)))
    }


def zero_gammas(graph: Graph) -> list[str]:
    return [
        node.name
        for node in graph.nodes
        if isinstance(node.layer, BatchNorm) and node.layer.zero_gamma
    ]


def test_only_the_last_gamma_of_each_block_starts_at_zero() -> None:
    graph = imagenet_resnet(50, IMAGENET, 1000)
    assert zero_gammas(graph) == [
        f"layer{stage}.{block}.bn3"
        for stage, blocks in ((1, 3), (2, 4), (3, 6), (4, 3))
        for block in range(blocks)
    ]
    assert zero_gammas(cifar_resnet(8, CIFAR, 10)) == [f"layer{k}.0.bn2" for k in (1, 2, 3)]
    assert zero_gammas(cifar_resnet(8, CIFAR, 10, NormOptions(zero_last_gamma=False))) == []


def test_any_image_size_works() -> None:
    assert imagenet_resnet(50, (1, 1, 3), 10).output_shape == (10,)
    assert imagenet_resnet(18, (65, 97, 3), 10).node("layer4.1.relu").shape == (3, 4, 512)


def test_digits_network_is_small() -> None:
    graph = digits_resnet((8, 8, 1), 10)
    assert graph.parameter_count == 19_706
    assert graph.macs < 1_000_000
    assert graph.node("layer2.0.relu").shape == (4, 4, 32)
