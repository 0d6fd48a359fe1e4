"""Prepares a convolution's task: descriptor, segment tables and pixel pairs (conv.h, dot.h).

The core only moves data and runs the inner product; whatever depends on sizes is worked out here.
"""

import ctypes
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from orchestrator.virtual.conv_geometry import (
    BLOCKS,
    CHUNK,
    GROUP_BYTES,
    PIXEL_BYTES,
    Geometry,
    Memory,
    Operands,
    Plan,
    divide_workspace,
    first_tap,
    tile_input,
)
from orchestrator.virtual.conv_plan import plan_conv
from orchestrator.virtual.tasks_conv import Conv, ConvClass, ConvList, DotSegment, DotSlice

UInt32 = NDArray[np.uint32]

_GROUP: Final = 16
_GROUPS: Final = 4
_FLUSH_TERMS: Final = 128
"""128 * 4095^2 + 255 < 2^31."""
_END: Final = 0x80000000
_STARTS: Final = tuple(
    f"dot_start_{s}" for s in ("zero", "zero_wide", "load", "addend", "addend_wide")
)
_FINISHES: Final = tuple(
    f"dot_finish_{s}" for s in ("narrow", "narrow_mask", "wide", "wide_mask", "keep")
)
"""In the order of dot.h's enumerations."""
_WORD_CODE, _LAST_WORD_SAVES, _BUMP_CODE = 88, 12, 16
"""Bytes of dot.S: a word, what the last lacks, the step to the next group."""


class RoundingWay(IntEnum):
    """Who rounds a class's sums: the inner product, in 32 bits or wide, or C."""

    NARROW = 0
    WIDE = 1
    GENERAL = 2


@dataclass(frozen=True)
class Rounding:
    """What is done to the sums (finish.h), and with which operands."""

    shift: int
    acc_shift: int = 0
    addend_shift: int = 0
    addend: bool = False
    mask: bool = False
    bias: bool = False

    def way(self, terms: int, sliced: bool) -> RoundingWay:
        """Return who rounds sums of so many products."""
        align = self.addend_shift if self.addend else 8
        if self.bias or self.acc_shift != 0 or (self.addend and not self.mask):
            return RoundingWay.GENERAL
        largest = terms * 4095**2 + (32767 << max(0, align)) * self.addend
        narrow = terms <= _FLUSH_TERMS and not sliced and largest < 1 << 31
        if narrow and 2 <= self.shift <= 16 and 0 <= align <= 14:
            return RoundingWay.NARROW
        if 10 <= self.shift <= 24 and 8 <= align <= 22 and largest < 1 << 39:
            return RoundingWay.WIDE
        return RoundingWay.GENERAL


@dataclass(frozen=True)
class Program:
    """A task without its operands' addresses, and what must be in SDRAM for it."""

    task: Conv
    tables: bytes
    lists: bytes
    plan: Plan


def prepare(
    geometry: Geometry,
    rounding: Rounding,
    symbols: Mapping[str, int],
    plan: Plan | None = None,
) -> Program:
    """Return a convolution's task; its operands, report, tables and lists have no address yet.

    Parameters
    ----------
    geometry : sizes.
    rounding : what is done to the sums.
    symbols : of the image that will run it.
    plan : the division of the work; None chooses one.

    Raises
    ------
    ArgumentError : no plan fits a core's memory, or sizes that the kernel does not take.
    """
    terms = [_taps(geometry, i) * _terms_of_tap(geometry) for i in range(geometry.classes**2)]
    general = any(rounding.way(t, False) is RoundingWay.GENERAL for t in terms)
    operands = Operands(rounding.addend, rounding.bias, general)
    plan = plan or plan_conv(geometry, operands)
    memory = divide_workspace(geometry, operands, plan)
    tables = _Tables(geometry, rounding, symbols, plan, memory).build()
    lists = _lists(geometry, plan, memory)
    task = Conv(
        **_work(geometry, plan),
        **_input(geometry, plan),
        **_output(geometry, plan),
        shift=rounding.shift,
        acc_shift=rounding.acc_shift,
        addend_shift=rounding.addend_shift,
        table_memory=memory.tables,
        table_bytes=len(tables),
        list_memory=memory.lists,
        list_bytes=memory.list_bytes,
        wide_memory=memory.wide,
        wide_block=memory.wide_block,
        bias_memory=memory.bias,
        clear_from=memory.inputs[0],
        clear_bytes=memory.end - memory.inputs[0],
        input_memory=memory.inputs,
        weight_memory=memory.weights,
        output_memory=memory.outputs,
        addend_memory=memory.addends,
    )
    return Program(task, tables, lists, plan)


def _taps(geometry: Geometry, index: int) -> int:
    """Return how many taps a class has."""
    row, column = divmod(index, geometry.classes)
    return geometry.rows[row].count * geometry.columns[column].count


def _terms_of_tap(geometry: Geometry) -> int:
    return 4 if geometry.network else geometry.in_chunks * CHUNK


def _work(geometry: Geometry, plan: Plan) -> dict[str, int]:
    """Return the descriptor's fields that divide the work."""
    return {
        "images": geometry.images,
        "tile_images": plan.tile_images,
        "out_height": geometry.out_height,
        "tile_rows": plan.tile_rows,
        "groups": -(-geometry.out_chunks // plan.group_chunks),
        "group_chunks": plan.group_chunks,
        "out_chunks": geometry.out_chunks,
        "blocks": -(-geometry.out_channels // 4),
        "slices": -(-geometry.in_chunks // plan.slice_chunks),
        "slice_chunks": plan.slice_chunks,
        "in_chunks": geometry.in_chunks,
        "classes": geometry.classes**2,
        "unit_blocks": plan.unit_blocks,
        "input_buffers": plan.input_buffers,
        "output_buffers": plan.output_buffers,
    }


def _input(geometry: Geometry, plan: Plan) -> dict[str, int]:
    """Return the descriptor's fields of the input."""
    tile, pixel = tile_input(geometry, plan), geometry.pixel_bytes
    column = first_tap(geometry.columns)
    read_to, read_from = max(0, -column), max(0, column)
    columns = max(0, min(tile.columns - read_to, geometry.in_width - read_from))
    row_bytes = geometry.in_width * pixel
    whole = tile.row_unit == 1 and columns * pixel == row_bytes == tile.row_pitch
    return {
        "in_map_bytes": geometry.in_height * row_bytes,
        "in_row_bytes": row_bytes,
        "read_from": read_from * pixel,
        "read_to": read_to * pixel,
        "read_bytes": columns * pixel,
        "in_height": geometry.in_height,
        "first_row": first_tap(geometry.rows),
        "tile_step": plan.tile_rows // geometry.classes * geometry.step,
        "row_unit": tile.row_unit,
        "whole_rows": int(whole),
        "single_pixels": int(geometry.single_pixels),
        "row_pitch": tile.row_pitch,
        "image_pitch": tile.image_pitch,
        "chunk_pitch": tile.chunk_pitch,
    }


def _output(geometry: Geometry, plan: Plan) -> dict[str, int]:
    """Return the descriptor's fields of the output."""
    row = geometry.out_width * PIXEL_BYTES
    image, chunk = _output_pitches(geometry, plan)
    return {
        "out_map_bytes": geometry.out_height * row,
        "out_row_bytes": row,
        "out_image_pitch": image,
        "out_chunk_pitch": chunk,
        "spare_output": plan.tile_images * image,
    }


def _output_pitches(geometry: Geometry, plan: Plan) -> tuple[int, int]:
    """Return the bytes from image to image and from chunk to chunk of a tile's output."""
    if geometry.single_pixels:
        return plan.group_chunks * PIXEL_BYTES, PIXEL_BYTES
    image = plan.tile_rows * geometry.out_width * PIXEL_BYTES
    return image, plan.tile_images * image + PIXEL_BYTES


# ---- pixel pairs ----


def _lists(geometry: Geometry, plan: Plan, memory: Memory) -> bytes:
    """Return the lists of whole tiles, of fewer rows, of fewer images, of fewer of both."""
    rows = (plan.tile_rows, geometry.out_height % plan.tile_rows or plan.tile_rows)
    images = (plan.tile_images, geometry.images % plan.tile_images or plan.tile_images)
    lists = (_list(geometry, plan, r, i) for i in images for r in rows)
    return b"".join(part.ljust(memory.list_bytes, b"\0") for part in lists)


def _list(geometry: Geometry, plan: Plan, rows: int, images: int) -> bytes:
    """Return the pixel pairs of a tile of so many rows and images."""
    tile = tile_input(geometry, plan)
    missing = -(-plan.tile_rows // geometry.classes) - -(-rows // geometry.classes)
    header = ConvList(in_rows=tile.rows - missing * (geometry.step // tile.row_unit))
    pairs: list[UInt32] = []
    first = 0
    for index in range(geometry.classes**2):
        part = _class_pairs(geometry, plan, index, rows, images)
        header.first[index] = first
        first += len(part)
        pairs.append(part)
    return bytes(header) + np.concatenate(pairs).tobytes()


def _class_pairs(geometry: Geometry, plan: Plan, index: int, rows: int, images: int) -> UInt32:
    """Return a class's list, [pairs + 1, 4], with its end."""
    tile, classes = tile_input(geometry, plan), geometry.classes
    a, b = divmod(index, classes)
    out_image, _ = _output_pitches(geometry, plan)
    y, x = np.arange(a, rows, classes), np.arange(b, geometry.out_width, classes)
    image = np.arange(images)[:, None, None]
    down = geometry.rows[a].first - first_tap(geometry.rows)
    right = geometry.columns[b].first - first_tap(geometry.columns)
    in_row = np.arange(y.size) * (geometry.step // tile.row_unit) + down
    in_column = np.arange(x.size) * geometry.step + right
    inputs = (
        image * tile.image_pitch
        + in_row[:, None] * tile.row_pitch
        + in_column * geometry.pixel_bytes
    )
    outputs = image * out_image + (y[:, None] * geometry.out_width + x) * PIXEL_BYTES
    pixels = np.stack([inputs.ravel(), outputs.ravel()], axis=1)
    if len(pixels) % 2:  # the last computes itself twice, the spare pixel takes the copy
        pixels = np.vstack([pixels, [pixels[-1, 0], plan.tile_images * out_image]])
    pairs = pixels.reshape(-1, 2, 2).transpose(0, 2, 1).reshape(-1, 4)
    return np.vstack([pairs, [_END, 0, 0, 0]]).astype(np.int64).astype(np.uint32)


# ---- segment tables ----


@dataclass(frozen=True)
class _Tables:
    """Writes the classes, and behind them their segments."""

    geometry: Geometry
    rounding: Rounding
    symbols: Mapping[str, int]
    plan: Plan
    memory: Memory

    def build(self) -> bytes:
        """Return what lies at the memory's tables."""
        count = self.geometry.classes**2
        classes = (ConvClass * count)()
        segments = b""
        weights = 0
        for index in range(count):
            taps = _taps(self.geometry, index)
            chunk = taps * (32 if self.geometry.network else GROUP_BYTES)
            record = classes[index]
            record.weights = weights
            record.chunk_bytes = chunk
            record.block_bytes = chunk * self.geometry.in_chunks
            record.rounding = self._way(index)
            weights += record.block_bytes * self.geometry.out_chunks * BLOCKS
            if taps:
                at = self.memory.tables + len(bytes(classes)) + len(segments)
                segments += self._class_segments(record, index, at)
        return bytes(classes) + segments

    @property
    def _sliced(self) -> bool:
        return self.plan.slice_chunks < self.geometry.in_chunks

    def _way(self, index: int) -> RoundingWay:
        terms = _taps(self.geometry, index) * _terms_of_tap(self.geometry)
        return self.rounding.way(terms, self._sliced)

    def _class_segments(self, record: ConvClass, index: int, at: int) -> bytes:
        """Fill in a class's slices; return the tables of a full slice and of the last."""
        way = self._way(index)
        left = self.geometry.in_chunks % self.plan.slice_chunks or self.plan.slice_chunks
        last = self._segments(index, left, self._finish(way))
        full = b""
        if self._sliced:
            full = self._segments(index, self.plan.slice_chunks, "dot_finish_keep")
        starts = ("dot_start_zero_wide", "dot_start_load", "dot_start_load")
        if not self._sliced:
            starts = ("", "", self._start(way))
        elif way is not RoundingWay.GENERAL:
            starts = (self._start(way), *starts[1:])
        for place, start in enumerate(starts):
            if start:
                segments, table = (last, at + len(full)) if place == 2 else (full, at)
                part = self._slice(index, way, table, start)
                finish = self._finish(way) if place == 2 else "dot_finish_keep"
                count = len(segments) // ctypes.sizeof(DotSegment)
                part.summary = _STARTS.index(start) | _FINISHES.index(finish) << 4 | count << 8
                record.slices[place] = part
        return full + last

    def _start(self, way: RoundingWay) -> str:
        if way is RoundingWay.NARROW:
            return "dot_start_addend" if self.rounding.addend else "dot_start_zero"
        if way is RoundingWay.WIDE and self.rounding.addend:
            return "dot_start_addend_wide"
        return "dot_start_zero_wide"

    def _finish(self, way: RoundingWay) -> str:
        if way is RoundingWay.GENERAL:
            return "dot_finish_keep"
        return f"dot_finish_{way.name.lower()}" + ("_mask" if self.rounding.mask else "")

    def _slice(self, index: int, way: RoundingWay, table: int, start: str) -> DotSlice:
        part = DotSlice(before_segments=table - 4, start=self.symbols[start])
        part.bump[:] = [value & 0xFFFFFFFF for value in self._bumps(index)]
        if way is RoundingWay.GENERAL:
            return part
        less = 8 if way is RoundingWay.WIDE else 0
        shift = self.rounding.shift - less
        part.half = 1 << (shift - 1)
        part.multiplier = 1 << (16 - shift)
        part.threshold = (1 << (15 + shift)) - (1 << (shift - 1))
        part.shift_less_1 = shift - 1
        if self.rounding.addend:
            part.addend_multiplier = 1 << (self.rounding.addend_shift - less)
        return part

    def _bumps(self, index: int) -> list[int]:
        """Return the steps of the input's address after the body's groups, beyond their 64 B."""
        tile = tile_input(self.geometry, self.plan)
        row, column = divmod(index, self.geometry.classes)
        columns = self.geometry.columns[column].count
        taps = self.geometry.rows[row].count * columns
        if self.geometry.network or taps > _GROUPS:
            return [0, 0, 0]
        if taps == 1:
            return [tile.chunk_pitch - PIXEL_BYTES] * 3
        bumps = [0, 0, 0]
        for i in range(columns, taps, columns):
            bumps[_GROUPS - 1 - taps + i] = tile.row_pitch - columns * PIXEL_BYTES
        return bumps

    def _runs(self, index: int, chunks: int) -> Iterator[tuple[int, int]]:
        """Yield the input's offset and the words of each segment of a slice."""
        tile = tile_input(self.geometry, self.plan)
        row, column = divmod(index, self.geometry.classes)
        rows, columns = self.geometry.rows[row].count, self.geometry.columns[column].count
        if self.geometry.network:
            yield from ((i * tile.row_pitch, 2 * columns) for i in range(rows))
        elif rows * columns == 1:
            for i in range(0, chunks, _GROUPS):
                yield i * tile.chunk_pitch, min(_GROUPS, chunks - i) * _GROUP
        elif rows * columns <= _GROUPS:
            yield from ((i * tile.chunk_pitch, rows * columns * _GROUP) for i in range(chunks))
        else:
            for i, j in ((i, j) for i in range(chunks) for j in range(rows)):
                for k in range(0, columns, _GROUPS):
                    offset = i * tile.chunk_pitch + j * tile.row_pitch + k * PIXEL_BYTES
                    yield offset, min(_GROUPS, columns - k) * _GROUP

    def _segments(self, index: int, chunks: int, finish: str) -> bytes:
        """Return the segment table of so many chunks, flushed before sums can leave 32 bits."""
        table: list[DotSegment] = []
        terms = place = 0
        bumps = self._bumps(index)
        for offset, words in self._runs(index, chunks):
            if terms + 2 * words > _FLUSH_TERMS:
                table[-1].then = self.symbols["dot_flush"]
                terms = 0
            terms += 2 * words
            skip = 4 * (_GROUP * _GROUPS - words)
            code = words * _WORD_CODE - _LAST_WORD_SAVES + (words - 1) // _GROUP * _BUMP_CODE
            table.append(
                DotSegment(
                    input=(offset - skip - place) & 0xFFFFFFFF,
                    skip=skip,
                    entry=self.symbols["dot_body_end"] - code,
                    then=self.symbols["dot_next_segment"],
                )
            )
            place = offset - skip + sum(bumps[_GROUPS - -(-words // _GROUP) :])
        table[-1].then = self.symbols[finish]
        return b"".join(bytes(segment) for segment in table)
