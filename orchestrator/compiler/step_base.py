"""What the passes of a step have in common: deliveries, agreements, regions."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from orchestrator.compiler.draft import (
    Claim,
    Draft,
    Job,
    Stage,
    overlap_size,
    present,
)
from orchestrator.compiler.layers import Apply, Conv, Map
from orchestrator.compiler.program import (
    Exchange,
    ExchangeKind,
    Overlap,
    Pass,
    Split,
    WeightSplit,
    Work,
)
from orchestrator.compiler.shares import Shares
from orchestrator.compiler.site import Site
from orchestrator.compiler.splits import Rectangles
from orchestrator.compiler.transfers import handled
from orchestrator.machine.geometry import Ints
from orchestrator.perf.cycles import Cost, Element

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


@dataclass(frozen=True)
class Waiting:
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


class StepBase:
    """State of a step that is laid out, and what its passes share.

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
        self._waiting: list[Waiting] = []  # weight gradients that cover the next gather

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


def hull(one: Rectangles, other: Rectangles) -> Rectangles:
    """Return the rectangles of rows that hold both; an empty one counts for nothing."""
    empty, other_empty = one.sizes == 0, other.sizes == 0
    low = np.minimum(one.rows[:, 0], other.rows[:, 0])
    high = np.maximum(one.rows[:, 1], other.rows[:, 1])
    rows = np.stack([low, high], axis=1)
    rows = np.where(empty[:, None], other.rows, np.where(other_empty[:, None], one.rows, rows))
    channels = np.maximum(one.channels, other.channels)
    return Rectangles(rows, channels)
