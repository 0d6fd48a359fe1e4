"""Chooses a convolution task's plan: the tiles that lie in a core's data memory at a time.

The estimate of cycles is only good for choosing; its constants were read off the emulated core.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from orchestrator.errors import ArgumentError
from orchestrator.virtual.conv_geometry import (
    BLOCKS,
    CHUNK,
    PIXEL_BYTES,
    WORKSPACE,
    WORKSPACE_BYTES,
    Geometry,
    Operands,
    Plan,
    divide_workspace,
    tile_input,
)

MOST_STRIDE: Final = 4
"""Of a transposed convolution: it has stride * stride classes."""
MOST_COLUMNS: Final = 32
"""Of a kernel: a row of taps is one segment on the network's input, and one piece of pack.c."""
MOST_TERMS: Final = 32768
"""Products in a sum: hi stays inside 32 bits (2^15 * 4095^2 / 2^8 < 2^31)."""

DMA_BYTES_PER_CYCLE: Final = 0.25
"""50 MB/s at 200 MHz: what 16 cores have each of the 0.7 to 0.9 GB/s of a chip's SDRAM."""
_MOST_TILE_PIXELS: Final = 512
_WORD, _SEGMENT, _FLUSH, _PAIR, _SLICE, _RUN, _TRANSFER = 22, 22, 38, 150, 80, 300, 150
"""Cycles: per word of a segment, segment, flush, pair, further slice of a pair, call, transfer."""


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
    if geometry.kernel_columns > MOST_COLUMNS:
        raise ArgumentError(
            f"kernel of {geometry.kernel_columns} columns: a core takes {MOST_COLUMNS}"
        )
    best, fewest = None, 0.0
    for plan in _plans(geometry):
        cycles = _cycles(geometry, operands, plan)
        if best is not None and cycles >= fewest:
            continue
        if divide_workspace(geometry, operands, plan).end <= WORKSPACE + WORKSPACE_BYTES:
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
        for slices in reversed(_counts(geometry.in_chunks)):
            plan = Plan(images, rows, 1, slices, 1, 1, 1)
            size = tile_input(geometry, plan).size
            if size > WORKSPACE_BYTES:
                continue
            for groups in _counts(geometry.out_chunks):
                if groups * images * rows * geometry.out_width * PIXEL_BYTES > WORKSPACE_BYTES:
                    break
                for unit in (1, 2, 4, 8):
                    for buffers in ((2, 2), (2, 1), (1, 2), (1, 1)):
                        if buffers[0] * size <= WORKSPACE_BYTES:
                            yield Plan(images, rows, groups, slices, unit, *buffers)


def _tiles(geometry: Geometry) -> Iterator[tuple[int, int]]:
    """Yield (images, rows): whole maps of some images, or some rows of one."""
    height, classes = geometry.out_height, geometry.classes
    bands = {min(height, classes * -(-n // classes)) for n in _counts(height)}
    for rows in sorted(bands):
        if rows < height and rows * geometry.out_width <= _MOST_TILE_PIXELS:
            yield 1, rows
    if classes <= 2:  # the fewest rows there are, where rows are long
        yield 1, min(height, classes)
    yield from ((images, height) for images in _counts(geometry.images))


def _counts(most: int) -> list[int]:
    """Return the sizes of equal parts of a whole, all of them."""
    return sorted({-(-most // parts) for parts in range(1, most + 1)})


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
    pair = words * _WORD + segments * (_SEGMENT + _FLUSH) + _PAIR + (slices - 1) * _SLICE
    pairs = -(-pixels // 2) * tiles
    runs = tiles * blocks * slices * geometry.classes**2
    compute = pairs * blocks * pair + runs * _RUN
    units = tiles * groups * slices * geometry.classes**2
    units *= -(-plan.group_chunks * BLOCKS // plan.unit_blocks)
    weights = tiles * blocks * words * 16
    loads = tiles * (1 if slices == 1 else slices * groups)
    inputs = loads * tile_input(geometry, plan).size
    outputs = tiles * pixels * geometry.out_chunks * PIXEL_BYTES * (2 + operands.addend)
    rows = loads * plan.slice_chunks * plan.tile_images
    rows *= plan.tile_rows if geometry.kernel_rows > 1 else 1
    transfers = (units + rows) * _TRANSFER
    behind = weights + inputs * (plan.input_buffers == 2) + outputs * (plan.output_buffers == 2)
    stalled = weights + inputs + outputs - behind
    return max(compute + transfers, behind / DMA_BYTES_PER_CYCLE) + stalled / DMA_BYTES_PER_CYCLE
