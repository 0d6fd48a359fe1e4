"""The peer of a training step: the float twin as a PyTorch user would write it for speed.

Batch norm is PyTorch's own, ReLU and shortcuts work in place as torchvision's do, and a tensor is
let go as soon as PyTorch does not need it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import MissingToolError
from orchestrator.model.graph import Graph
from orchestrator.model.layers import Add, BatchNorm, Conv2D, ReLU
from orchestrator.model.symbolic import Node
from orchestrator.studies.torch_twin import GhostBatchNorm, TorchTwin

try:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional
except ImportError:
    raise MissingToolError(
        "bench step measures beside PyTorch, which is not installed: pip install torch"
    ) from None

Float32 = NDArray[np.float32]


class FastTwin(TorchTwin):
    """A network with PyTorch's batch norm and in-place additions and ReLUs."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        for node in graph.nodes:
            if isinstance(node.layer, BatchNorm):
                parent, _, last = node.name.rpartition(".")
                twin = self.get_submodule(node.name)
                setattr(self.get_submodule(parent), last, _batch_norm(twin, node))
        last_use = {name: node.name for node in graph.nodes for name in node.inputs}
        users = [name for node in graph.nodes for name in node.inputs]
        self._done = {
            node.name: [name for name, user in last_use.items() if user == node.name]
            for node in graph.nodes
        }
        self._overwritable = {
            node.name
            for node in graph.nodes
            if isinstance(node.layer, BatchNorm | Conv2D | Add) and users.count(node.name) == 1
        }

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, [N, classes]."""
        values = {self._graph.input: x}
        for node in self._graph.nodes[1:]:
            values[node.name] = self._apply_node(node, [values[name] for name in node.inputs])
            for name in self._done[node.name]:
                del values[name]
        return values[self._graph.output]

    def _apply_node(self, node: Node, inputs: list[Tensor]) -> Tensor:
        if node.inputs and node.inputs[0] in self._overwritable:
            if isinstance(node.layer, ReLU):
                return functional.relu_(inputs[0])
            if isinstance(node.layer, Add):
                return inputs[0].add_(inputs[1])
        return super()._apply_node(node, inputs)


def _batch_norm(twin: nn.Module, node: Node) -> nn.Module:
    """Return PyTorch's batch norm with the constants of the twin's."""
    assert isinstance(twin, GhostBatchNorm)
    kind = nn.BatchNorm1d if len(node.shape) == 1 else nn.BatchNorm2d
    return kind(node.shape[-1], eps=twin.epsilon, momentum=twin.momentum)


def train_step(
    graph: Graph,
    weights: Mapping[str, Float32],
    images: Float32,
    labels: NDArray[np.int32],
    parts: Sequence[slice],
    *,
    rate: float,
    momentum: float,
    weight_decay: float,
) -> Callable[[], float]:
    """Return one training step: forward and backward of every part, then SGD.

    Parameters
    ----------
    graph, weights
        The network and its initial weights, in internal layouts.
    images, labels
        [n, h, w, c], normalised; [n].
    parts
        The images of each pass; gradients add up over them.
    rate, momentum, weight_decay
        Of SGD; decay leaves batch norm and biases out.
    """
    module = FastTwin(graph)
    module.load(weights)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    module.train()
    decayed = [parameter for parameter in module.parameters() if parameter.dim() > 1]
    others = [parameter for parameter in module.parameters() if parameter.dim() == 1]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=rate, momentum=momentum, weight_decay=weight_decay)
    # A view of [n, h, w, c] as [n, c, h, w] is what channels_last means.
    inputs = torch.from_numpy(images).permute(0, 3, 1, 2)
    targets = torch.from_numpy(labels.astype(np.int64))

    def step() -> float:
        losses = []
        for part in parts:
            loss = functional.cross_entropy(module(inputs[part]), targets[part], reduction="sum")
            (loss / len(targets)).backward()  # type: ignore[no-untyped-call]
            losses.append(loss.item())
        optimizer.step()
        optimizer.zero_grad()
        return sum(losses) / len(targets)

    return step
