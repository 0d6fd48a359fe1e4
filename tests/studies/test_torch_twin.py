"""The float twin: same function as plain PyTorch, and the ghost-batch rule of its batch norm."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pytest
import torch
from torch import nn

from orchestrator.data.digits import Digits
from orchestrator.errors import ArgumentError
from orchestrator.model.graph import Graph, build_graph
from orchestrator.model.initialise import initial_masters
from orchestrator.model.layers import (
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Input,
    MaxPool2D,
    ReLU,
)
from orchestrator.model.naming import torch_shapes
from orchestrator.model.resnet import cifar_resnet, digits_resnet
from orchestrator.studies.torch_twin import torch_module


def chain(rate: float = 0.0) -> Graph:
    x = Input((9, 8, 3))
    y = ReLU(name="2")(BatchNorm(name="1")(Conv2D(6, 3, 1, 1, name="0")(x)))
    y = AvgPool2D(2, 2, 1, name="4")(MaxPool2D(3, 2, 1, name="3")(y))
    y = Dropout(rate, name="6")(Flatten(name="5")(y))
    return build_graph(x, Dense(4, name="7")(y))


def plain() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, 1, 1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        nn.AvgPool2d(2, 2, 1),
        nn.Flatten(),
        nn.Identity(),
        nn.Linear(54, 4),
    )


def images(seed: int, n: int = 5) -> torch.Tensor:
    return torch.randn(n, 3, 9, 8, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize("training", [True, False])
def test_forward_and_gradients_are_those_of_plain_pytorch(training: bool) -> None:
    torch.manual_seed(0)
    reference, twin = plain().double(), torch_module(chain()).double()
    twin.load_state_dict(reference.state_dict())
    reference.train(training)
    twin.train(training)
    outputs = reference(images(0)), twin(images(0))
    torch.testing.assert_close(outputs[1], outputs[0])
    for output in outputs:
        output.square().sum().backward()
    expected = {name: p.grad for name, p in reference.named_parameters()}
    got = {name: p.grad for name, p in twin.named_parameters()}
    torch.testing.assert_close(got, expected)


def test_running_statistics_move_once_a_step_by_the_mean_over_ghost_batches() -> None:
    twin = torch_module(chain()).double()
    norm = twin.get_submodule("1")
    conv = twin.get_submodule("0")
    means, variances = [], []
    for seed in range(3):
        twin(images(seed))
        with torch.no_grad():
            y = conv(images(seed))
        means.append(y.mean((0, 2, 3)))
        variances.append(y.var((0, 2, 3), correction=0))
    assert not norm.running_mean.any()
    twin.finish_step()
    torch.testing.assert_close(norm.running_mean, 0.1 * torch.stack(means).mean(0))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * torch.stack(variances).mean(0))
    before = norm.running_mean.clone()
    twin.finish_step()
    assert torch.equal(norm.running_mean, before)
    assert norm.num_batches_tracked == 1


def test_evaluation_leaves_the_statistics_alone() -> None:
    twin = torch_module(chain()).double().eval()
    twin(images(0))
    twin.finish_step()
    assert not twin.get_submodule("1").running_mean.any()


def test_dropout_acts_in_training_only() -> None:
    twin = torch_module(chain(rate=0.5)).double()
    assert not torch.equal(twin(images(0)), twin(images(0)))
    twin.eval()
    assert torch.equal(twin(images(0)), twin(images(0)))


def test_names_are_the_graphs_and_weights_load_in_internal_layouts() -> None:
    graph = cifar_resnet(8, (32, 32, 3), 10)
    twin = torch_module(graph)
    state = {n: tuple(t.shape) for n, t in twin.state_dict().items() if "num_batches" not in n}
    assert state == torch_shapes(graph)
    masters = {name: array / 2**28 for name, array in initial_masters(graph, 0).items()}
    twin.load(masters)
    weight = masters["layer2.0.conv1.weight"].astype(np.float32)
    got = twin.state_dict()["layer2.0.conv1.weight"].numpy()
    assert np.array_equal(got.transpose(0, 2, 3, 1), weight)
    del masters["fc.bias"]
    with pytest.raises(ArgumentError, match=r"missing: fc\.bias"):
        twin.load(masters)


def digits(split: Literal["train", "eval"]) -> tuple[torch.Tensor, torch.Tensor]:
    data = Digits(split)
    samples = [data.read(index) for index in range(len(data))]
    pixels = torch.from_numpy(np.stack([np.asarray(sample.content) for sample in samples])).float()
    labels = torch.tensor([sample.label for sample in samples])
    return pixels.permute(0, 3, 1, 2) / 90 - 0.8, labels


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_the_digits_network_learns_the_digits(one_thread: None) -> None:
    """Six epochs reach 95 % on held-out digits in float: the network is large enough for them."""
    pixels, labels = digits("train")
    graph = digits_resnet((8, 8, 1), 10)
    twin = torch_module(graph)
    twin.load({name: array / 2**28 for name, array in initial_masters(graph, 0).items()})
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    rng = np.random.default_rng(0)
    batches = [
        batch for _ in range(6) for batch in rng.permutation(len(labels))[:1440].reshape(-1, 32)
    ]
    for step, batch in enumerate(batches):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / len(batches))
        optimizer.zero_grad()
        nn.functional.cross_entropy(twin(pixels[batch]), labels[batch]).backward()
        optimizer.step()
        twin.finish_step()
    pixels, labels = digits("eval")
    with torch.no_grad():
        right = twin.eval()(pixels).argmax(1) == labels
    assert right.float().mean() > 0.95
