"""A program: what every chip and core of a slice computes, keeps and sends in one training step.

A step is a list of phases; all chips pass a barrier behind each. Chips are numbered in the order of
`Program.chips`, cores from 0 within a chip's application cores. A tensor of `images` maps with
`height` rows is cut along *image rows*: row r of image i is image row ``i * height + r``.

Boards execute a program, `orchestrator.perf` times it. All arrays are read-only by convention.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from orchestrator.machine.geometry import Ints

Indices = NDArray[np.int32]
Floats = NDArray[np.float64]

LINKS = 6
"""Links of a chip: directed link ``6 * chip + link`` leaves a chip in direction `link`."""

PACKET_BYTES = 4
"""Payload of a packet."""


class Pass(StrEnum):
    """Which part of a step a phase belongs to."""

    FORWARD = "forward"
    INPUT_GRADIENT = "input gradient"
    WEIGHT_GRADIENT = "weight gradient"
    UPDATE = "update"


class ExchangeKind(StrEnum):
    """What an exchange is for."""

    BROADCAST = "broadcast"
    """New weights, from the chips that updated them to those that use them."""
    HALO = "halo"
    """Rows of neighbouring parts, where parts have all channels."""
    GATHER = "gather"
    """Channels, or rows, that other chips computed."""
    REDUCE = "reduce"
    """Exact partial sums, added on the way to the chip that owns the sum."""
    SPREAD = "spread"
    """What was made of a reduced sum, from its owner to all that use it."""
    INPUT = "input"
    """Pixels of the next step, from the Ethernet chips."""


class Overlap(StrEnum):
    """How an exchange lies beside the work of its phase."""

    BEFORE = "before"
    """It ends before the phase's work starts."""
    STREAMED = "streamed"
    """In `pieces` equal pieces: work on a piece starts when it is there, and hides the next."""
    BEHIND = "behind"
    """The work of this phase does not need it: weights of later layers, gradients of earlier."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Work:
    """One kernel on the cores of all chips that have a share of it.

    Attributes
    ----------
    node : operation, as `orchestrator.model.lower` names it.
    kernel : key of the cycle table: "forward 56x56 64-64 3x3/1", "statistics", "pack forward" ...
    unit : what `amount` counts: "MAC" or "element".
    chip, core : int32 [n]; a core may have several shares.
    rows : int32 [n, 2], first and end of the image rows of the result; of a weight gradient those
        that are summed.
    flat : whether `rows` count positions, image row times width plus column: a core's stretch may
        end anywhere in a row.
    channels : int32 [n, 2], first and end of the result's channels.
    inputs : int32 [n, 2], first and end of the channels that are summed; of a weight gradient
        those of the result's second axis.
    amount : int64 [n].
    cycles : float64 [n], processor cycles awake, by the measured table.
    dma_bytes, dma_transfers, waited_bytes : float64 [n], as `orchestrator.perf.cycles.Cost`.
    """

    node: str
    kernel: str
    unit: str
    flat: bool
    chip: Indices
    core: Indices
    rows: Indices
    channels: Indices
    inputs: Indices
    amount: Ints
    cycles: Floats
    dma_bytes: Floats
    dma_transfers: Floats
    waited_bytes: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class Exchange:
    """Transfers between chips, each from one chip to one or more: a multicast tree.

    Attributes
    ----------
    kind, tensor : what for, and the name of what is sent.
    overlap, pieces : how it lies beside the phase's work; pieces is 1 unless it is streamed, 0 if
        it is and no work waits for its first piece: that came behind the phase before, or other
        work of this phase comes first.
    rounds : dependent rounds, each begun after the one before has ended: levels of a reduction.
    hops : links of the longest way of a transfer.
    source : int32 [n].
    bytes : int64 [n], payload that a source sends once, and that every target receives.
    level : int32 [n], round in which a transfer takes place, 0 to rounds - 1.
    rows, channels : int32 [n, 2], the rectangle of an activation that is sent: first and end. Of
        weights, gradients, sums and statistics rows are [0, 1) and channels flat elements.
    target_start : int64 [n + 1], where a transfer's targets start in `targets`.
    targets : int32, chips.
    route_start : int64 [n + 1], where a transfer's links start in `routes`.
    routes : int32, directed links ``6 * chip + link``, each once in a transfer's tree.
    """

    kind: ExchangeKind
    tensor: str
    overlap: Overlap
    pieces: int
    rounds: int
    hops: int
    source: Indices
    bytes: Ints
    level: Indices
    rows: Indices
    channels: Indices
    target_start: Ints
    targets: Indices
    route_start: Ints
    routes: Indices

    def sent(self, n_chips: int) -> Ints:
        """Return the packets that every chip sends, int64 [n_chips]."""
        packets = np.zeros(n_chips, np.int64)
        np.add.at(packets, self.source, -(-self.bytes // PACKET_BYTES))
        return packets

    def received(self, n_chips: int) -> Ints:
        """Return the packets that every chip receives, int64 [n_chips]."""
        packets = np.zeros(n_chips, np.int64)
        each = np.repeat(-(-self.bytes // PACKET_BYTES), np.diff(self.target_start))
        np.add.at(packets, self.targets, each)
        return packets

    def link_bytes(self, n_chips: int) -> Ints:
        """Return the payload over every directed link, int64 [6 * n_chips]."""
        load = np.zeros(LINKS * n_chips, np.int64)
        np.add.at(load, self.routes, np.repeat(self.bytes, np.diff(self.route_start)))
        return load


@dataclass(frozen=True, eq=False, kw_only=True)
class Phase:
    """What happens between two barriers.

    Attributes
    ----------
    name : operation and what of it, unique in a program.
    node : the operation.
    step_pass : which pass.
    work : kernels in the order in which a core runs its shares.
    exchanges : transfers; those of one overlap share links and packet-handling cores.
    """

    name: str
    node: str
    step_pass: Pass
    work: tuple[Work, ...]
    exchanges: tuple[Exchange, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Region:
    """A buffer in the SDRAM of every chip that has one.

    Attributes
    ----------
    name, purpose : of the tensor; what it is kept for: "weights", "master", "momentum",
        "gradient", "activation", "sums", "exchange", "partial", "statistics", "input".
    address : int64 [n_chips], offset in the chip's SDRAM heap; multiples of 8.
    bytes : int64 [n_chips], 0 where the chip has none of it.
    first_phase, last_phase : in which phases, both included, it is in use. Others may use its
        addresses before and after.
    """

    name: str
    purpose: str
    address: Ints
    bytes: Ints
    first_phase: int
    last_phase: int


@dataclass(frozen=True, kw_only=True)
class Split:
    """How an operation's result is cut over chips.

    Chip ``chips[part * groups + group]`` has a part of the image rows and a group of the channels.
    """

    chips: tuple[int, ...]
    groups: int
    whole_images: bool = False
    """Whether parts end at images."""

    @property
    def parts(self) -> int:
        """Return the parts of the image rows."""
        return len(self.chips) // self.groups


@dataclass(frozen=True, kw_only=True)
class WeightSplit:
    """How a weight gradient, and with it weights' masters, are cut over chips.

    A part of the image rows is summed by the chips of a part, each for a group of the weights; the
    partial sums of a group's chips are then added, and each of these owns a piece of the group.
    """

    split: Split
    over_outputs: bool = False
    """Whether groups are of output channels, of input channels otherwise."""


@dataclass(frozen=True, kw_only=True)
class Gradient:
    """A parameter's gradient: which phase completes the sum over the ghost batch.

    Elements, in the order of the flat tensor, are dealt in equal shares to all chips.
    """

    name: str
    elements: int
    phase: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Program:
    """A training step of one ghost batch on one slice.

    Attributes
    ----------
    strategy : "chosen", or the single strategy it is restricted to.
    images : of the ghost batch.
    chips : int64 [n_chips, 2], (x, y) of every chip.
    board : int64 [n_chips], the board it is on.
    between_boards : bool [6 * n_chips], whether a directed link leads to another board.
    diameter : hops between the two chips that are furthest apart.
    cores : int64 [n_chips], application cores in use.
    packet_cores : int64 [n_chips], the last so many of them move packets, the others compute.
    splits : operation to how it is cut, in forward order.
    weight_splits : convolution or dense layer to how its weight gradient is cut.
    phases : in order; those of `Pass.UPDATE` come last.
    gradients : in the order in which they are complete.
    regions : the memory map.
    dtcm_bytes : the largest workspace that a share needs of a core's data memory.
    router_entries : int64 [n_chips], multicast entries in use.
    input_bytes : int64 [n_boards], pixels and labels that a board takes from its host each step.
    macs : of all phases.
    """

    strategy: str
    images: int
    chips: Ints
    board: Ints
    between_boards: NDArray[np.bool_]
    diameter: int
    cores: Ints
    packet_cores: Ints
    splits: dict[str, Split]
    weight_splits: dict[str, WeightSplit]
    phases: tuple[Phase, ...]
    gradients: tuple[Gradient, ...]
    regions: tuple[Region, ...]
    dtcm_bytes: int
    router_entries: Ints
    input_bytes: Ints
    macs: int

    @property
    def n_chips(self) -> int:
        """Return the number of chips."""
        return len(self.chips)

    @cached_property
    def sdram_bytes(self) -> Ints:
        """Return how much of every chip's SDRAM is in use, int64 [n_chips]."""
        ends = np.zeros(self.n_chips, np.int64)
        for region in self.regions:
            np.maximum(ends, np.where(region.bytes > 0, region.address + region.bytes, 0), out=ends)
        return ends
