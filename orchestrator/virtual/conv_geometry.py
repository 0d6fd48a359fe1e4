"""What a core's convolution task computes and where it keeps what: sizes, tiles, memory.

A transposed convolution (the gradient at an input) with stride s is s * s classes of outputs, by
the remainder of their row and column; each is a convolution of stride 1 with the taps that meet it.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from orchestrator.model.shapes import ConvShape

WORKSPACE: Final = 0x400000
WORKSPACE_BYTES: Final = 56 * 1024
CHUNK: Final = 32
"""Channels that lie together."""
BLOCKS: Final = CHUNK // 4
"""Blocks of 4 output channels in a chunk."""
PIXEL_BYTES: Final = 2 * CHUNK
NETWORK_PIXEL_BYTES: Final = 8
"""A pixel of the network's input: 4 channels."""
GROUP_BYTES: Final = 256
"""Of a block's weights for a tap of a chunk: 16 channel pairs x 4 outputs x 4 B."""
_ARGUMENTS_BYTES: Final = 128
_CLASS_BYTES: Final = 148
_LIST_BYTES: Final = 72


@dataclass(frozen=True)
class Taps:
    """A class along an axis: how many taps, and how far the first lies from the class's index."""

    count: int
    first: int


@dataclass(frozen=True)
class Geometry:
    """A task's sizes: of its own input and output, whichever way the convolution goes."""

    images: int
    in_height: int
    in_width: int
    in_channels: int
    out_height: int
    out_width: int
    out_channels: int
    kernel_rows: int
    kernel_columns: int
    pad: int
    stride: int
    transposed: bool

    @property
    def classes(self) -> int:
        """Classes of output rows, and of columns."""
        return self.stride if self.transposed else 1

    @property
    def step(self) -> int:
        """Input rows from one output row of a class to the next."""
        return 1 if self.transposed else self.stride

    @property
    def network(self) -> bool:
        """Whether the input is the network's, with pixels of 4 channels."""
        return not self.transposed and self.in_channels <= 4

    @property
    def pixel_bytes(self) -> int:
        """Bytes of an input pixel of a chunk."""
        return NETWORK_PIXEL_BYTES if self.network else PIXEL_BYTES

    @property
    def single_pixels(self) -> bool:
        """Whether all maps have one pixel: those lie image by image in the data memory."""
        sizes = {self.in_height, self.in_width, self.out_height, self.out_width}
        return not self.network and sizes | {self.kernel_rows, self.kernel_columns} == {1}

    @property
    def in_chunks(self) -> int:
        """Chunks of input channels."""
        return -(-self.in_channels // CHUNK)

    @property
    def out_chunks(self) -> int:
        """Chunks of output channels."""
        return -(-self.out_channels // CHUNK)

    @cached_property
    def rows(self) -> tuple[Taps, ...]:
        """Each class's kernel rows."""
        return self._axis(self.kernel_rows)

    @cached_property
    def columns(self) -> tuple[Taps, ...]:
        """Each class's kernel columns."""
        return self._axis(self.kernel_columns)

    @cached_property
    def most_taps(self) -> int:
        """Taps of the class that has most."""
        return max(t.count for t in self.rows) * max(t.count for t in self.columns)

    def _axis(self, size: int) -> tuple[Taps, ...]:
        if not self.transposed:
            return (Taps(size, -self.pad),)
        classes = []
        for i in range(self.stride):
            taps = [r for r in range(size) if (r - i - self.pad) % self.stride == 0]
            first = (i + self.pad - taps[-1]) // self.stride if taps else 0
            classes.append(Taps(len(taps), first))
        return tuple(classes)


def forward_geometry(shape: ConvShape) -> Geometry:
    """Return the sizes of a forward convolution."""
    return _flat(
        Geometry(
            *(shape.n, shape.h, shape.w, shape.c, shape.p, shape.q, shape.k),
            *(shape.r, shape.s, shape.pad, shape.stride, False),
        )
    )


def input_gradient_geometry(shape: ConvShape) -> Geometry:
    """Return the sizes of the gradient at a convolution's input."""
    return _flat(
        Geometry(
            *(shape.n, shape.p, shape.q, shape.k, shape.h, shape.w, shape.c),
            *(shape.r, shape.s, shape.pad, shape.stride, True),
        )
    )


def _flat(geometry: Geometry) -> Geometry:
    """Return a pointwise convolution as one on columns: its tiles may end anywhere in a row."""
    g = geometry
    if (g.kernel_rows, g.kernel_columns, g.stride, g.pad) != (1, 1, 1, 0):
        return g
    pixels = g.in_height * g.in_width
    return Geometry(
        g.images, pixels, 1, g.in_channels, pixels, 1, g.out_channels, 1, 1, 0, 1, g.transposed
    )


def first_tap(classes: tuple[Taps, ...]) -> int:
    """Return where the first tap of any class lies."""
    return min(t.first for t in classes if t.count)


def reach(classes: tuple[Taps, ...]) -> int:
    """Return how many rows lie from the first tap of any class to the last."""
    return max(t.first + t.count for t in classes if t.count) - first_tap(classes)


@dataclass(frozen=True)
class Plan:
    """A tile is some images' whole maps or some rows of one (a multiple of the classes).

    Chunks of output are finished in groups, chunks of input lie in memory in slices, weights come
    in units of blocks of 4 output channels; inputs and outputs have one buffer or two.
    """

    tile_images: int
    tile_rows: int
    group_chunks: int
    slice_chunks: int
    unit_blocks: int
    input_buffers: int
    output_buffers: int


@dataclass(frozen=True)
class Operands:
    """What a task has beside input and weights, and whether C must round its sums."""

    addend: bool
    bias: bool
    general: bool


@dataclass(frozen=True)
class TileInput:
    """A tile's input in the data memory: rows and columns with their border; pitches in bytes."""

    rows: int
    columns: int
    row_unit: int
    row_pitch: int
    image_pitch: int
    chunk_pitch: int
    size: int


def tile_input(geometry: Geometry, plan: Plan) -> TileInput:
    """Return how a tile's input lies."""
    g = geometry
    reached = reach(g.rows)
    unit = g.step if reached == 1 else 1
    rows = (-(-plan.tile_rows // g.classes) - 1) * (g.step // unit) + reached
    columns = (-(-g.out_width // g.classes) - 1) * g.step + reach(g.columns)
    row = columns * g.pixel_bytes
    image, chunk = rows * row, plan.tile_images * rows * row
    if g.single_pixels:
        chunk, image = PIXEL_BYTES, plan.slice_chunks * PIXEL_BYTES
    size = (plan.slice_chunks - 1) * chunk + (plan.tile_images - 1) * image + rows * row
    return TileInput(rows, columns, unit, row, image, chunk, size)


@dataclass(frozen=True)
class Memory:
    """Addresses in the workspace, and its end; where there is one buffer, both are the same."""

    tables: int
    lists: int
    list_bytes: int
    wide: int
    wide_block: int
    bias: int
    weights: tuple[int, int]
    inputs: tuple[int, int]
    outputs: tuple[int, int]
    addends: tuple[int, int]
    end: int


def divide_workspace(geometry: Geometry, operands: Operands, plan: Plan) -> Memory:
    """Return where a task keeps what; it fits if the end is inside the workspace."""
    g = geometry
    classes = g.classes**2
    rows, columns = -(-plan.tile_rows // g.classes), -(-g.out_width // g.classes)
    pairs = classes * -(-plan.tile_images * rows * columns // 2)
    block = g.most_taps * (32 if g.network else plan.slice_chunks * GROUP_BYTES)
    sliced = plan.slice_chunks < g.in_chunks
    wide = pairs * plan.group_chunks * BLOCKS if sliced else pairs if operands.general else 1
    pixels = plan.tile_images * plan.tile_rows * g.out_width
    if g.single_pixels:
        output = (plan.tile_images + 1) * plan.group_chunks * PIXEL_BYTES
    else:
        output = plan.group_chunks * (pixels + 1) * PIXEL_BYTES
    at = WORKSPACE + _ARGUMENTS_BYTES

    def take(size: int) -> int:
        nonlocal at
        taken, at = at, at + -(-size // 8) * 8
        return taken

    def take_two(size: int, buffers: int) -> tuple[int, int]:
        first = take(size)
        return first, take(size) if buffers == 2 else first

    segments = plan.slice_chunks * (g.kernel_rows if g.network else g.most_taps)
    list_bytes = _LIST_BYTES + (pairs + classes) * 16
    return Memory(
        tables=take(classes * (_CLASS_BYTES + 2 * segments * 16)),
        lists=take(list_bytes),
        list_bytes=list_bytes,
        wide=take(wide * 64),
        wide_block=pairs,
        bias=take(operands.bias * plan.group_chunks * CHUNK * 8),
        weights=take_two(block * plan.unit_blocks, 2),
        inputs=take_two(tile_input(g, plan).size, plan.input_buffers),
        outputs=take_two(output, plan.output_buffers),
        addends=take_two(output * operands.addend, plan.output_buffers),
        end=at,
    )
