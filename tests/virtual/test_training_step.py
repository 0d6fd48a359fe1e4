"""A whole training step on one emulated core: every task from its own descriptor, native's bits."""

from fractions import Fraction

import numpy as np
import pytest

from orchestrator.boards.base import GhostBatch, ReplicaSettings
from orchestrator.boards.kernels import Kernels
from orchestrator.boards.kernels_native import open_kernels
from orchestrator.boards.replica import Replica
from orchestrator.config import ModelConfig, OptimizerConfig
from orchestrator.data.augment import input_table
from orchestrator.model import ops
from orchestrator.model.graph import Graph
from orchestrator.model.initialise import initial_masters
from orchestrator.model.zoo import build_network
from orchestrator.optim import StepRates, plan_updates
from orchestrator.virtual.arm_kernels import ArmKernels
from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.core import Core
from orchestrator.virtual.image import Image

IMAGES, CLASSES, STEPS = 2, 10, 2


@pytest.fixture(scope="module")
def graph() -> Graph:
    return build_network(ModelConfig(name="resnet8", image_size=32), CLASSES)


@pytest.fixture(scope="module")
def expected(graph: Graph) -> dict[str, object]:
    return trained(graph, open_kernels(1))


def batch(step: int) -> GhostBatch:
    rng = np.random.default_rng(step)
    pixels = rng.integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8)
    labels = rng.integers(0, CLASSES, IMAGES, dtype=np.int32)
    return GhostBatch(pixels, labels, np.arange(IMAGES), 0, step, 0)


def trained(graph: Graph, kernels: Kernels) -> dict[str, object]:
    """Return everything a replica holds after two steps of a ghost batch, and its logits."""
    half = (Fraction(1, 2),) * 3
    table, exponent = input_table(half, half)
    on, off = ops.loss_targets(CLASSES, Fraction(1, 10))
    settings = ReplicaSettings(
        seed=5, table=table, table_exponent=exponent, target_on=on, target_off=off
    )
    replica = Replica(graph, settings, kernels)
    replica.load(initial_masters(graph, 2))
    replica.calibrate(batch(0))
    results = [train_step(replica, step) for step in range(STEPS)]
    return {
        "results": results,
        "masters": replica.masters.flat,
        "momentum": replica.momentum.flat,
        "gradients": replica.gradients.flat,
        "running": dict(replica.running.values),
        "histories": replica.histories.entries,
        "saturations": replica.saturations(),
        "logits": replica.logits(batch(7).images),
    }


def train_step(replica: Replica, step: int) -> object:
    replica.begin_step()
    result = replica.ghost_batch(batch(step))
    plan = plan_updates(OptimizerConfig(weight_decay=Fraction(1, 1000)), replica.graph.parameters)
    rates = StepRates(Fraction(1, 20), None, IMAGES)
    exponents = replica.gradient_exponents()
    scalars = {name: plan.scalars(name, rates, e) for name, e in exponents.items()}
    replica.update(scalars, None)
    replica.close_step()
    return result


@pytest.mark.parametrize("substitute", [False, True], ids=["every instruction", "substituted"])
def test_a_core_trains_to_the_native_boards_bits(
    image: Image, graph: Graph, expected: dict[str, object], substitute: bool
) -> None:
    core = Core(ChipMemory(64 << 20), 1, image, substitute=substitute)
    np.testing.assert_equal(trained(graph, ArmKernels(core)), expected)
    assert (core.substituted > 0) == substitute
    assert core.bus_reads < core.instructions / 1000
