"""Chooses a convolution task's tiles: what lies in a core's data memory at a time.

The sizes in memory repeat board_kernels/arm968/conv_shape.c, which stops the core if they do not
fit; the estimate of cycles is only good for choosing. Its constants were measured on the emulated
core.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from orchestrator.errors import ArgumentError
from orchestrator.model.shapes import ConvShape

WORKSPACE_BYTES: Final = 56 * 1024
CHUNK: Final = 32
"""Channels that lie together."""
MOST_STRIDE: Final = 4
"""Of a transposed convolution: it has stride * stride classes."""
MOST_TERMS: Final = 32768
"""Products in a sum: hi stays inside 32 bits (2^15 * 4095^2 / 2^8 < 2^31)."""

_BLOCKS: Final = CHUNK // 4
_PIXEL: Final = 2 * CHUNK
_NETWORK_PIXEL: Final = 8
_ARGUMENTS: Final = 128
_DMA_BYTES_PER_CYCLE: Final = 0.25
"""A core's share of the chip's memory, 50 MB/s at 200 MHz."""
_WORD, _SEGMENT, _FLUSH, _PAIR, _RUN, _TRANSFER = 22, 26, 36, 120, 200, 150
"""Cycles: per word of a segment, segment, flush, pair, call, DMA transfer."""


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
        """Classes of output rows (and of columns)."""
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
    def single_pixels(self) -> bool:
        """Whether all maps have one pixel."""
        sizes = (self.in_height, self.in_width, self.out_height, self.out_width)
        return not self.network and {*sizes, self.kernel_rows, self.kernel_columns} == {1}

    @property
    def in_chunks(self) -> int:
        """Chunks of input channels."""
        return -(-self.in_channels // CHUNK)

    @property
    def out_chunks(self) -> int:
        """Chunks of output channels."""
        return -(-self.out_channels // CHUNK)


@dataclass(frozen=True)
class Plan:
    """The fields of a `Conv` task that divide the work."""

    tile_images: int
    tile_rows: int
    group_chunks: int
    slice_chunks: int
    unit_blocks: int
    input_buffers: int
    output_buffers: int


@dataclass(frozen=True)
class Operands:
    """Which operands a task has beside input and weights, and whether C must round its sums."""

    addend: bool
    bias: bool
    general: bool


def forward_geometry(shape: ConvShape) -> Geometry:
    """Return the sizes of a forward convolution."""
    return Geometry(
        *(shape.n, shape.h, shape.w, shape.c, shape.p, shape.q, shape.k),
        *(shape.r, shape.s, shape.pad, shape.stride, False),
    )


def input_gradient_geometry(shape: ConvShape) -> Geometry:
    """Return the sizes of the gradient at a convolution's input."""
    return Geometry(
        *(shape.n, shape.p, shape.q, shape.k, shape.h, shape.w, shape.c),
        *(shape.r, shape.s, shape.pad, shape.stride, True),
    )


@lru_cache(maxsize=1024)
def plan_conv(geometry: Geometry, operands: Operands) -> Plan:
    """Return the plan with the fewest estimated cycles.

    Raises
    ------
    ArgumentError : no plan fits a core's memory, or sizes that the kernel does not take.
    """
    terms = geometry.kernel_rows * geometry.kernel_columns * geometry.in_channels
    if terms > MOST_TERMS:
        raise ArgumentError(
            f"convolution with {terms} products per output: a core takes {MOST_TERMS}"
        )
    if geometry.classes > MOST_STRIDE:
        raise ArgumentError(
            f"input gradient with stride {geometry.stride}: a core takes strides to {MOST_STRIDE}"
        )
    best, fewest = None, 0.0
    for plan in _plans(geometry):
        if workspace_bytes(geometry, operands, plan) > WORKSPACE_BYTES:
            continue
        cycles = _cycles(geometry, operands, plan)
        if best is None or cycles < fewest:
            best, fewest = plan, cycles
    if best is None:
        raise ArgumentError(
            f"convolution {geometry.kernel_rows}x{geometry.kernel_columns} on rows of "
            f"{geometry.in_width}: one row of output does not fit a core's {WORKSPACE_BYTES} B"
        )
    return best


def _plans(geometry: Geometry) -> Iterator[Plan]:
    """Yield the plans worth weighing."""
    for images, rows in _tiles(geometry):
        for groups in _counts(geometry.out_chunks):
            for slices in _counts(geometry.in_chunks):
                for unit in (1, 2, 4, 8):
                    plan = Plan(images, rows, groups, slices, unit, 2, 2)
                    yield plan
                    yield replace(plan, output_buffers=1)
                    yield replace(plan, input_buffers=1)
                    yield replace(plan, input_buffers=1, output_buffers=1)


def _tiles(geometry: Geometry) -> Iterator[tuple[int, int]]:
    """Yield (images, rows): whole maps of some images, or some rows of one."""
    height, classes = geometry.out_height, geometry.classes
    bands = {min(height, classes * -(-n // classes)) for n in _counts(height)}
    yield from ((1, rows) for rows in sorted(bands) if rows < height)
    yield from ((images, height) for images in _counts(geometry.images))


def _counts(most: int) -> list[int]:
    """Return the sizes of equal parts of a whole, all of them."""
    return sorted({-(-most // parts) for parts in range(1, most + 1)})


def _taps(geometry: Geometry, size: int) -> list[tuple[int, int]]:
    """Return (count, first) of each class along an axis, as conv_shape.c does."""
    if not geometry.transposed:
        return [(size, -geometry.pad)]
    stride, pad = geometry.stride, geometry.pad
    classes = []
    for i in range(stride):
        taps = [r for r in range(size) if r % stride == (i + pad) % stride]
        classes.append((len(taps), (i + pad - taps[-1]) // stride if taps else 0))
    return classes


def _reach(classes: list[tuple[int, int]]) -> int:
    """Return how far the classes' taps reach together."""
    used = [(first, first + count) for count, first in classes if count]
    return max(end for _, end in used) - min(first for first, _ in used)


def _ceil8(size: int) -> int:
    return -(-size // 8) * 8


def _input_bytes(geometry: Geometry, plan: Plan) -> int:
    """Return the size of a tile's input."""
    rows = _reach(_taps(geometry, geometry.kernel_rows))
    columns = _reach(_taps(geometry, geometry.kernel_columns))
    unit = geometry.step if rows == 1 else 1
    in_rows = (-(-plan.tile_rows // geometry.classes) - 1) * (geometry.step // unit) + rows
    in_columns = (-(-geometry.out_width // geometry.classes) - 1) * geometry.step + columns
    row = in_columns * (_NETWORK_PIXEL if geometry.network else _PIXEL)
    image = in_rows * row
    chunk = plan.tile_images * image
    if geometry.single_pixels:
        chunk, image = _PIXEL, plan.slice_chunks * _PIXEL
    return (plan.slice_chunks - 1) * chunk + (plan.tile_images - 1) * image + in_rows * row


def workspace_bytes(geometry: Geometry, operands: Operands, plan: Plan) -> int:
    """Return what conv_shape.c takes of the workspace for a plan."""
    classes = geometry.classes**2
    rows, columns = (
        -(-plan.tile_rows // geometry.classes),
        -(-geometry.out_width // geometry.classes),
    )
    pairs = classes * (plan.tile_images * rows * columns // 2 + 1)
    taps = _most_taps(geometry)
    weights = plan.slice_chunks * taps * 256 if not geometry.network else taps * 32
    wide = 1
    if plan.slice_chunks < geometry.in_chunks:
        wide = pairs * plan.group_chunks * _BLOCKS
    elif operands.general:
        wide = pairs
    inputs = -(-_input_bytes(geometry, plan) // 32) * 32
    pixels = plan.tile_images * plan.tile_rows * geometry.out_width
    outputs = -(-plan.group_chunks * (pixels + 1) * _PIXEL // 32) * 32
    return (
        _ARGUMENTS
        + (pairs + classes) * 16
        + (plan.slice_chunks * taps + 1) * 16
        + wide * 64
        + operands.bias * plan.group_chunks * CHUNK * 8
        + 2 * _ceil8(weights * plan.unit_blocks)
        + plan.input_buffers * inputs
        + plan.output_buffers * outputs * (1 + operands.addend)
    )


def _most_taps(geometry: Geometry) -> int:
    rows = max(count for count, _ in _taps(geometry, geometry.kernel_rows))
    return rows * max(count for count, _ in _taps(geometry, geometry.kernel_columns))


def _cycles(geometry: Geometry, operands: Operands, plan: Plan) -> float:
    """Return an estimate of the task's cycles."""
    slices = -(-geometry.in_chunks // plan.slice_chunks)
    groups = -(-geometry.out_chunks // plan.group_chunks)
    tiles = -(-geometry.images // plan.tile_images) * -(-geometry.out_height // plan.tile_rows)
    pixels = plan.tile_images * plan.tile_rows * geometry.out_width
    blocks = -(-geometry.out_channels // 4)
    taps = geometry.kernel_rows * geometry.kernel_columns / geometry.classes**2
    words = taps * (2 if geometry.network else geometry.in_chunks * CHUNK // 2)
    segments = max(slices, words / (48 if geometry.kernel_columns == 3 else 64))
    pair = words * _WORD + segments * (_SEGMENT + _FLUSH) + slices * _PAIR
    pairs = -(-pixels // 2) * tiles
    runs = tiles * blocks * slices * geometry.classes**2
    compute = pairs * blocks * pair + runs * _RUN
    units = tiles * groups * slices * geometry.classes**2
    units *= -(-plan.group_chunks * _BLOCKS // plan.unit_blocks)
    weights = tiles * blocks * words * 16
    loads = tiles * (1 if slices == 1 else slices * groups)
    inputs = loads * _input_bytes(geometry, plan)
    outputs = tiles * pixels * geometry.out_chunks * _PIXEL * (2 + operands.addend)
    rows = loads * plan.slice_chunks * plan.tile_images
    rows *= plan.tile_rows if geometry.kernel_rows > 1 else 1
    transfers = (units + rows) * _TRANSFER
    behind = weights + inputs * (plan.input_buffers == 2) + outputs * (plan.output_buffers == 2)
    stalled = weights + inputs + outputs - behind
    return max(compute + transfers, behind / _DMA_BYTES_PER_CYCLE) + stalled / _DMA_BYTES_PER_CYCLE
