"""Lays out the backward pass."""

from dataclasses import replace

import numpy as np

from orchestrator.compiler.draft import (
    WHOLE_STEP,
    Claim,
    Job,
    Stage,
    present,
)
from orchestrator.compiler.layers import Apply, Conv, Dropout, Map, Pool
from orchestrator.compiler.program import (
    Exchange,
    Gradient,
    Overlap,
    Pass,
    WeightSplit,
    Work,
)
from orchestrator.compiler.splits import Rectangles
from orchestrator.compiler.step_base import MANTISSA, SUM, StepBase, Waiting, fixed, hull, sum_bits
from orchestrator.compiler.transfers import handled, sliced
from orchestrator.machine.geometry import Ints
from orchestrator.perf.cycles import Element
from orchestrator.perf.cycles import Pass as Product


class BackwardPass(StepBase):
    """Phases from the error at the logits to the partial sums of all weights' gradients."""

    def _backward(self, op: Conv) -> None:
        split, cut, draft = self._splits[op.name], self._cutter, self._draft
        error, at = f"error at {op.name}", self._errors[op.name]
        have, weight_split = cut.result(at, op.y), self._weight_splits[op.name]
        error_need, input_need = cut.gradient_needs(weight_split, op)
        kept = [draft.claims[index] for index in self._kept.pop(op.name, [])]
        waiting = Waiting(op, at, error_need, kept, [])
        if not op.first:
            need = cut.backward_need(split, op)
            shared = weight_split == WeightSplit(split=split)
            if shared:
                need = hull(need, error_need)
            gather, claim = self._gather(error, op.y, have, need, at == split)
            behind = self._weight_gradient(gather)
            if claim is not None:
                claim.first = draft.now + (not behind)
                claim.last = draft.now + 1
                kept += [claim] if shared else []
            stage = draft.stage(f"input gradient {op.name}", op.name, Pass.INPUT_GRADIENT)
            if op.name in self._landings:
                self._landings[op.name].last = draft.now - 1
            stage.exchanges += _rest(gather, behind)
            weights = cut.backward_weights(split, op)
            work = self._shares.input_gradient(op, cut.result(split, op.x))
            stage.work.append(self._shares.packing(Product.INPUT_GRADIENT, op, weights, [work]))
            stage.work.append(work)
            self._claim_now(f"{op.weight} turned", "weights", weights.sizes * op.taps * MANTISSA)
            self._contribute(op.source, split, op.x, stage)
            together = split.groups == 1
            if not shared:
                self._ahead(stage, waiting, error, op.y, have, error_need, together)
            if not shared or split.groups > 1:
                held = cut.result(self._held[op.source], op.x)
                self._ahead(stage, waiting, op.source, op.x, held, input_need, together)
            if together:
                stage.name = f"gradients {op.name}"
                self._sum_products(waiting, stage)
                return
        else:
            self._weight_gradient(None)
            gather, _ = self._gather(error, op.y, have, error_need, at == split)
            waiting.exchanges.extend(present(gather))
        self._waiting.append(waiting)
        if op.first:
            self._last_weight_gradient()

    def _ahead(
        self, stage: Stage, waiting: Waiting, tensor: str, of: Map, have: Rectangles,
        need: Rectangles, together: bool,
    ) -> None:  # fmt: skip
        """Deliver what a weight gradient needs, which follows other work in this phase.

        Where it has a phase of its own: half behind this one, half beside its own.
        """
        exchange, claim = self._gather(tensor, of, have, need, False)
        if exchange is None or claim is None:
            return
        claim.first = self._draft.now
        waiting.kept.append(claim)
        stage.exchanges += present(
            sliced(replace(exchange, overlap=Overlap.BEHIND, pieces=1), 0, 0, 2)
        )
        waiting.exchanges.extend(present(sliced(replace(exchange, pieces=0), 0, 1, 2)))

    def _weight_gradient(self, gather: Exchange | None) -> bool:
        """Add the phase of a waiting weight gradient, behind which half of a gather goes.

        Returns
        -------
        Whether there is one.
        """
        if not self._waiting:
            return False
        stage = self._last_weight_gradient()
        if gather is not None:
            first = sliced(replace(gather, overlap=Overlap.BEHIND, pieces=1), 0, 0, 2)
            stage.exchanges += present(first)
        return True

    def _last_weight_gradient(self) -> Stage:
        """Add the phase of the weight gradient that waits."""
        waiting = self._waiting.pop()
        op = waiting.op
        stage = self._draft.stage(f"weight gradient {op.name}", op.name, Pass.WEIGHT_GRADIENT)
        self._sum_products(waiting, stage)
        return stage

    def _sum_products(self, waiting: Waiting, stage: Stage) -> None:
        """Add a weight gradient to a phase, and send its partial sums to their owners."""
        op, cut, draft = waiting.op, self._cutter, self._draft
        stage.exchanges += waiting.exchanges
        weight_split = self._weight_splits[op.name]
        partial = cut.partial_weights(weight_split, op)
        stage.work.append(
            self._shares.weight_gradient(op, waiting.error, partial, tuple(stage.work))
        )
        self._reduce(op, weight_split, partial)
        if op.bias is not None:
            at = waiting.at
            have = cut.result(at, op.y)
            stage.work.append(self._shares.elements(op.name, Element.STATISTICS, op.y, have))
            exchange = self._transfers.reduce(
                op.bias,
                cut.members(at),
                cut.channel_owners(at, op.y.channels),
                fixed(8 * SUM),
                Overlap.BEHIND,
            )
            self._job_of_gradient(Job(exchange, 0, 0), op.bias)
        for claim in waiting.kept:
            claim.last = draft.now

    def _gather(
        self, tensor: str, of: Map, have: Rectangles, need: Rectangles, same: bool
    ) -> tuple[Exchange | None, Claim | None]:
        """Return the exchange of an error, and a region for it."""
        stage = Stage(f"the passes of {tensor}", "", Pass.INPUT_GRADIENT)
        index = self._deliver(stage, tensor, of, have, need, same, mantissas=True)
        if index is None:
            return None, None
        self._draft.stages[-1].work += stage.work
        return stage.exchanges[0], self._draft.claims[index]

    def _reduce(self, op: Conv, cut: WeightSplit, partial: Rectangles) -> None:
        """Claim the partial sums and send them to the owners of the weights."""
        draft, owners = self._draft, self._cutter.masters(cut, op)
        claim = draft.claim(
            f"sums of {op.weight}", "partial", partial.sizes * op.taps * SUM, draft.now, draft.now
        )
        cuts = np.ptp(self._cutter.result(cut.split, op.y).rows, axis=1)
        products = int(cuts.max()) * op.y.width

        def bits(addends: Ints) -> Ints:
            return op.taps * sum_bits(addends * products)

        members = self._cutter.members(cut.split)
        exchange = self._transfers.reduce(op.weight, members, owners, bits, Overlap.BEHIND)
        cost = self._shares.element_cost(Element.BACKWARD_SUMS)

        def adding(part: Exchange) -> list[Work]:
            added = handled(part, self._mesh.n, sender=False) * op.taps
            return [
                self._shares.flat(op.name, Element.BACKWARD_SUMS, cost, added),
                self._wire(op.name, handled(part, self._mesh.n) * op.taps),
            ]

        self._job_of_gradient(Job(exchange, 0, 0, claim, fills=False, work_of=adding), op.weight)

    def _job_of_gradient(self, job: Job, parameter: str) -> None:
        """Add an exchange that completes a gradient: behind a later phase, before the update."""
        job.first, job.last = self._draft.now + 1, WHOLE_STEP
        job.gradient = parameter, self._network.parameters[parameter]
        self._draft.jobs.append(job)

    def _apply_backward(self, op: Apply) -> None:
        split, cut, draft = self._splits[op.name], self._cutter, self._draft
        result = cut.result(split, op.y)
        stage = draft.stage(f"backward sums {op.name}", op.name, Pass.INPUT_GRADIENT)
        at = self._errors[op.name]
        error = f"error at {op.name}"
        self._deliver(stage, error, op.y, cut.result(at, op.y), result, at == split)
        branches = 2 if op.projection else 1
        for _ in range(branches):
            stage.work.append(self._shares.elements(op.name, Element.BACKWARD_SUMS, op.y, result))
        stage = draft.stage(f"backward {op.name}", op.name, Pass.INPUT_GRADIENT)
        stage.exchanges += self._agree(op, split, "backward sums")
        if op.norm:
            stage.work.append(self._coefficients(op, split))
        for _ in range(branches):
            stage.work.append(self._shares.elements(op.name, Element.BACKWARD, op.y, result))
        draft.gradients += [
            Gradient(name=name, elements=self._network.parameters[name], phase=draft.now)
            for name in op.parameters
        ]
        self._error(op.main, split, op.y)
        if op.shortcut is not None and op.projection:
            self._error(op.shortcut, split, op.y)
        elif op.shortcut is not None:
            self._contribute(op.shortcut, split, op.y, stage)

    def _pool_backward(self, op: Pool) -> None:
        split, cut = self._splits[op.name], self._cutter
        stage = self._draft.stage(f"backward {op.name}", op.name, Pass.INPUT_GRADIENT)
        at = self._errors[op.name]
        need = cut.backward_need(split, op)
        self._deliver(stage, f"error at {op.name}", op.y, cut.result(at, op.y), need, at == split)
        if not op.average:
            self._deliver(
                stage, f"{op.name} places", op.y, cut.result(split, op.y), need, True, size=1
            )
        kernel = Element.AVERAGE_POOL_BACKWARD if op.average else Element.MAX_POOL_BACKWARD
        result = cut.result(split, op.x)
        stage.work.append(self._shares.elements(op.name, kernel, op.x, result))
        self._contribute(op.source, split, op.x, stage)

    def _dropout_backward(self, op: Dropout) -> None:
        split, cut = self._splits[op.name], self._cutter
        stage = self._draft.stage(f"backward {op.name}", op.name, Pass.INPUT_GRADIENT)
        at = self._errors[op.name]
        result = cut.result(split, op.y)
        self._deliver(stage, f"error at {op.name}", op.y, cut.result(at, op.y), result, at == split)
        stage.work.append(self._shares.elements(op.name, Element.DROPOUT, op.y, result))
        self._contribute(op.source, split, op.y, stage)


def _rest(gather: Exchange | None, behind: bool) -> list[Exchange]:
    """Return what of a gather is streamed: all, or the half that did not come behind a phase."""
    if gather is None:
        return []
    if not behind:
        return [gather]
    return present(sliced(replace(gather, pieces=0), 0, 1, 2))
