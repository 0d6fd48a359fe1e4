"""Convolution tiles that gcc -O3 makes of plain C, on an emulated core (arm968_plain/plain.c)."""

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from orchestrator.dfp import LIMIT13
from orchestrator.errors import MissingToolError, RunError
from orchestrator.model.shapes import ConvShape
from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.core import Core
from orchestrator.virtual.elf import Segment, segments, symbols
from orchestrator.virtual.image import DTCM, find_compiler
from orchestrator.virtual.layout import chunks_of
from orchestrator.virtual.tasks_element import CHUNK

SHIFT: Final = 18
_SOURCES: Final = Path(__file__).parents[2] / "board_kernels"
_FLAGS: Final = ("-mcpu=arm968e-s", "-marm", "-O3", "-std=c11", "-ffreestanding", "-nostdlib")
_FIELDS: Final = (
    *("number", "rows", "columns", "wide", "high", "stride", "r", "s", "chunks", "width"),
    *("outputs", "shift"),
)
_TASK_WORDS: Final = len(_FIELDS) + 3
_ROWS, _MOST_COLUMNS, _OUTPUTS, _MOST_CHUNKS = 2, 14, 4, 4
"""A tile that fits the data memory in every pass of ResNet-50's layers."""
_IMAGE_CHANNELS: Final = 4


@dataclass(frozen=True)
class PlainProgram:
    """What a core runs (`Loadable`)."""

    segments: tuple[Segment, ...]
    symbols: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class PlainTile:
    """A tile of one pass; sizes as in ``struct task`` of plain.c.

    Attributes
    ----------
    number
        Of the pass: 0 forward, 1 input gradient, 2 weight gradient.
    rows, columns
        Of the result; weight gradient: of e.
    high, wide
        Rows and columns of the first operand in memory, margins included.
    stride, r, s
        Of the convolution.
    chunks, width
        The reduction over channels: how many chunks, channels of each.
    outputs
        Channels of the result.
    shift
        To 16 bits.
    """

    number: int
    rows: int
    columns: int
    high: int
    wide: int
    stride: int
    r: int
    s: int
    chunks: int
    width: int
    outputs: int
    shift: int = SHIFT

    @property
    def operands(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of the two operands."""
        first = (self.chunks, self.high, self.wide, self.width)
        if self.number == 2:
            return first, (self.rows, self.columns, self.width)
        return first, (self.outputs, self.r, self.s, self.chunks, self.width)

    @property
    def result_bytes(self) -> int:
        """Size of the result."""
        if self.number == 2:
            return 8 * self.outputs * self.r * self.s * self.width
        return 2 * self.outputs * self.rows * self.columns

    @property
    def products(self) -> int:
        """Products that the tile takes."""
        if self.number == 2:
            return self.rows * self.columns * self.outputs * self.r * self.s * self.width
        step = self.stride if self.number == 1 else 1
        taps = sum(
            len(range(row % step, self.r, step)) * len(range(column % step, self.s, step))
            for row in range(self.rows)
            for column in range(self.columns)
        )
        return taps * self.outputs * self.chunks * self.width


def plain_tile(name: str, shape: ConvShape) -> PlainTile:
    """Return a tile of a layer's pass ("forward", "input gradient" or "weight gradient")."""
    image = shape.c <= _IMAGE_CHANNELS
    columns = min(shape.q, _MOST_COLUMNS)
    tile = PlainTile(
        number=0,
        rows=_ROWS,
        columns=columns,
        high=(_ROWS - 1) * shape.stride + shape.r,
        wide=(columns - 1) * shape.stride + shape.s,
        stride=shape.stride,
        r=shape.r,
        s=shape.s,
        chunks=1 if image else min(chunks_of(shape.c), _MOST_CHUNKS),
        width=_IMAGE_CHANNELS if image else CHUNK,
        outputs=_OUTPUTS,
    )
    if name == "forward":
        return tile
    if name == "weight gradient":
        return replace(tile, number=2, chunks=1, outputs=min(_OUTPUTS, tile.width))
    return replace(
        tile,
        number=1,
        high=_ROWS // shape.stride + shape.r + 1,
        wide=columns // shape.stride + shape.s + 1,
        chunks=min(chunks_of(shape.k), _MOST_CHUNKS),
    )


def build_plain() -> PlainProgram:
    """Compile plain.c.

    Raises
    ------
    MissingToolError
        No ARM compiler, or no sources.
    RunError
        It does not compile.
    """
    folder = _SOURCES / "arm968_plain"
    if not folder.is_dir():
        raise MissingToolError(
            f"the core's sources are not installed: there is no {folder}; use the source tree "
            "(pip install -e .)"
        )
    with tempfile.TemporaryDirectory() as work:
        elf = Path(work) / "plain.elf"
        command = [find_compiler(), *_FLAGS, f"-I{_SOURCES / 'include'}", "-Wl,-Ttext=0"]
        command += [str(folder / "start.S"), str(folder / "plain.c"), "-lgcc", "-o", str(elf)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise RunError(f"plain.c could not be built:\n{result.stderr.strip()}")
        data = elf.read_bytes()
    return PlainProgram(segments(data), symbols(data))


def run_plain(
    program: PlainProgram, tile: PlainTile, operands: Sequence[NDArray[np.int16]]
) -> tuple[int, NDArray[Any]]:
    """Run a tile; return the cycles and the result, flat: int16, weight gradient int64."""
    parts = [np.ascontiguousarray(operand).tobytes() for operand in operands]
    at = DTCM + -(-4 * _TASK_WORDS // 8) * 8
    addresses = []
    for part in parts:
        addresses.append(at)
        at += -(-len(part) // 8) * 8
    words = [*(getattr(tile, name) for name in _FIELDS), *addresses, at]
    task = np.array(words, "<u4").tobytes()
    pieces = [Segment(DTCM, task, len(task))]
    pieces += [Segment(a, p, len(p)) for a, p in zip(addresses, parts, strict=True)]
    core = Core(ChipMemory(1 << 12), 1, replace(program, segments=(*program.segments, *pieces)))
    try:
        core.boot()
        start = at - DTCM
        found = core.dtcm[start : start + tile.result_bytes].copy()
        return core.cycles, found.view(np.int64 if tile.number == 2 else np.int16)
    finally:
        core.close()


def random_operands(tile: PlainTile) -> list[NDArray[np.int16]]:
    """Return random 13-bit operands."""
    rng = np.random.default_rng(0)
    return [rng.integers(-LIMIT13, LIMIT13 + 1, shape).astype(np.int16) for shape in tile.operands]


def plain_rate(program: PlainProgram, name: str, shape: ConvShape) -> float:
    """Return products per cycle of a layer's pass in plain C."""
    tile = plain_tile(name, shape)
    cycles, _ = run_plain(program, tile, random_operands(tile))
    return tile.products / cycles
