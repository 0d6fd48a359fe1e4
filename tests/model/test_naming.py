"""Conversion to PyTorch's names and layouts, against modules written here in PyTorch's own way.

A plain NumPy forward pass in the internal layouts (N, H, W, C) is the other side: where both agree
in float64, every weight stands where its layout says.
"""

from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import nn

from orchestrator.errors import ArgumentError
from orchestrator.model.graph import Graph, Node, build_graph, sequential
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
from orchestrator.model.mlp import mlp
from orchestrator.model.naming import from_torch, internal_shapes, to_torch, torch_shapes
from orchestrator.model.resnet import NormOptions, imagenet_resnet
from orchestrator.model.vgg import vgg

Arrays = dict[str, NDArray[Any]]


class Block(nn.Module):
    """A residual block as in torchvision: two 3x3 convolutions, or 1x1, 3x3, 1x1."""

    def __init__(self, channels: int, width: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        out = width * 4 if bottleneck else width
        first, second = (1, 3) if bottleneck else (3, 3)
        strides = (1, stride) if bottleneck else (stride, 1)
        self.conv1 = nn.Conv2d(channels, width, first, strides[0], first // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, second, strides[1], 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        if bottleneck:
            self.conv3 = nn.Conv2d(width, out, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(out)
        self.bottleneck = bottleneck
        self.downsample = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.bottleneck:
            y = self.bn3(self.conv3(torch.relu(y)))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, blocks: tuple[int, ...], bottleneck: bool, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = 64
        for stage, count in enumerate(blocks):
            layers = []
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                layers.append(Block(channels, 64 << stage, stride, bottleneck))
                channels = (64 << stage) * (4 if bottleneck else 1)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))


class VGG11(nn.Module):
    def __init__(self, side: int, classes: int, *, norm: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"):
            if isinstance(width, str):
                layers.append(nn.MaxPool2d(2, 2))
                continue
            layers.append(nn.Conv2d(channels, width, 3, padding=1))
            layers += [nn.BatchNorm2d(width)] if norm else []
            layers.append(nn.ReLU())
            channels = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(512 * side * side, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.features(x), 1))


def float_forward(graph: Graph, arrays: Arrays, images: NDArray[Any]) -> NDArray[Any]:
    """Evaluation forward of any graph in float64 and internal layouts; images [N, H, W, C]."""
    values = {graph.input: images}
    for node in graph.nodes[1:]:
        values[node.name] = evaluate(node, arrays, [values[name] for name in node.inputs])
    return values[graph.output]


def evaluate(node: Node, arrays: Arrays, inputs: list[NDArray[Any]]) -> NDArray[Any]:
    x, layer = inputs[0], node.layer
    weight, bias = (arrays.get(f"{node.name}.{suffix}", 0) for suffix in ("weight", "bias"))
    match layer:
        case Conv2D():
            windows = windows_of(x, layer.window, layer.stride, layer.padding, 0.0)
            return np.tensordot(windows, weight, ((4, 5, 3), (1, 2, 3))) + bias
        case Dense():
            return x @ weight.T + bias
        case BatchNorm():
            mean, var = (arrays[f"{node.name}.running_{kind}"] for kind in ("mean", "var"))
            return (x - mean) / np.sqrt(var + float(layer.epsilon)) * weight + bias
        case MaxPool2D():
            windows = windows_of(x, layer.window, layer.stride, layer.padding, -np.inf)
            return windows.max((4, 5))
        case AvgPool2D():
            return windows_of(x, layer.window, layer.stride, layer.padding, 0.0).mean((4, 5))
        case ReLU():
            return np.maximum(x, 0)
        case Add():
            return x + inputs[1]
        case GlobalAvgPool():
            return x.mean((1, 2))
        case Flatten():
            return x.reshape(len(x), -1)
        case Dropout():
            return x
    raise AssertionError(layer)


def windows_of(
    x: NDArray[Any], window: tuple[int, int], stride: int, padding: int, fill: float
) -> NDArray[Any]:
    sides = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    padded = np.pad(x, sides, constant_values=fill)
    return sliding_window_view(padded, window, (1, 2))[:, ::stride, ::stride]


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in float64 evaluation mode, with statistics and affine parts that matter."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.double().eval().state_dict().items():
        if tensor.dim() == 1:
            low, high = (0.5, 1.5) if name.endswith(("weight", "running_var")) else (-0.3, 0.3)
            tensor.uniform_(low, high, generator=generator)
        elif tensor.dim() > 1:
            nn.init.kaiming_normal_(tensor, nonlinearity="relu", generator=generator)
    return module


def arrays_of(module: nn.Module) -> Arrays:
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


CASES = {
    "resnet18": (
        lambda: ResNet((2, 2, 2, 2), False, 5),
        lambda: imagenet_resnet(18, (40, 40, 3), 5),
        40,
    ),
    "resnet50": (
        lambda: ResNet((3, 4, 6, 3), True, 5),
        lambda: imagenet_resnet(50, (33, 33, 3), 5),
        33,
    ),
    "vgg11": (lambda: VGG11(2, 5, norm=False), lambda: vgg(11, (64, 64, 3), 5, norm=None), 64),
    "vgg11_bn": (
        lambda: VGG11(1, 5, norm=True),
        lambda: vgg(11, (32, 32, 3), 5, norm=NormOptions()),
        32,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_pytorch_module_and_its_graph_compute_the_same(case: str) -> None:
    make_module, make_graph, size = CASES[case]
    module, graph = randomised(make_module()), make_graph()
    state = arrays_of(module)
    arrays = from_torch(graph, state)
    images = np.random.default_rng(1).standard_normal((2, size, size, 3))
    with torch.no_grad():
        expected = module(torch.from_numpy(images.transpose(0, 3, 1, 2))).numpy()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(float_forward(graph, arrays, images), expected, rtol=1e-9, atol=1e-9)
    back = to_torch(graph, arrays)
    assert list(back) == list(state)
    assert all(np.array_equal(back[name], state[name]) for name in state)


@pytest.mark.parametrize(("depth", "blocks"), [(101, (3, 4, 23, 3)), (152, (3, 8, 36, 3))])
def test_names_and_shapes_of_deep_networks(depth: int, blocks: tuple[int, ...]) -> None:
    with torch.device("meta"):
        state = ResNet(blocks, True, 1000).state_dict()
    expected = {
        name: tuple(tensor.shape) for name, tensor in state.items() if "num_batches" not in name
    }
    assert torch_shapes(imagenet_resnet(depth, (224, 224, 3), 1000)) == expected


def flattened_norm() -> Graph:
    x = Input((4, 6, 3))
    y = Conv2D(5, 3, 2, 1, name="conv")(x)
    y = BatchNorm(name="norm")(Dropout(0.5, name="drop")(Flatten(name="flat")(y)))
    y = Flatten(name="again")(ReLU(name="relu")(y))
    return build_graph(x, Dense(4, name="fc2")(Dense(7, name="fc1")(y)))


def test_vectors_behind_a_flatten_are_reordered_up_to_the_next_dense_layer() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 5, 3, 2, 1),
        nn.Flatten(),
        nn.BatchNorm1d(30),
        nn.ReLU(),
        nn.Linear(30, 7),
        nn.Linear(7, 4),
    )
    names = dict(zip("0245", ("conv", "norm", "fc1", "fc2"), strict=True))
    state = {
        names[name[0]] + name[1:]: array for name, array in arrays_of(randomised(module)).items()
    }
    images = np.random.default_rng(1).standard_normal((3, 4, 6, 3))
    with torch.no_grad():
        expected = module(torch.from_numpy(images.transpose(0, 3, 1, 2))).numpy()
    got = float_forward(flattened_norm(), from_torch(flattened_norm(), state), images)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.int32, np.float32, np.int64])
def test_any_dtype_goes_there_and_back_unchanged(dtype: type) -> None:
    graph = flattened_norm()
    arrays = {
        name: np.arange(prod(shape)).reshape(shape).astype(dtype)
        for name, shape in internal_shapes(graph).items()
    }
    tensors = to_torch(graph, arrays, batches_tracked=9)
    assert tensors["norm.num_batches_tracked"] == 9
    assert tensors["conv.weight"].shape == (5, 3, 3, 3)
    back = from_torch(graph, tensors)
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        assert back[name].dtype == tensors[name].dtype == dtype
        assert back[name].flags.c_contiguous and tensors[name].flags.c_contiguous
        assert np.array_equal(back[name], array)


def test_parameters_alone_convert_too() -> None:
    graph = flattened_norm()
    momentum = {p.name: np.ones(p.shape, np.int32) for p in graph.parameters}
    tensors = to_torch(graph, momentum)
    assert set(tensors) == set(from_torch(graph, tensors)) == set(momentum)


def test_faults_are_named() -> None:
    graph = mlp((2, 2, 1), 3, (8,))
    tensors = {name: np.zeros(shape) for name, shape in torch_shapes(graph).items()}
    wrong = tensors | {"fc.weight": np.zeros((10, 8)), "head.bias": np.zeros(3)}
    del wrong["fc1.bias"]
    with pytest.raises(
        ArgumentError,
        match=r"PyTorch weights do not fit the network; missing: fc1\.bias; "
        r"unexpected: head\.bias; misshaped: fc\.weight \(10, 8\) instead of \(3, 8\)",
    ):
        from_torch(graph, wrong)
    with pytest.raises(ArgumentError, match=r"given arrays .* missing: fc\.bias"):
        to_torch(graph, {name: a for name, a in tensors.items() if name != "fc.bias"})


def test_long_lists_of_faults_are_cut() -> None:
    graph = imagenet_resnet(18, (224, 224, 3), 10)
    with pytest.raises(ArgumentError, match=r"missing: conv1\.weight, .* and 54 more"):
        from_torch(graph, {})


def test_some_running_statistics_are_not_enough() -> None:
    graph = flattened_norm()
    tensors = {name: np.zeros(shape) for name, shape in torch_shapes(graph).items()}
    del tensors["norm.running_var"]
    with pytest.raises(ArgumentError, match=r"missing: norm\.running_var"):
        from_torch(graph, tensors)


def test_the_head_can_be_left_out_for_fine_tuning() -> None:
    graph = mlp((2, 2, 1), 3, (8,))
    tensors = {
        name: np.zeros(shape) for name, shape in torch_shapes(mlp((2, 2, 1), 10, (8,))).items()
    }
    taken = from_torch(graph, tensors, omit=("fc.weight", "fc.bias"))
    assert set(taken) == {"fc1.weight", "fc1.bias"}


def test_sums_of_differently_ordered_vectors_have_no_equivalent() -> None:
    x = Input((2, 2, 3))
    flat = Flatten(name="flat")(x)
    out = Dense(2, name="fc")(Add(name="mix")(flat, Dense(12, name="side")(flat)))
    graph = build_graph(x, out)
    arrays = {p.name: np.zeros(p.shape) for p in graph.parameters}
    with pytest.raises(ArgumentError, match="'mix': adds a flattened map to another vector"):
        to_torch(graph, arrays)


def test_a_flattened_single_position_needs_no_reordering() -> None:
    graph = sequential((1, 1, 6), [Flatten(), Dense(2, name="fc")])
    weight = np.arange(12.0).reshape(2, 6)
    tensors = to_torch(graph, {"fc.weight": weight, "fc.bias": np.zeros(2)})
    assert np.array_equal(tensors["fc.weight"], weight)
