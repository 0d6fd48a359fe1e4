"""Lays out the forward pass and the loss."""

import numpy as np

from orchestrator.compiler.draft import (
    WHOLE_STEP,
    Job,
    Stage,
)
from orchestrator.compiler.layers import Apply, Conv, Dropout, Map, Pool
from orchestrator.compiler.program import (
    ExchangeKind,
    Overlap,
    Pass,
    Split,
)
from orchestrator.compiler.splits import Rectangles
from orchestrator.compiler.step_base import MANTISSA, PIXEL, WIRE_BITS, StepBase, hull
from orchestrator.compiler.transfers import handled
from orchestrator.perf.cycles import Element
from orchestrator.perf.cycles import Pass as Product


class ForwardPass(StepBase):
    """Phases from the images to the error at the logits."""

    def _forward(self, op: Conv) -> None:
        split, cut, draft = self._splits[op.name], self._cutter, self._draft
        stage = draft.stage(f"forward {op.name}", op.name, Pass.FORWARD)
        need, result = cut.forward_need(split, op), cut.result(split, op.y)
        packed = cut.forward_weights(split, op)
        if op.first:
            self._take_images(op, need, stage)
        else:
            self._bring_input(stage, op, split)
        self._weights(op, split)
        work = [self._shares.forward(op, result)]
        if op.statistics:
            work.append(
                self._shares.elements(op.name, Element.STATISTICS, op.y, result, beside=work)
            )
        stage.work.append(self._shares.packing(Product.FORWARD, op, packed, work))
        stage.work += work
        self._claim_now(f"{op.weight} packed", "weights", packed.sizes * op.taps * MANTISSA)
        self._keep(op.name, op.name, "sums", op.y, result)
        self._held[op.name] = split

    def _take_images(self, op: Conv, need: Rectangles, stage: Stage) -> None:
        """Turn pixels into mantissas; those of the next step come while this one goes on."""
        pixels = need.sizes * op.x.width
        stage.work.append(
            self._shares.flat(
                op.name, Element.INPUT_TABLE, self._shares.element_cost(Element.INPUT_TABLE), pixels
            )
        )
        for which in ("this step", "next step"):
            self._draft.claim(f"pixels, {which}", "input", pixels * PIXEL, 0, WHOLE_STEP)
        mantissas = pixels // op.x.channels * max(4, op.x.channels) * MANTISSA
        index = len(self._draft.claims)
        self._draft.claim(op.source, "activation", mantissas, 0, 0)
        self._kept.setdefault(op.name, []).append(index)
        have = self._at_ethernet(op.x)
        exchange = self._transfers.deliver(
            ExchangeKind.INPUT, op.source, have, need, 8 * op.x.width * PIXEL, Overlap.BEHIND
        )
        self._draft.jobs.append(Job(exchange, 0, WHOLE_STEP))

    def _at_ethernet(self, of: Map) -> Rectangles:
        """Return the pixels that come in at each Ethernet chip: equal shares of the image rows."""
        doors = self._ethernet if self._ethernet.size else np.zeros(1, np.int64)
        cuts = np.arange(len(doors) + 1) * (self._cutter.images * of.height) // len(doors)
        rows, channels = np.zeros((2, self._mesh.n, 2), np.int64)
        rows[doors] = np.stack([cuts[:-1], cuts[1:]], axis=1)
        channels[doors] = 0, of.channels
        return Rectangles(rows, channels)

    def _apply(self, op: Apply) -> None:
        split, draft = self._splits[op.name], self._draft
        stage = draft.stage(f"apply {op.name}", op.name, Pass.FORWARD)
        result = self._cutter.result(split, op.y)
        stage.exchanges += self._agree(op, split, "statistics")
        if op.norm:
            stage.work.append(self._coefficients(op, split))
        self._bring(stage, op.main, op.y, result)
        if op.shortcut is not None:
            self._bring(stage, op.shortcut, op.y, result)
        kernel = Element.APPLY if op.shortcut is None else Element.APPLY_SHORTCUT
        stage.work.append(self._shares.elements(op.name, kernel, op.y, result))
        self._keep(op.name, op.name, "activation", op.y, result)
        self._held[op.name] = split

    def _pool(self, op: Pool) -> None:
        split, cut = self._splits[op.name], self._cutter
        stage = self._draft.stage(f"pool {op.name}", op.name, Pass.FORWARD)
        need = cut.forward_need(split, op)
        self._bring(stage, op.source, op.x, need)
        result = cut.result(split, op.y)
        if op.average:
            kernel, of, over = Element.AVERAGE_POOL, op.x, need
        else:
            kernel, of, over = Element.MAX_POOL, op.y, result
        times = 1.0 if op.average else op.kernel[0] * op.kernel[1] / 9
        stage.work.append(self._shares.elements(op.name, kernel, of, over, times))
        self._keep(op.name, op.name, "activation", op.y, result)
        if not op.average:
            self._keep(op.name, f"{op.name} places", "activation", op.y, result, 1)
        self._held[op.name] = split

    def _dropout(self, op: Dropout) -> None:
        split = self._splits[op.name]
        stage = self._draft.stage(f"dropout {op.name}", op.name, Pass.FORWARD)
        result = self._cutter.result(split, op.y)
        self._bring(stage, op.source, op.y, result)
        stage.work.append(self._shares.elements(op.name, Element.DROPOUT, op.y, result))
        self._keep(op.name, op.name, "activation", op.y, result)
        self._held[op.name] = split

    def _loss(self) -> None:
        op = self._network.convolutions[-1]
        at = self._splits[op.name]
        split = Split(chips=at.chips[: self._cutter.images], groups=1, whole_images=True)
        stage = self._draft.stage("loss", op.name, Pass.FORWARD)
        result = self._cutter.result(split, op.y)
        self._bring(stage, op.name, op.y, result, overlap=Overlap.BEFORE)
        stage.work.append(self._shares.elements(op.name, Element.LOSS, op.y, result))
        self._claim_now("error at the logits", "error", result.sizes * MANTISSA, 1)
        self._errors[op.name] = split

    def _weights(self, op: Conv, split: Split) -> None:
        """Send the weights: one copy for both passes where chips need all of them."""
        draft, cut = self._draft, self._cutter
        have = cut.masters(self._weight_splits[op.name], op)
        copies = [("forward", cut.forward_weights(split, op), draft.now)]
        if split.groups > 1 and not op.first:
            copies.append(("backward", cut.backward_weights(split, op), -1))
        for which, need, use in copies:
            exchange = self._transfers.deliver(
                ExchangeKind.BROADCAST, op.weight, have, need, op.taps * WIRE_BITS, Overlap.BEHIND
            )
            last = use if split.groups > 1 else -1
            index = len(draft.claims)
            claim = draft.claim(
                f"{op.weight} {which}", "weights", need.sizes * op.taps * MANTISSA, 0, max(last, 0)
            )
            if last < 0:
                self._kept.setdefault(op.name, []).append(index)
            job = Job(exchange, 0, use - 1, claim)
            job.work_of = lambda part: [self._wire(op.name, handled(part, self._mesh.n) * op.taps)]
            if which == "backward":
                self._landings[op.name] = job
            draft.jobs.append(job)

    def _bring_input(self, stage: Stage, op: Conv, split: Split) -> None:
        """Deliver the input of a convolution, once for all that take it by the same split.

        Where chips take all channels as they are, it stays for the weight gradient.
        """
        place = (op.source, split)
        if place not in self._brought:
            need = self._cutter.forward_need(split, op)
            for other in self._network.convolutions:
                if other.source == op.source and self._splits[other.name] == split:
                    need = hull(need, self._cutter.forward_need(split, other))
            held = self._held[op.source]
            have = self._cutter.result(held, op.x)
            self._brought[place] = self._deliver(
                stage, op.source, op.x, have, need, held == split, mantissas=True
            )
        index = self._brought[place]
        if index is not None and split.groups == 1:
            self._kept.setdefault(op.name, []).append(index)
        elif index is not None:
            self._draft.claims[index].last = self._draft.now
