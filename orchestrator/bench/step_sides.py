"""The two sides of ``regatta bench step``: one training step of ours, and one of PyTorch's.

Both start from the same weights and see the same images, so their losses must be close.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from orchestrator.boards.base import GhostBatch, ReplicaSettings
from orchestrator.boards.kernels_native import open_kernels
from orchestrator.boards.replica import Replica
from orchestrator.config import ModelConfig, OptimizerConfig
from orchestrator.data.augment import input_table
from orchestrator.dfp import MASTER_EXPONENT
from orchestrator.errors import ArgumentError
from orchestrator.model.graph import Graph
from orchestrator.model.initialise import initial_masters
from orchestrator.model.ops_loss import loss_targets
from orchestrator.model.zoo import build_network
from orchestrator.optim import StepRates, plan_updates
from orchestrator.train.update import apply_update

Step = Callable[[], float]
"""One training step; returns the mean loss of its images."""

SEED = 1
RATE = Fraction(1, 100)
OPTIMIZER = OptimizerConfig(momentum=Fraction(9, 10), weight_decay=Fraction(1, 10_000))
HALF = (Fraction(1, 2),) * 3
CIFAR = (32, 10)
IMAGENET = (224, 1000)


@dataclass(frozen=True, kw_only=True)
class StepCase:
    """What is trained.

    Attributes
    ----------
    network : a name the configuration knows.
    image_size : height and width.
    classes : outputs.
    batch, ghost_batch : images of a step, and of one pass; the last may be smaller.
    threads : of both sides.
    kernel_set : of our side; None for the set that training would take.
    """

    network: str
    image_size: int
    classes: int
    batch: int
    ghost_batch: int
    threads: int
    kernel_set: str | None

    def __post_init__(self) -> None:
        for name in ("batch", "ghost_batch", "threads"):
            if getattr(self, name) < 1:
                value = getattr(self, name)
                raise ArgumentError(f"bench step: {name} is {value}, at least 1 is needed")
        if self.ghost_batch > self.batch:
            raise ArgumentError(
                f"bench step: ghost_batch is {self.ghost_batch}, at most the batch of {self.batch}"
            )

    @cached_property
    def graph(self) -> Graph:
        """The network; every gamma starts at 1, so that no branch is silent in the first steps."""
        model = ModelConfig(
            name=self.network, image_size=self.image_size, zero_init_last_gamma=False
        )
        return build_network(model, self.classes)

    @property
    def parts(self) -> list[slice]:
        """The images of each ghost batch."""
        return [
            slice(start, min(start + self.ghost_batch, self.batch))
            for start in range(0, self.batch, self.ghost_batch)
        ]

    def samples(self) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Return the same random images, [n, h, w, 3], and labels at every call."""
        rng = np.random.default_rng(SEED)
        images = rng.integers(0, 256, (self.batch, *self.graph.input_shape), dtype=np.uint8)
        return images, rng.integers(0, self.classes, self.batch, dtype=np.int32)


def default_input(network: str) -> tuple[int, int]:
    """Return image size and classes of the data a network was made for."""
    small = network in ("resnet8", "resnet20", "resnet32", "resnet44", "resnet56")
    return CIFAR if small or network == "resnet29_bottleneck" else IMAGENET


def our_step(case: StepCase) -> Step:
    """Return a step of a replica on the native kernels, from pixels to updated weights."""
    replica = _replica(case)
    images, labels = case.samples()
    positions = np.arange(case.batch)
    plan = plan_updates(OPTIMIZER, case.graph.parameters)
    rates = StepRates(RATE, RATE, case.batch)

    def ghost(number: int, part: slice, step: int) -> GhostBatch:
        return GhostBatch(images[part], labels[part], positions[part], 0, step, number)

    replica.calibrate(ghost(0, case.parts[0], 0))
    done = 0

    def step() -> float:
        nonlocal done
        replica.begin_step()
        parts = [ghost(number, part, done) for number, part in enumerate(case.parts)]
        losses = [replica.ghost_batch(part).loss_q24 for part in parts]
        apply_update(replica, plan, rates, Fraction(0), {})
        replica.close_step()
        done += 1
        return sum(losses) / 2**24 / case.batch

    return step


def _replica(case: StepCase) -> Replica:
    table, exponent = input_table(HALF, HALF)
    on, off = loss_targets(case.classes, Fraction(0))
    settings = ReplicaSettings(
        seed=SEED, table=table, table_exponent=exponent, target_on=on, target_off=off
    )
    replica = Replica(case.graph, settings, open_kernels(case.threads, case.kernel_set))
    replica.load(initial_masters(case.graph, SEED))
    return replica


def peer_step(case: StepCase) -> Step:
    """Return a step of PyTorch in float32 and channels_last, from ready tensors to the update.

    Raises
    ------
    MissingToolError
        PyTorch is not installed.
    """
    from orchestrator.bench.peer_network import train_step

    masters = initial_masters(case.graph, SEED)
    weights = {name: np.ldexp(np.float32(w), MASTER_EXPONENT) for name, w in masters.items()}
    images, labels = case.samples()
    table, exponent = input_table(HALF, HALF)
    inputs = np.ldexp(np.float32(table[images, np.arange(images.shape[-1])]), exponent)
    return train_step(
        case.graph,
        weights,
        inputs,
        labels,
        case.parts,
        rate=float(RATE),
        momentum=float(OPTIMIZER.momentum),
        weight_decay=float(OPTIMIZER.weight_decay),
    )
