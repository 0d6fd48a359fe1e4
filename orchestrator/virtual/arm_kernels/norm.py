"""Statistics, batch norm, shortcut and ReLU on an emulated core."""

import numpy as np

from orchestrator.boards.kernel_arguments import (
    address,
    check_range,
    matrix_of,
    optional_address,
    output_address,
)
from orchestrator.errors import ArgumentError
from orchestrator.virtual.arm_kernels.runner import Array, TaskDoor
from orchestrator.virtual.layout import channel_table, chunks_of, from_board, to_board
from orchestrator.virtual.tasks_element import (
    CHUNK,
    AffineBackward,
    AffineForward,
    Region,
    Statistics,
)

_MOST_IMAGES = 4

_STATISTICS = np.dtype(
    [
        *((name, np.int64, CHUNK) for name in ("s1", "s2")),
        *((name, np.int32, CHUNK) for name in ("lo", "hi")),
    ]
)
"""``struct channel_statistics``."""


class NormKernels(TaskDoor):
    """Part of `ArmKernels`; tensors are [rows, c], cut into images so that tasks cross them."""

    def channel_statistics(self, y: Array) -> tuple[Array, Array, Array, Array]:
        """Return sum, sum of squares, minimum and maximum of each channel of [rows, c]."""
        return self._statistics("y", y, None)

    def affine_backward_sums(self, d: Array, y: Array | None) -> tuple[Array, Array, Array]:
        """Return sum of d, sum of d*y and max |d| of each channel."""
        optional_address("y", y, np.int16, d.shape)
        d1, d2, lo, hi = self._statistics("d", d, y)
        return d1, np.zeros_like(d2) if y is None else d2, np.maximum(-lo, hi)

    def _statistics(
        self, name: str, a: Array, b: Array | None
    ) -> tuple[Array, Array, Array, Array]:
        self.clear()
        region, channels = _region(name, a)
        task = Statistics(
            a=self._put_rows(a, region),
            b=0 if b is None else self._put_rows(b, region),
            results=self.take(region.chunks * _STATISTICS.itemsize),
            region=region,
        )
        self.run(task)
        found = self.get(task.results, np.uint8, (region.chunks * _STATISTICS.itemsize,))
        s1, s2, lo, hi = (found.view(_STATISTICS)[field] for field in ("s1", "s2", "lo", "hi"))
        s1, s2, lo, hi = (column.reshape(-1)[:channels] for column in (s1, s2, lo, hi))
        return s1, s2, lo, hi

    def affine_forward(
        self,
        y: Array,
        a: Array,
        b: Array,
        z: Array | None,
        r: Array | None,
        shift: int,
        relu: bool,
        out: Array,
    ) -> tuple[int, Array, Array]:
        """Write sat13(half_up(a*y + r*z + b, shift)); return saturations and channel extremes."""
        self.clear()
        region, channels = _region("y", y)
        check_range("shift", shift, 30)
        if (z is None) != (r is None):
            raise ArgumentError("z and r: give both or neither")
        optional_address("z", z, np.int16, y.shape)
        output_address("out", out, np.int16, y.shape)
        for name, column in (("a", a), ("b", b), ("r", r)):
            optional_address(name, column, np.int32, (channels,))
        task = AffineForward(
            y=self._put_rows(y, region),
            z=0 if z is None else self._put_rows(z, region),
            out=self.take(region.images * region.image_stride),
            coefficients=self.put(channel_table(a, np.zeros_like(a) if r is None else r, b)),
            extremes=self.take(region.chunks * 8 * CHUNK),
            region=region,
            shift=shift,
            relu=relu,
            report=self.take(16),
        )
        self.run(task)
        self._get_rows(task.out, region, out)
        extremes = self.get(task.extremes, np.int32, (region.chunks, 2, CHUNK))
        lo, hi = (extremes[:, i].reshape(-1)[:channels] for i in (0, 1))
        return self.report(task.report)[1], lo, hi

    def affine_backward(
        self,
        d: Array,
        y: Array | None,
        a: Array,
        c: Array,
        p: int,
        b: Array,
        shift: int,
        seed: int,
        e: Array,
    ) -> int:
        """Write e = sat13((a*d + c*half_up(y, p) + b + dither) >> shift); return saturations."""
        self.clear()
        region, channels = _region("d", d)
        check_range("shift", shift, 30)
        check_range("p", p, 14)
        optional_address("y", y, np.int16, d.shape)
        output_address("e", e, np.int16, d.shape)
        for name, column in (("a", a), ("c", c), ("b", b)):
            address(name, column, np.int32, (channels,))
        task = AffineBackward(
            d=self._put_rows(d, region),
            y=0 if y is None else self._put_rows(y, region),
            e=self.take(region.images * region.image_stride),
            coefficients=self.put(channel_table(a, np.zeros_like(c) if y is None else c, b)),
            region=region,
            p=p,
            shift=shift,
            seed=seed,
            first=0,
            channels=channels,
            image_step=region.pixels * channels,
            report=self.take(16),
        )
        self.run(task)
        self._get_rows(task.e, region, e)
        return self.report(task.report)[1]

    def _put_rows(self, rows: Array, region: Region) -> int:
        return self.put(to_board(rows.reshape(region.images, 1, region.pixels, -1)))

    def _get_rows(self, at: int, region: Region, out: Array) -> None:
        shape = (region.images, region.chunks, 1, region.pixels, CHUNK)
        out[...] = from_board(self.get(at, np.int16, shape), out.shape[-1]).reshape(out.shape)


def _region(name: str, array: Array) -> tuple[Region, int]:
    """Return the region of a whole tensor [rows, c] and its channels."""
    rows, channels = matrix_of(name, array)
    address(name, array, np.int16, array.shape)
    images = max(n for n in range(1, _MOST_IMAGES + 1) if rows % n == 0)
    pixels, chunks = rows // images, chunks_of(channels)
    plane = pixels * 2 * CHUNK
    return (
        Region(
            images=images,
            chunks=chunks,
            pixels=pixels,
            image_stride=chunks * plane,
            chunk_stride=plane,
        ),
        channels,
    )
