"""What a choice of split costs an operation: the tables that the search chooses by.

They are estimates: work is priced as it will be dealt to cores, but what exchanges take is worked
out from bytes in and out of chips and from how unevenly trees of that kind load links. Programs
that the search proposes are then laid out and timed exactly.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from orchestrator.compiler.draft import overlap_size
from orchestrator.compiler.layers import CHUNK, Conv, Map
from orchestrator.compiler.phase_time import work_load
from orchestrator.compiler.program import PACKET_BYTES, Split, WeightSplit, Work
from orchestrator.compiler.shares import Shares
from orchestrator.compiler.site import MOST_CORES, Site
from orchestrator.compiler.splits import Rectangles
from orchestrator.compiler.step_base import MANTISSA, MOST_PIECES, PIECE_ROWS, SUM, WIRE_BITS
from orchestrator.perf.cycles import Element
from orchestrator.perf.cycles import Pass as Product
from orchestrator.perf.rates import Rates, compute_seconds, sdram_seconds

UNEVEN = 1.35
"""How much more the busiest link carries than the mean, over a step; seen in laid-out programs."""
CROSSING = 0.5
"""Share of what a chip receives that comes over its busiest link when a split changes."""


@dataclass(frozen=True)
class Choice:
    """How a convolution is cut: number of groups, and that of its weight gradient."""

    groups: int
    weight_groups: int
    over_outputs: bool


@dataclass(frozen=True)
class Load:
    """Estimated seconds of an exchange: by itself, and of the mean link and the packet cores."""

    alone: float = 0.0
    links: float = 0.0
    handling: float = 0.0


class Prices:
    """Prices choices on a site, for a number of packet-handling cores."""

    def __init__(self, site: Site, shares: Shares, packet_cores: int, rates: Rates) -> None:
        self._site, self._shares, self._rates = site, shares, rates
        self.packet_cores = packet_cores
        self._uneven: dict[int, float] = {}
        self._columns: dict[int, float] = {}
        self._known: dict[object, object] = {}

    def split(self, groups: int) -> Split:
        """Return the split over as many chips as whole parts allow."""
        chips = self._site.mesh.order(groups)
        return Split(chips=chips[: len(chips) // groups * groups], groups=groups)

    def weight_split(self, choice: Choice) -> WeightSplit:
        """Return how the weight gradient of a choice is cut."""
        return WeightSplit(split=self.split(choice.weight_groups), over_outputs=choice.over_outputs)

    def forward(self, op: Conv, groups: int) -> float:
        """Return the seconds of forward work: convolution, statistics, activation."""
        cut, split = self._site.cutter, self.split(groups)
        result = cut.result(split, op.y)
        return self._seconds(
            ("forward", _kind(op), groups),
            lambda: [
                self._shares.packing(Product.FORWARD, op, cut.forward_weights(split, op)),
                self._shares.forward(op, result),
                self._shares.elements("", Element.STATISTICS, op.y, result),
                self._shares.elements("", Element.APPLY, op.y, result),
            ],
        )

    def backward(self, op: Conv, groups: int) -> float:
        """Return the seconds of the input gradient, and of batch norm's backward pass."""
        cut, split = self._site.cutter, self.split(groups)
        result = cut.result(split, op.y)

        def work() -> list[Work]:
            done = [
                self._shares.elements("", Element.BACKWARD_SUMS, op.y, result),
                self._shares.elements("", Element.BACKWARD, op.y, result),
            ]
            if not op.first:
                weights = cut.backward_weights(split, op)
                done.append(self._shares.packing(Product.INPUT_GRADIENT, op, weights))
                done.append(self._shares.input_gradient(op, cut.result(split, op.x)))
            return done

        return self._seconds(("backward", _kind(op), groups), work)

    def weight_gradient(self, op: Conv, choice: Choice) -> float:
        """Return the seconds of the weight gradient."""
        cut, weight_split = self._site.cutter, self.weight_split(choice)
        error, _ = cut.gradient_needs(weight_split, op)
        key = ("weights", _kind(op), choice.weight_groups, choice.over_outputs)
        return self._seconds(
            key,
            lambda: [
                self._shares.weight_gradient(op, error, cut.partial_weights(weight_split, op))
            ],
        )

    def input(self, op: Conv, held: int, groups: int) -> Load:
        """Return what bringing a convolution's input takes, held by another split."""
        cut = self._site.cutter
        need = cut.forward_need(self.split(groups), op)
        have = cut.result(self.split(held), op.x)
        key = ("input", _kind(op), held, groups)
        return self._delivery(key, have, need, op.x.width * WIRE_BITS / 8, held == groups, groups)

    def error(self, op: Conv, groups: int) -> Load:
        """Return what gathering the error takes for the input gradient."""
        cut, split = self._site.cutter, self.split(groups)
        need, have = cut.backward_need(split, op), cut.result(split, op.y)
        key = ("error", _kind(op), groups)
        return self._delivery(key, have, need, op.y.width * WIRE_BITS / 8, True, groups)

    def operands(self, op: Conv, choice: Choice, held: int) -> Load:
        """Return what else a weight gradient takes of its operands."""
        cut, weight_split = self._site.cutter, self.weight_split(choice)
        same = not choice.over_outputs and choice.weight_groups == choice.groups
        error, input_ = cut.gradient_needs(weight_split, op)
        load = Load()
        key: object
        if not same:
            have = cut.result(self.split(choice.groups), op.y)
            key = ("operand e", _kind(op), choice)
            load = self._delivery(key, have, error, op.y.width * WIRE_BITS / 8, False, 0)
        if (not same or choice.groups > 1) and not op.first:
            have = cut.result(self.split(held), op.x)
            key = ("operand x", _kind(op), choice, held)
            more = self._delivery(key, have, input_, op.x.width * WIRE_BITS / 8, False, 0)
            load = Load(
                load.alone + more.alone, load.links + more.links, load.handling + more.handling
            )
        return load

    def change(self, of: Map, held: int, groups: int) -> Load:
        """Return what bringing sums or errors of 16 bits from one split to another takes."""
        if held == groups:
            return Load()
        cut = self._site.cutter
        have, need = cut.result(self.split(held), of), cut.result(self.split(groups), of)
        return self._delivery(
            ("change", of, held, groups), have, need, of.width * MANTISSA, False, 0
        )

    def broadcast(self, op: Conv, choice: Choice) -> tuple[Load, Load]:
        """Return what sending new weights takes: before the forward pass, and during backward."""
        size = op.weights * WIRE_BITS / 8
        one = self._column_load(choice.groups, size)
        if choice.groups == 1 or op.first:
            return one, Load()
        return one, one

    def reduction(self, op: Conv, choice: Choice) -> Load:
        """Return what adding the partial weight gradients takes."""
        products = self._site.images * op.y.height * op.y.width * choice.weight_groups
        bits = np.log2(4095.0**2 * max(1, products / self._site.mesh.n)) + 2
        load = self._column_load(choice.weight_groups, op.weights * bits / 8, reduces=True)
        return load

    def memory(self, op: Conv, choice: Choice) -> float:
        """Return the bytes of a chip that a convolution keeps for the step, about."""
        n = self._site.mesh.n
        copies = 1 if choice.groups == 1 else 2
        landing = copies * MANTISSA * op.weights / choice.groups
        tensors = MANTISSA * self._site.images * (2 * _padded(op.y)) / n
        return landing + tensors + 14 * op.weights / n

    def momentary(self, op: Conv, choice: Choice) -> float:
        """Return the bytes of a chip that a convolution's passes need beside."""
        gathered = MANTISSA * self._site.images * max(_padded(op.x), _padded(op.y))
        parts = self._site.mesh.n / choice.groups
        return gathered / parts * (choice.groups > 1) + (MANTISSA + SUM) * op.weights / min(
            choice.groups, choice.weight_groups
        )

    def pieces(self, of: Map, groups: int) -> int:
        """Return the pieces of a streamed exchange."""
        rows = self._site.images * of.height * groups / self._site.mesh.n
        return min(MOST_PIECES, max(1, int(rows) // PIECE_ROWS))

    def _column_load(self, groups: int, size: float, reduces: bool = False) -> Load:
        parts = self._site.mesh.n // groups
        if parts < 2:
            return Load()
        mesh = self._site.mesh
        if groups not in self._columns:
            members = np.array(self.split(groups).chips).reshape(parts, groups).T.tolist()
            wanted = [
                (root, tuple(c for c in group if c != root), 1)
                for group in members
                for root in group
            ]
            trees = mesh.trees(wanted)
            self._columns[groups] = sum(len(tree.links) for tree in trees) / len(trees)
        links = size * self._columns[groups] / mesh.n_links / self._rates.link
        received = size / groups * (parts - 1) / parts
        sent = received if reduces else size / mesh.n
        return Load(0.0, links, self._handling(sent, received))

    def _handling(self, sent: float, received: float) -> float:
        cycles = sent * self._rates.packet_send + received * self._rates.packet_receive
        return cycles / (PACKET_BYTES * max(self.packet_cores, 1) * self._rates.clock)

    def _delivery(
        self, key: object, have: Rectangles, need: Rectangles, element: float, same: bool,
        groups: int,
    ) -> Load:  # fmt: skip
        if key in self._known:
            known = self._known[key]
            assert isinstance(known, Load)
            return known
        own = overlap_size(have.rows, have.channels, need.rows, need.channels)
        received = (need.sizes - own) * element
        most, mean = float(received.max()), float(received.mean())
        uneven = self._unevenness(groups) if same and groups > 1 else CROSSING
        hops = 1.3 if same else 2.0
        links = mean * self._site.mesh.n * hops / max(1, self._site.mesh.n_links) / self._rates.link
        handling = self._handling(float(have.sizes.mean()) * element * (most > 0), mean)
        alone = max(most * uneven / self._rates.link, handling)
        self._known[key] = load = Load(alone, links, handling)
        return load

    def _unevenness(self, groups: int) -> float:
        """Return which share of what a chip gathers its busiest link carries."""
        if groups not in self._uneven:
            mesh = self._site.mesh
            rows = np.array(self.split(groups).chips).reshape(-1, groups).tolist()
            wanted = [(chip, tuple(c for c in row if c != chip), 1) for row in rows for chip in row]
            carried = np.zeros(6 * mesh.n)
            for tree in mesh.trees(wanted):
                np.add.at(carried, list(tree.links), 1)
            self._uneven[groups] = float(carried.max()) / (groups - 1)
        return self._uneven[groups]

    def _seconds(self, key: object, work: Callable[[], list[Work]]) -> float:
        if key not in self._known:
            load = work_load(work(), self._site.mesh.n, MOST_CORES)
            computing = compute_seconds(load.cycles, load.waited_bytes, load.cores, self._rates)
            moving = sdram_seconds(load.dma_bytes, load.dma_transfers, load.cores, self._rates)
            self._known[key] = float(np.maximum(computing, moving).max())
        known = self._known[key]
        assert isinstance(known, float)
        return known


def _kind(op: Conv) -> Conv:
    """Return an operation without its names: those of one kind cost the same."""
    return replace(op, name="", source="", weight="", bias=None)


def _padded(of: Map) -> int:
    return of.height * of.width * -(-of.channels // CHUNK) * CHUNK
