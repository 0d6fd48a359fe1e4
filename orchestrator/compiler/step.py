"""Lays out a training step: the forward pass, the loss, the backward pass, the update.

Every operation is cut by its split. Forward, a convolution gathers all input channels of its rows;
batch norm adds sums over the parts and takes tensor-wide numbers over all chips. Backward, a
convolution gathers all channels of the error once, for the input gradient of its group of input
channels and for the weight gradient of the same group, whose partial sums over its rows then go to
the chips that own the weights, exact.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from orchestrator.compiler.draft import (
    WHOLE_STEP,
    Claim,
    Draft,
    Job,
    Stage,
    overlap_size,
    present,
)
from orchestrator.compiler.layers import Apply, Conv, Dropout, Map, Pool
from orchestrator.compiler.program import (
    Exchange,
    ExchangeKind,
    Gradient,
    Overlap,
    Pass,
    Split,
    WeightSplit,
    Work,
)
from orchestrator.compiler.shares import Shares
from orchestrator.compiler.site import Site
from orchestrator.compiler.splits import Rectangles
from orchestrator.compiler.transfers import handled, sliced
from orchestrator.machine.geometry import Ints
from orchestrator.perf.cycles import Cost, Element
from orchestrator.perf.cycles import Pass as Product

WIRE_BITS = 13
"""Of an activation, a convolution's error or a weight copy between chips: its mantissa alone."""
WIRE_CYCLES = 4.0
"""For each value sent or received, shifting it to its place among others: own count, assumed."""
MANTISSA = 2
"""Bytes of an activation, a sum, an error, a weight copy (docs/numerics.md, section 3)."""
STATISTICS = 24
"""Bytes of a channel's sums: two of 64 bits, two extremes of 16 bits, padded to words."""
COEFFICIENTS = 12
"""Bytes of a channel's coefficients A, R and B."""
NUMBERS = 16
"""Bytes of a tensor's own numbers: largest exponent, bound, bit length, saturations."""
PIXEL = 1
MASTER = 4
"""Bytes of a master weight, of its momentum, of a summed gradient."""
SUM = 8
"""Bytes of a partial sum of a weight gradient in SDRAM."""
MOST_PIECES = 8
PIECE_ROWS = 6
"""Image rows that a piece of a streamed exchange has at least, so that tiles stay large."""


class Step:
    """Lays out a step for given splits.

    Parameters
    ----------
    splits : of every operation.
    weight_splits : of every convolution and dense layer.
    """

    def __init__(
        self,
        site: Site,
        splits: dict[str, Split],
        weight_splits: dict[str, WeightSplit],
        shares: Shares,
    ) -> None:
        self._splits, self._weight_splits, self._shares = splits, weight_splits, shares
        self._network, self._mesh, self._ethernet = site.network, site.mesh, site.ethernet
        self._cutter, self._transfers = site.cutter, site.transfers
        self._draft = Draft()
        self._held: dict[str, Split] = {}  # activations and sums, by tensor
        self._errors: dict[str, Split] = {}  # errors at activations and at sums
        self._kept: dict[str, list[int]] = {}  # claims that live until an operation's backward pass
        self._landings: dict[str, Job] = {}
        self._brought: dict[tuple[str, Split], int | None] = {}
        self._waiting: list[_Waiting] = []  # weight gradients that cover the next gather

    def lay_out(self) -> Draft:
        """Return the step."""
        self._claim_masters()
        for op in self._network.operations:
            match op:
                case Conv():
                    self._forward(op)
                case Apply():
                    self._apply(op)
                case Pool():
                    self._pool(op)
                case Dropout():
                    self._dropout(op)
        self._loss()
        for op in reversed(self._network.operations):
            match op:
                case Conv():
                    self._backward(op)
                case Apply():
                    self._apply_backward(op)
                case Pool():
                    self._pool_backward(op)
                case Dropout():
                    self._dropout_backward(op)
            for index in self._kept.pop(op.name, []):
                self._draft.claims[index].last = self._draft.now
        self._update()
        return self._draft

    # Forward.

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

    # Backward.

    def _backward(self, op: Conv) -> None:
        split, cut, draft = self._splits[op.name], self._cutter, self._draft
        error, at = f"error at {op.name}", self._errors[op.name]
        have, weight_split = cut.result(at, op.y), self._weight_splits[op.name]
        error_need, input_need = cut.gradient_needs(weight_split, op)
        kept = [draft.claims[index] for index in self._kept.pop(op.name, [])]
        waiting = _Waiting(op, at, error_need, kept, [])
        if not op.first:
            need = cut.backward_need(split, op)
            shared = weight_split == WeightSplit(split=split)
            if shared:
                need = _hull(need, error_need)
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
        self, stage: Stage, waiting: "_Waiting", tensor: str, of: Map, have: Rectangles,
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

    def _sum_products(self, waiting: "_Waiting", stage: Stage) -> None:
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

    # The update.

    def _claim_masters(self) -> None:
        for op in self._network.convolutions:
            size = self._cutter.masters(self._weight_splits[op.name], op).sizes * op.taps * MASTER
            for purpose in ("master", "momentum", "gradient"):
                self._draft.claim(f"{purpose} {op.weight}", purpose, size, 0, WHOLE_STEP)

    def _update(self) -> None:
        """Round the summed gradients, update masters, take their bit lengths, copy them."""
        owned = np.zeros(self._mesh.n, np.int64)
        for op in self._network.convolutions:
            owned += self._cutter.masters(self._weight_splits[op.name], op).sizes * op.taps
        names = len(self._network.convolutions)
        stage = self._draft.stage("update", "update", Pass.UPDATE)
        for kernel in (Element.COPY, Element.UPDATE, Element.BIT_LENGTH):
            stage.work.append(
                self._shares.flat("update", kernel, self._shares.element_cost(kernel), owned)
            )
        stage = self._draft.stage("copy weights", "update", Pass.UPDATE)
        everywhere = Split(chips=tuple(range(self._mesh.n)), groups=1)
        stage.exchanges += self._numbers("bit lengths of the weights", everywhere, MASTER * names)
        stage.work.append(
            self._shares.flat(
                "update", Element.COPY, self._shares.element_cost(Element.COPY), owned
            )
        )
        self._draft.claim("new weights", "weights", owned * MANTISSA, 0, WHOLE_STEP)

    # What they have in common.

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

    def _agree(self, op: Apply, split: Split, what: str) -> list[Exchange]:
        """Add channels' sums over the parts, take tensor-wide numbers, spread coefficients."""
        channels, cut = op.y.channels, self._cutter
        owners, users = cut.channel_owners(split, channels), cut.channel_users(split, channels)
        name = f"{what} of {op.name}"
        if not op.norm:
            return self._numbers(name, split, NUMBERS)
        branches = 2 if op.projection else 1
        sums = self._transfers.reduce(
            name,
            cut.members(split),
            owners,
            fixed(8 * branches * STATISTICS),
            Overlap.BEFORE,
        )
        spread = self._transfers.deliver(
            ExchangeKind.SPREAD,
            f"coefficients, {name}",
            owners,
            users,
            8 * branches * COEFFICIENTS,
            Overlap.BEFORE,
        )
        return [*present(sums), *self._numbers(name, split, NUMBERS), *present(spread)]

    def _numbers(self, tensor: str, split: Split, size: int) -> list[Exchange]:
        """Take the largest of a few numbers over all chips of a split, and tell it to all."""
        everyone = np.array(split.chips)[None, :]
        centre = everyone[
            0, int(self._mesh.distances[np.ix_(everyone[0], everyone[0])].max(1).argmin())
        ]
        one = np.zeros((self._mesh.n, 2), np.int64)
        one[centre] = 0, 1
        all_ = np.zeros((self._mesh.n, 2), np.int64)
        all_[everyone[0]] = 0, 1
        owner, users = Rectangles(one, one), Rectangles(all_, all_)
        return present(
            self._transfers.reduce(
                f"numbers, {tensor}", everyone, owner, fixed(8 * size), Overlap.BEFORE
            ),
            self._transfers.deliver(
                ExchangeKind.SPREAD, f"numbers, {tensor}", owner, users, 8 * size, Overlap.BEFORE
            ),
        )

    def _coefficients(self, op: Apply, split: Split) -> Work:
        """Return the work of making the coefficients of a batch norm, where its sums end."""
        amounts = self._cutter.channel_owners(split, op.y.channels).sizes
        cost = self._shares.element_cost(Element.LOSS)
        return self._shares.flat(op.name, "batch norm coefficients", cost, amounts)

    def _bring(
        self, stage: Stage, tensor: str, of: Map, need: Rectangles,
        overlap: Overlap = Overlap.STREAMED,
    ) -> None:  # fmt: skip
        """Deliver an activation or sums to where they are needed."""
        held = self._held[tensor]
        self._deliver(stage, tensor, of, self._cutter.result(held, of), need, True, overlap=overlap)

    def _bring_input(self, stage: Stage, op: Conv, split: Split) -> None:
        """Deliver the input of a convolution, once for all that take it by the same split.

        Where chips take all channels as they are, it stays for the weight gradient.
        """
        place = (op.source, split)
        if place not in self._brought:
            need = self._cutter.forward_need(split, op)
            for other in self._network.convolutions:
                if other.source == op.source and self._splits[other.name] == split:
                    need = _hull(need, self._cutter.forward_need(split, other))
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

    def _deliver(
        self, stage: Stage, tensor: str, of: Map, have: Rectangles, need: Rectangles, same: bool,
        size: int = MANTISSA, overlap: Overlap = Overlap.STREAMED, mantissas: bool = False,
    ) -> int | None:  # fmt: skip
        """Add the exchange that brings what is needed, and a region for it; return its index."""
        gathers = bool((np.ptp(need.channels, axis=1) > np.ptp(have.channels, axis=1)).any())
        kind = ExchangeKind.HALO if same and not gathers else ExchangeKind.GATHER
        rows = int(np.ptp(need.rows, axis=1).max())
        pieces = min(MOST_PIECES, max(1, rows // PIECE_ROWS))
        if overlap is not Overlap.STREAMED:
            pieces = 1
        bits = WIRE_BITS if mantissas else 8 * size
        exchange = self._transfers.deliver(
            kind, tensor, have, need, of.width * bits, overlap, pieces
        )
        if exchange is None:
            return None
        stage.exchanges.append(exchange)
        if mantissas:
            stage.work.append(self._wire(tensor, handled(exchange, self._mesh.n) * of.width))
        own = overlap_size(have.rows, have.channels, need.rows, need.channels)
        draft = self._draft
        draft.claim(
            f"{tensor}, for {stage.name}", "exchange", (need.sizes - own) * of.width * size,
            draft.now, min(draft.now + 1, draft.now + (stage.step_pass is Pass.INPUT_GRADIENT)),
        )  # fmt: skip
        return len(draft.claims) - 1

    def _keep(
        self, owner: str, tensor: str, purpose: str, of: Map, result: Rectangles,
        size: int = MANTISSA,
    ) -> None:  # fmt: skip
        """Claim a tensor from now until its operation's backward pass."""
        self._kept.setdefault(owner, []).append(len(self._draft.claims))
        self._draft.claim(
            tensor, purpose, padded_sizes(result) * of.width * size, self._draft.now, 0
        )

    def _wire(self, node: str, amounts: Ints) -> Work:
        """Return the work of turning mantissas and sums into the bits that travel, and back."""
        return self._shares.flat(node, "wire format", Cost(cycles=WIRE_CYCLES), amounts)

    def _claim_now(self, name: str, purpose: str, size: Ints, later: int = 0) -> None:
        self._draft.claim(name, purpose, size, self._draft.now, self._draft.now + later)

    def _error(self, tensor: str, split: Split, of: Map) -> None:
        """Claim the error at a tensor until the pass of the operation that made it."""
        self._errors[tensor] = split
        result = self._cutter.result(split, of)
        self._kept.setdefault(tensor, []).append(len(self._draft.claims))
        self._draft.claim(
            f"error at {tensor}", "error", padded_sizes(result) * of.width * MANTISSA,
            self._draft.now, 0,
        )  # fmt: skip

    def _contribute(self, tensor: str, split: Split, of: Map, stage: Stage) -> None:
        """Add an error at an activation to what other consumers contributed."""
        if tensor == self._network.input:
            return
        if tensor in self._errors:
            at = self._errors[tensor]
            cut = self._cutter
            have, need = cut.result(at, of), cut.result(split, of)
            self._deliver(stage, f"error at {tensor}", of, have, need, at == split)
        self._error(tensor, split, of)


@dataclass(frozen=True)
class _Waiting:
    """A weight gradient that is made while the error of the next convolution is gathered."""

    op: Conv
    at: Split
    """Of the error."""
    error: Rectangles
    """What it needs of the error."""
    kept: list[Claim]
    """Regions that it reads."""
    exchanges: list[Exchange]
    """What else goes beside it."""


def _rest(gather: Exchange | None, behind: bool) -> list[Exchange]:
    """Return what of a gather is streamed: all, or the half that did not come behind a phase."""
    if gather is None:
        return []
    if not behind:
        return [gather]
    return present(sliced(replace(gather, pieces=0), 0, 1, 2))


def padded_sizes(result: Rectangles) -> Ints:
    """Return the elements of rectangles whose channels fill whole chunks, for a width of 1."""
    chunks = -(-np.ptp(result.channels, axis=1) // 32)
    sizes: Ints = np.ptp(result.rows, axis=1) * chunks * 32
    return sizes


def sum_bits(products: Ints) -> Ints:
    """Return the bits of exact sums of so many products of 13-bit mantissas, with sign.

    Examples
    --------
    >>> sum_bits(np.array([128, 32 * 7 * 7, 32 * 112 * 112])).tolist()
    [32, 36, 44]
    """
    largest = products * (4095 * 4095)
    bits: Ints = np.floor(np.log2(np.maximum(largest, 1))).astype(np.int64) + 2
    return bits


def fixed(bits: int) -> Callable[[Ints], Ints]:
    """Return the width of sums that have the same bits whatever they are sums of."""
    return lambda addends: np.full_like(addends, bits)


def _hull(one: Rectangles, other: Rectangles) -> Rectangles:
    """Return the rectangles of rows that hold both; an empty one counts for nothing."""
    empty, other_empty = one.sizes == 0, other.sizes == 0
    low = np.minimum(one.rows[:, 0], other.rows[:, 0])
    high = np.maximum(one.rows[:, 1], other.rows[:, 1])
    rows = np.stack([low, high], axis=1)
    rows = np.where(empty[:, None], other.rows, np.where(other_empty[:, None], one.rows, rows))
    channels = np.maximum(one.channels, other.channels)
    return Rectangles(rows, channels)
