"""A float PyTorch twin of any network, for comparing exact integer training with float training.

The twin has the graph's names, so `naming.to_torch` gives its state dict. Its batch norm follows
this project's rule: statistics per call (one call is one ghost batch), and one update of the
running statistics a step, from the mean over the step's ghost batches of mean and biased variance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ArgumentError, MissingToolError
from orchestrator.model.graph import Graph
from orchestrator.model.layers import (
    Add,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    InputLayer,
    MaxPool2D,
    ReLU,
)
from orchestrator.model.naming import to_torch
from orchestrator.model.symbolic import Node

try:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional
except ImportError:
    raise MissingToolError(
        "comparing with float training needs PyTorch, which is not installed: pip install torch"
    ) from None


class GhostBatchNorm(nn.Module):
    """Batch norm over axis 1 whose running statistics move once a step.

    In training a call normalises with its own mean and biased variance, [C], and remembers both;
    `finish_step` makes them one update. In evaluation the running statistics are used.

    Parameters
    ----------
    channels
        C.
    momentum
        Share of a new step in the running statistics.
    epsilon
        Added to the variance.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, channels: int, momentum: float, epsilon: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.zeros((), dtype=torch.int64))
        self._means: list[Tensor] = []
        self._variances: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x, [N, C, H, W] or [N, C]."""
        if not self.training:
            return functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.epsilon
            )
        # With momentum 1 PyTorch leaves this call's mean and unbiased variance in the buffers.
        mean, variance = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)
        y = functional.batch_norm(
            x, mean, variance, self.weight, self.bias, training=True, momentum=1.0, eps=self.epsilon
        )
        values = x.numel() // x.shape[1]
        self._means.append(mean)
        self._variances.append(variance * ((values - 1) / values))
        return y

    def finish_step(self) -> None:
        """Update the running statistics from the calls since the last step, if there were any."""
        if self._means:
            self.running_mean.lerp_(torch.stack(self._means).mean(0), self.momentum)
            self.running_var.lerp_(torch.stack(self._variances).mean(0), self.momentum)
            self.num_batches_tracked += 1
        self._means.clear()
        self._variances.clear()


class TorchTwin(nn.Module):
    """The network of a graph in PyTorch; images are [N, C, H, W] floats, normalised."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._graph = graph
        for node in graph.nodes:
            module = _module(graph, node)
            if module is not None:
                _put(self, node.name, module)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, [N, classes]."""
        values = {self._graph.input: x}
        for node in self._graph.nodes[1:]:
            values[node.name] = self._apply_node(node, [values[name] for name in node.inputs])
        return values[self._graph.output]

    def _apply_node(self, node: Node, inputs: list[Tensor]) -> Tensor:
        if isinstance(node.layer, Conv2D | Dense | BatchNorm):
            return cast(Tensor, self.get_submodule(node.name)(inputs[0]))
        return _plain(node, inputs, self.training)

    def finish_step(self) -> None:
        """End a step: every batch norm moves its running statistics by the step's ghost batches."""
        for module in self.modules():
            if isinstance(module, GhostBatchNorm):
                module.finish_step()

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take parameters and, if given, buffers from float arrays in internal layouts.

        Raises
        ------
        ArgumentError
            If a tensor is missing, unexpected or misshaped; the message names it.
        """
        tensors = to_torch(self._graph, arrays)
        state = {name: torch.from_numpy(np.array(tensor)) for name, tensor in tensors.items()}
        self.load_state_dict(state, strict=False)


def torch_module(graph: Graph) -> TorchTwin:
    """Return the float32 PyTorch twin of `graph`, its state dict under the graph's names.

    Weights are PyTorch's own initial ones until `load`. A training loop calls the twin once for
    each ghost batch of a step, lets the gradients add up, steps its optimizer, and calls
    `finish_step`.
    """
    return TorchTwin(graph)


def _module(graph: Graph, node: Node) -> nn.Module | None:
    shapes = graph.input_shapes(node)
    match node.layer:
        case Conv2D() as layer:
            return nn.Conv2d(
                shapes[0][2],
                layer.filters,
                layer.window,
                layer.stride,
                layer.padding,
                bias=layer.bias,
            )
        case Dense() as layer:
            return nn.Linear(shapes[0][0], layer.units, bias=layer.bias)
        case BatchNorm() as layer:
            return GhostBatchNorm(shapes[0][-1], float(layer.momentum), float(layer.epsilon))
        case _:
            return None


def _plain(node: Node, inputs: list[Tensor], training: bool) -> Tensor:
    """Output of a layer without parameters."""
    x = inputs[0]
    match node.layer:
        case ReLU():
            return functional.relu(x)
        case Add():
            return x + inputs[1]
        case MaxPool2D() as layer:
            return functional.max_pool2d(x, layer.kernel, layer.stride, layer.padding)
        case AvgPool2D() as layer:
            return functional.avg_pool2d(x, layer.kernel, layer.stride, layer.padding)
        case GlobalAvgPool():
            return x.mean((2, 3))
        case Flatten():
            return x.flatten(1)
        case Dropout() as layer:
            return functional.dropout(x, float(layer.rate), training)
        case InputLayer():
            return x
        case other:
            raise ArgumentError(f"layer {node.name!r}: {type(other).__name__} has no PyTorch twin")


def _put(root: nn.Module, name: str, module: nn.Module) -> None:
    """Register `module` under a dotted name, with empty modules on the way."""
    *parents, last = name.split(".")
    for parent in parents:
        if parent not in root._modules:
            root.add_module(parent, nn.Module())
        root = cast(nn.Module, root._modules[parent])
    root.add_module(last, module)
