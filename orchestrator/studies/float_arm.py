"""The float32 arm of a paired training: the PyTorch twin on the same images and learning rates."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch.nn import functional

from orchestrator.config import RunConfig
from orchestrator.data import GhostRequest, Loader
from orchestrator.errors import ArgumentError
from orchestrator.model.initialise import initial_masters
from orchestrator.optim import Rates, plan_batches, plan_updates
from orchestrator.studies.torch_twin import TorchTwin, torch_module
from orchestrator.train.disk import replacing
from orchestrator.train.setup import Setup, open_loader
from orchestrator.train.state import MASTER_EXPONENT

Result = dict[str, Any]
"""Counts of the last evaluation: top1, samples, test_loss."""


def train_float(config: RunConfig, setup: Setup, kept: Path, described: str) -> Result:
    """Train the float32 twin and return counts of an evaluation at its end.

    Parameters
    ----------
    config, setup : the training.
    kept : file of the state after the last whole epoch; a training that finds it goes on from it.
    described : the configuration as text; the file of another one is refused.

    Raises
    ------
    ArgumentError
        The optimizer has no twin, or the file is of another training.
    """
    assert setup.train_data is not None
    torch.set_num_threads(config.train.threads)
    twin = torch_module(setup.graph)
    masters = initial_masters(setup.graph, config.train.seed)
    twin.load({name: value * 2.0**MASTER_EXPONENT for name, value in masters.items()})
    twin.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = Images(config, setup)
    batches = plan_batches(config.train, len(setup.train_data))
    rates = Rates(config.lr_schedule, config.train.global_batch, config.train.epochs)
    optimizer = _optimizer(config, setup, twin)
    for epoch in range(_load(kept, described, twin, optimizer), config.train.epochs):
        twin.train()
        parts = images.epoch(epoch, batches.batch(epoch) * batches.steps(epoch))
        first, batch = batches.first_step(epoch), batches.batch(epoch)
        for step in range(first, first + batches.steps(epoch)):
            lr = float(rates.at(batches.position(step).exact_epoch))
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.zero_grad(set_to_none=True)
            for _ in range(batch // config.train.ghost_batch):
                x, labels = next(parts)
                loss = functional.cross_entropy(
                    twin(x),
                    labels,
                    reduction="sum",
                    label_smoothing=float(config.train.label_smoothing),
                )
                (loss / batch).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            twin.finish_step()
        _keep(kept, described, twin, optimizer, epoch + 1)
    return _evaluate(twin, images, config)


class Images:
    """The images of both arms as the twin's input: normalised through the same table."""

    def __init__(self, config: RunConfig, setup: Setup) -> None:
        assert setup.train_data is not None
        self._table = setup.settings.table * np.float32(2.0**setup.settings.table_exponent)
        self._ghost = config.train.ghost_batch
        self._train = open_loader(config, setup.train_data, training=True)
        self._test = open_loader(config, setup.eval_data, training=False)

    def epoch(self, epoch: int, count: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the ghost batches of an epoch."""
        return self._batches(self._train, epoch, count, self._ghost)

    def test(self, batch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the evaluation images in order."""
        return self._batches(self._test, 0, len(self._test), batch)

    def _batches(
        self, loader: Loader, epoch: int, count: int, batch: int
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        starts = range(0, count, batch)
        requests = (
            GhostRequest(epoch, np.arange(start, min(start + batch, count))) for start in starts
        )
        channels = np.arange(self._table.shape[1])
        for part in loader.ghost_batches(requests):
            x = torch.from_numpy(self._table[part.images, channels].astype(np.float32))
            yield x.permute(0, 3, 1, 2), torch.from_numpy(part.labels.astype(np.int64))


def _optimizer(config: RunConfig, setup: Setup, twin: TorchTwin) -> torch.optim.SGD:
    """Return PyTorch's SGD with the configuration's momentum and decay exclusions."""
    if config.optimizer.name != "sgd" or config.optimizer.momentum_form != "unscaled":
        raise ArgumentError(
            f"optimizer.name {config.optimizer.name}: the twin trains with sgd, unscaled momentum"
        )
    plan = plan_updates(config.optimizer, setup.graph.parameters)
    groups = [
        {"params": [parameter], "weight_decay": float(plan.weight_decay(name))}
        for name, parameter in twin.named_parameters()
    ]
    momentum, nesterov = float(config.optimizer.momentum), config.optimizer.nesterov
    return torch.optim.SGD(groups, lr=1.0, momentum=momentum, nesterov=nesterov)


_MOMENTUM = "momentum."
"""What stands before a parameter's name where its momentum is kept."""


def _keep(
    path: Path, described: str, twin: TorchTwin, optimizer: torch.optim.SGD, epochs: int
) -> None:
    """Write the twin's parameters, running statistics and momentum after some whole epochs."""
    tensors = {name: tensor.contiguous() for name, tensor in twin.state_dict().items()}
    for name, parameter in twin.named_parameters():
        tensors[_MOMENTUM + name] = optimizer.state[parameter]["momentum_buffer"].contiguous()
    with replacing(path) as file:
        file.write(save(tensors, {"epochs": str(epochs), "config": described}))


def _load(path: Path, described: str, twin: TorchTwin, optimizer: torch.optim.SGD) -> int:
    """Take up what `_keep` wrote and return its epochs; 0 where there is no file."""
    if not path.exists():
        return 0
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if metadata["config"] != described:
        raise ArgumentError(
            f"{path}: holds a training of another configuration; choose another --output, or "
            "remove it"
        )
    for name, parameter in twin.named_parameters():
        momentum = torch.empty_like(parameter, requires_grad=False)
        optimizer.state[parameter]["momentum_buffer"] = momentum.copy_(
            tensors.pop(_MOMENTUM + name)
        )
    twin.load_state_dict(tensors)
    return int(metadata["epochs"])


def _evaluate(twin: TorchTwin, images: Images, config: RunConfig) -> Result:
    twin.eval()
    top1 = samples = 0
    loss = 0.0
    with torch.no_grad():
        for x, labels in images.test(config.train.eval_batch):
            logits = twin(x)
            top1 += int((logits.argmax(1) == labels).sum())
            samples += len(labels)
            loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
    return {"top1": top1, "samples": samples, "test_loss": loss / samples}
