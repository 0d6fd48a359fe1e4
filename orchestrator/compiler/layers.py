"""The operations of a network with their sizes, as the compiler cuts them.

A dense layer behind a map is a convolution whose kernel is the whole map: then its input is cut
like any other activation, by image rows and channels.
"""

from dataclasses import dataclass
from math import prod

from orchestrator.model.graph import Graph
from orchestrator.model.lower import ApplyOp, Branch, ConvOp, DropoutOp, Lowered, PoolOp, lower

CHUNK = 32
"""Channels that lie together in SDRAM, and that a core takes at a time (docs/kernels-arm968.md)."""


@dataclass(frozen=True)
class Map:
    """An activation, its sums or its error: sizes of one image."""

    height: int
    width: int
    channels: int

    @property
    def size(self) -> int:
        """Return the elements of an image."""
        return self.height * self.width * self.channels


@dataclass(frozen=True)
class Conv:
    """A convolution or dense layer."""

    name: str
    source: str
    x: Map
    y: Map
    kernel: tuple[int, int]
    stride: int
    pad: int
    weight: str
    bias: str | None
    first: bool
    """Whether it reads the images: nothing needs the error at its input."""
    statistics: bool
    """Whether an activation is made of its result, which needs sums and extremes of it; not so of
    the logits."""

    @property
    def taps(self) -> int:
        """Return the positions of the kernel."""
        return prod(self.kernel)

    @property
    def dense(self) -> bool:
        """Return whether it has one position."""
        return self.y.height == self.y.width == 1 and (self.x.height, self.x.width) == self.kernel

    @property
    def pointwise(self) -> bool:
        """Return whether it takes positions one by one, so that cores may share a row."""
        return (self.kernel, self.stride, self.pad) == ((1, 1), 1, 0)

    @property
    def weights(self) -> int:
        """Return the number of weights."""
        return self.taps * self.x.channels * self.y.channels


@dataclass(frozen=True)
class Apply:
    """Sums of one or two convolutions to an activation: batch norm, shortcut, ReLU."""

    name: str
    main: str
    shortcut: str | None
    """The activation or the sums that are added."""
    projection: bool
    """Whether the shortcut is sums, of a convolution with a batch norm of its own."""
    norm: bool
    y: Map
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class Pool:
    """A pool."""

    name: str
    source: str
    average: bool
    x: Map
    y: Map
    kernel: tuple[int, int]
    stride: int
    pad: int


@dataclass(frozen=True)
class Dropout:
    """Dropout of an activation."""

    name: str
    source: str
    y: Map


Operation = Conv | Apply | Pool | Dropout


@dataclass(frozen=True)
class Network:
    """Operations in forward order, each named after the tensor that it makes.

    Attributes
    ----------
    contributions : how many consumers send an error back to each activation.
    """

    operations: tuple[Operation, ...]
    image: Map
    input: str
    contributions: dict[str, int]
    parameters: dict[str, int]

    def __getitem__(self, name: str) -> Operation:
        """Return the operation of a name."""
        return next(op for op in self.operations if op.name == name)

    @property
    def convolutions(self) -> tuple[Conv, ...]:
        """Return the convolutions and dense layers."""
        return tuple(op for op in self.operations if isinstance(op, Conv))

    @property
    def macs(self) -> int:
        """Return the multiply-accumulates of a step for one image, all three passes."""
        return sum(
            (2 + (not op.first)) * op.weights * op.y.height * op.y.width for op in self.convolutions
        )


def network(graph: Graph) -> Network:
    """Return the operations of a graph.

    Raises
    ------
    ArgumentError
        As `orchestrator.model.lower.lower`.
    """
    lowered = lower(graph)
    return Network(
        tuple(_operation(op, lowered, op is not lowered.logits) for op in lowered.ops),
        Map(*lowered.shapes[lowered.input]),
        lowered.input,
        lowered.contributions,
        {parameter.name: parameter.size for parameter in graph.parameters},
    )


def _operation(
    op: ConvOp | ApplyOp | PoolOp | DropoutOp, lowered: Lowered, statistics: bool
) -> Operation:
    match op:
        case ConvOp():
            x = Map(*lowered.shapes[op.input])
            flat = x.size == op.channels and (op.height, op.width) == (1, 1)
            return Conv(
                op.name,
                op.input,
                x,
                Map(op.out_height, op.out_width, op.filters),
                (x.height, x.width) if flat else op.kernel,
                1 if flat else op.stride,
                0 if flat else op.padding,
                op.weight,
                op.bias,
                op.input == lowered.input,
                statistics,
            )
        case ApplyOp():
            shortcut = op.shortcut
            branches = [op.main]
            if isinstance(shortcut, Branch):
                branches.append(shortcut)
            return Apply(
                op.output,
                op.main.y,
                shortcut.y if isinstance(shortcut, Branch) else shortcut,
                len(branches) == 2,
                any(branch.norm is not None for branch in branches),
                Map(*lowered.shapes[op.output]),
                tuple(
                    name
                    for branch in branches
                    if branch.norm is not None
                    for name in (branch.norm.gamma, branch.norm.beta)
                ),
            )
        case PoolOp():
            return Pool(
                op.name,
                op.input,
                op.kind == "average",
                Map(op.height, op.width, op.channels),
                Map(op.out_height, op.out_width, op.channels),
                op.kernel,
                op.stride,
                op.padding,
            )
        case DropoutOp():
            return Dropout(op.name, op.input, Map(*lowered.shapes[op.output]))
