"""A replica: one copy of the network, computed ghost batch by ghost batch on a set of kernels.

Everything that decides bits is here or in the pure modules it calls; the kernels (NumPy oracle or
host C) only carry it out. Two replicas fed the same ghost batches hold the same bits.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from orchestrator.boards.arena import Arena
from orchestrator.boards.backward import Backward
from orchestrator.boards.base import Evaluation, GhostBatch, GhostResult, ReplicaSettings
from orchestrator.boards.forward import Forward, Mode
from orchestrator.boards.histories import Histories
from orchestrator.boards.kernels import Kernels
from orchestrator.boards.parameters import Allocate, FlatTensors
from orchestrator.boards.running import RunningStatistics
from orchestrator.boards.tensors import INT16, Address, Array, Pass, Shapes, Tensor, Weights
from orchestrator.dfp import LIMIT13, MASTER_EXPONENT, weight_shift
from orchestrator.model.graph import Graph
from orchestrator.model.lower import ApplyOp, ConvOp, Lowered, lower
from orchestrator.optim import Norms, Scalar, Scalars, norm, norm_shift
from orchestrator.philox import dither_seeds, tensor_id


class Replica:
    """One copy of a network on one set of kernels (implements the ``Board`` door).

    Parameters
    ----------
    graph : the network.
    settings : seed, input table and targets.
    kernels : the oracle or the native kernels.
    allocate : makes the gradient's buffer.
    """

    def __init__(
        self,
        graph: Graph,
        settings: ReplicaSettings,
        kernels: Kernels,
        allocate: Allocate | None = None,
    ) -> None:
        self.graph = graph
        self.settings = settings
        self.kernels = kernels
        self.plan = lower(graph)
        self.histories = Histories(history_keys(self.plan, graph))
        self.masters = FlatTensors(graph.parameters)
        self.momentum = FlatTensors(graph.parameters)
        self.gradients = FlatTensors(graph.parameters, allocate)
        self.running = RunningStatistics(
            self.plan.norms, {p.name: p.shape[0] for p in graph.parameters}
        )
        self._arena = Arena()
        self._shapes = lru_cache(maxsize=8)(partial(Shapes, self.plan))
        self._dithered = [op.output for op in self.plan.ops if isinstance(op, ConvOp)]
        self._dithered_ids = np.array([tensor_id(name) for name in self._dithered])
        self._weights: Weights | None = None
        self._exponents: dict[str, int | None] = {}
        self._saturated: Counter[str] = Counter()

    def load(
        self,
        masters: Mapping[str, NDArray[np.int32]],
        momentum: Mapping[str, NDArray[np.int32]] | None = None,
        running: Mapping[str, NDArray[np.int64]] | None = None,
    ) -> None:
        """Set parameters; momentum is zero and running statistics are fresh where not given."""
        self.masters.load(masters)
        if momentum is None:
            self.momentum.flat.fill(0)
        else:
            self.momentum.load(momentum)
        self.running.load(running)
        self._weights = None

    def calibrate(self, batch: GhostBatch) -> None:
        """Run one ghost batch with empty histories and no update; its bit lengths come first."""
        self.histories.load({})
        self.begin_step()
        self.ghost_batch(batch)
        self.histories.close_step()
        self.gradients.flat.fill(0)
        self.running.clear()
        self._saturated.clear()

    def calibrate_evaluation(self, images: NDArray[np.uint8]) -> None:
        """Give sums and activations their first history entries from images evaluated once.

        For weights without histories: with them, an image's logits depend on the image alone.
        """
        self.histories.load({})
        state = self._pass(len(images))
        try:
            Forward(state, Mode.CALIBRATION).run(self._input(images))
        finally:
            self._arena.give_all()
        self.histories.close_step()

    def begin_step(self) -> None:
        """Copy weights to 13 bits, fix the gradients' exponents, clear gradient and sums."""
        self._weights = self._copy_weights()
        self._exponents = {
            name: self.histories.exponent(f"g:{name}") for name in self.gradients.views
        }
        self.gradients.flat.fill(0)
        self.running.clear()
        self.histories.discard_step()

    def _copy_weights(self) -> Weights:
        copies = {}
        for op in self.plan.ops:
            if not isinstance(op, ConvOp):
                continue
            master = self.masters.views[op.weight]
            shift = weight_shift(self.kernels.bits_i32(master.reshape(-1)))
            copy = np.empty(master.size, np.int16)
            self.kernels.quantise(master.reshape(-1), shift, LIMIT13, copy)
            shape = (op.filters, *op.kernel, op.channels)
            copies[op.weight] = Tensor(copy.reshape(shape), MASTER_EXPONENT + shift)
        return Weights(copies, self.masters.views)

    def _pass(self, n: int) -> Pass:
        if self._weights is None:
            self._weights = self._copy_weights()
        return Pass(
            *(self.plan, self.kernels, self._weights, self.histories, self.running),
            *(self._arena, self._shapes(n)),
        )

    def _input(self, images: NDArray[np.uint8]) -> Tensor:
        x = self._arena.take(images.shape, INT16)
        self.kernels.normalise(np.ascontiguousarray(images), self.settings.table, x)
        return Tensor(x, self.settings.table_exponent)

    def ghost_batch(self, batch: GhostBatch) -> GhostResult:
        """Add one ghost batch's gradient, bit lengths and batch statistics to the step's."""
        address = Address(self.settings.seed, batch.epoch, batch.step, batch.ghost, batch.positions)
        state = self._pass(len(batch.images))
        state.address = address
        seeds = dither_seeds(address.seed, address.step, address.ghost, self._dithered_ids)
        state.dithers = dict(zip(self._dithered, seeds, strict=True))
        try:
            logits = Forward(state).run(self._input(batch.images))
            error = self._arena.take(logits.shape, INT16)
            loss, correct = self.kernels.softmax_loss(
                logits,
                batch.labels,
                self.settings.target_on,
                self.settings.target_off,
                state.dithers[self.plan.logits.output],
                error,
            )
            self.running.count_ghost_batch()
            Backward(state, self.gradients.views, self._exponents).run(error)
        finally:
            self._arena.give_all()
        self._saturated.update(state.saturated)
        return GhostResult(loss, correct)

    def norms(self, names: Iterable[str]) -> dict[str, Norms]:
        """Return the norms of parameters and of their summed gradients."""
        return {
            name: Norms(
                self._norm(self.masters.views[name], MASTER_EXPONENT),
                self._norm(self.gradients.views[name], self._exponents[name]),
            )
            for name in names
        }

    def _norm(self, values: NDArray[np.int32], exponent: int | None) -> Fraction:
        """Return the norm of a tensor; 0 where a gradient has no exponent yet."""
        if exponent is None:
            return Fraction(0)
        flat = values.reshape(-1)
        shift = norm_shift(self.kernels.bits_i32(flat).bit_length())
        return norm(self.kernels.sum_squares(flat, shift), exponent + shift)

    def update(self, scalars: Mapping[str, Scalars], ahead: Scalar | None) -> None:
        """Step momentum and masters by the reduced gradient; ``ahead``: Nesterov's momentum."""
        for name, factors in scalars.items():
            saturated = self.kernels.update(
                self.masters.views[name].reshape(-1),
                self.momentum.views[name].reshape(-1),
                self.gradients.views[name].reshape(-1),
                *factors,
                ahead,
            )
            self._saturated["v"] += saturated[0]
            self._saturated["w"] += saturated[1]

    def close_step(self) -> None:
        """Update running statistics and histories from the reduced values."""
        self.running.close_step()
        self.histories.close_step()
        self._weights = None

    def gradient_exponents(self) -> Mapping[str, int | None]:
        """Return this step's gradient exponents; None counts as zero gradient."""
        return self._exponents

    def _evaluated(self, images: NDArray[np.uint8]) -> Array:
        state = self._pass(len(images))
        try:
            return Forward(state, Mode.EVALUATION).run(self._input(images)).copy()
        finally:
            self._arena.give_all()

    def evaluate(self, images: NDArray[np.uint8], labels: NDArray[np.int32]) -> Evaluation:
        """Return exact counts with running statistics and frozen exponents."""
        return Evaluation(
            *self.kernels.evaluate_logits(
                self._evaluated(images), labels, self.settings.target_on, self.settings.target_off
            )
        )

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.int16]:
        """Return logits on 2^-10, [n, classes], with running statistics and frozen exponents."""
        return self._evaluated(images)

    def saturations(self) -> dict[str, int]:
        """Return the counts of clamped values since the last call, by kind of tensor."""
        counts = dict(self._saturated)
        self._saturated.clear()
        return counts

    def close(self) -> None:
        """Release buffers."""
        self._arena = Arena()


def history_keys(plan: Lowered, graph: Graph) -> list[str]:
    """Return the names of all histories a replica of this network keeps."""
    keys = [f"g:{parameter.name}" for parameter in graph.parameters]
    for op in plan.ops:
        source = op.shortcut if isinstance(op, ApplyOp) else op.input
        if isinstance(source, str) and source != plan.input:
            keys.append(f"d:{source}:{op.name}")
        if isinstance(op, ApplyOp):
            keys.append(f"a:{op.name}")
        elif isinstance(op, ConvOp) and op is not plan.logits:
            keys.append(f"y:{op.name}")
    return keys
