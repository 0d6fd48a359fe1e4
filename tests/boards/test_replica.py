"""A replica: the same bits on every kernel set, gradients like a float twin's, exact evaluation."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from networks import CLASSES, NETWORKS, plain

from orchestrator.boards.base import Board, GhostBatch, ReplicaSettings
from orchestrator.boards.kernels_native import open_kernels
from orchestrator.boards.replica import Replica
from orchestrator.config import OptimizerConfig
from orchestrator.data.augment import input_table
from orchestrator.errors import ArgumentError
from orchestrator.model import ops
from orchestrator.model.graph import Graph
from orchestrator.model.initialise import initial_masters
from orchestrator.model.naming import from_torch
from orchestrator.optim import StepRates, plan_updates

BATCH = 6
MakeReplica = Callable[..., Replica]


def settings(channels: int, seed: int = 5) -> ReplicaSettings:
    half = (Fraction(1, 2),) * channels
    table, exponent = input_table(half, half)
    on, off = ops.loss_targets(CLASSES, Fraction(1, 10))
    return ReplicaSettings(
        seed=seed, table=table, table_exponent=exponent, target_on=on, target_off=off
    )


def batch(graph: Graph, number: int, step: int = 0) -> GhostBatch:
    rng = np.random.default_rng(number)
    images = rng.integers(0, 256, (BATCH, *graph.input_shape), dtype=np.uint8)
    labels = rng.integers(0, CLASSES, BATCH, dtype=np.int32)
    return GhostBatch(images, labels, np.arange(BATCH) + number * BATCH, 0, step, number % 2)


def trained(graph: Graph, kernels: object, steps: int = 3) -> Replica:
    """Return a replica after some steps of two ghost batches, and one step's gradient on top."""
    replica = Replica(graph, settings(graph.input_shape[2]), kernels)
    replica.load(initial_masters(graph, 2))
    replica.calibrate(batch(graph, 0))
    for step in range(steps):
        train_step(replica, [batch(graph, 2 * step + i, step) for i in (0, 1)])
    replica.begin_step()
    replica.ghost_batch(batch(graph, 99, steps))
    return replica


def train_step(replica: Replica, batches: list[GhostBatch]) -> None:
    replica.begin_step()
    for part in batches:
        replica.ghost_batch(part)
    plan = plan_updates(OptimizerConfig(weight_decay=Fraction(1, 1000)), replica.graph.parameters)
    rates = StepRates(Fraction(1, 20), None, BATCH * len(batches))
    exponents = replica.gradient_exponents()
    scalars = {name: plan.scalars(name, rates, e) for name, e in exponents.items()}
    replica.update(scalars, None)
    replica.close_step()


def bits(replica: Board) -> list[object]:
    return [
        *(tensors.flat.tobytes() for tensors in _flat(replica)),
        *(value.tobytes() for value in replica.running.values.values()),
        replica.histories.entries,
    ]


def _flat(replica: Board) -> list[object]:
    return [replica.masters, replica.momentum, replica.gradients]


@pytest.mark.parametrize("name", NETWORKS)
def test_native_kernels_give_the_oracle_s_bits(name: str) -> None:
    graph = NETWORKS[name]()
    expected = bits(trained(graph, ops))
    for threads in (1, 2):
        assert bits(trained(graph, open_kernels(threads))) == expected


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_follow_a_float_twin(name: str) -> None:
    """13-bit operands: a few per cent of the gradient (facts of the recipe's validation)."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    from orchestrator.studies.torch_twin import torch_module

    # A float twin draws other dropout masks, so nothing is dropped here.
    graph = NETWORKS[name]() if name != "plain" else plain(Fraction(0))
    replica = trained(graph, open_kernels(1))
    twin = torch_module(graph).double()
    twin.load({n: v / 2.0**28 for n, v in (replica.masters.views | replica.running.values).items()})
    twin.train()
    part = batch(graph, 99, 3)
    s = replica.settings
    channel = np.arange(graph.input_shape[2])
    x = s.table[part.images, channel] * 2.0**s.table_exponent
    logits = twin(torch.from_numpy(x.transpose(0, 3, 1, 2)))
    labels = torch.from_numpy(part.labels.astype(np.int64))
    torch.nn.functional.cross_entropy(
        logits, labels, reduction="sum", label_smoothing=0.1
    ).backward()
    exact = from_torch(graph, {n: p.grad.numpy() for n, p in twin.named_parameters()})
    exponents = replica.gradient_exponents()
    error = size = 0.0
    for n, view in replica.gradients.views.items():
        exponent = exponents[n]
        assert exponent is not None
        error += float(((view * 2.0**exponent - exact[n]) ** 2).sum())
        size += float((exact[n] ** 2).sum())
    assert (error / size) ** 0.5 < 0.04


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_do_not_depend_on_neighbours(name: str) -> None:
    graph = NETWORKS[name]()
    replica = trained(graph, open_kernels(1))
    images = batch(graph, 7).images
    together = replica.logits(images)
    apart = [replica.logits(images[i : i + 1])[0] for i in range(BATCH)]
    assert np.array_equal(together, np.stack(apart))
    assert np.array_equal(replica.logits(images[::-1].copy()), together[::-1])


def test_order_of_ghost_batches_does_not_matter() -> None:
    graph = NETWORKS["residual"]()
    parts = [batch(graph, i) for i in (0, 1)]
    found = []
    for order in (parts, parts[::-1]):
        replica = trained(graph, open_kernels(1))
        train_step(replica, order)
        found.append(bits(replica))
    assert found[0] == found[1]


def test_a_tensor_without_history_is_written_with_its_own_maximum() -> None:
    """A zero gamma silences its branch in the first steps: no error, no gradient, no history."""
    graph = NETWORKS["residual"]()
    replica = Replica(graph, settings(3), open_kernels(1))
    masters = initial_masters(graph, 2)
    masters["batchnorm_2.weight"] = np.zeros_like(masters["batchnorm_2.weight"])
    replica.load(masters)
    replica.calibrate(batch(graph, 0))
    assert replica.histories.entries["g:conv2d_1.weight"] == [None]
    for step in range(6):
        train_step(replica, [batch(graph, step, step)])
    moved = [n for n, v in replica.masters.views.items() if not np.array_equal(v, masters[n])]
    assert set(moved) == set(masters)


def test_parameters_must_fit() -> None:
    graph = NETWORKS["plain"]()
    replica = Replica(graph, settings(2), open_kernels(1))
    masters = initial_masters(graph, 2)
    first = next(iter(masters))
    with pytest.raises(ArgumentError, match=first):
        replica.load({**masters, first: np.zeros(3, np.int32)})
    with pytest.raises(ArgumentError, match=first):
        replica.load({n: v for n, v in masters.items() if n != first})


def test_an_error_in_a_pass_leaves_a_usable_replica() -> None:
    graph = NETWORKS["residual"]()
    replica = trained(graph, open_kernels(1))
    expected = bits(replica)
    with pytest.raises((ArgumentError, ValueError)):
        replica.logits(np.zeros((2, 3, 3, 3), np.uint8))
    replica.begin_step()
    replica.ghost_batch(batch(graph, 99, 3))
    assert bits(replica) == expected
