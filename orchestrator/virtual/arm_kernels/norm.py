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
from orchestrator.virtual.arm_kernels.runner import Array, TaskRunner
from orchestrator.virtual.layout import channel_table, chunks_of, from_board, to_board
from orchestrator.virtual.tasks_element import (
    CHUNK,
    AffineBackward,
    AffineBackwardSums,
    AffineForward,
    ChannelStatistics,
    Region,
)

_MOST_IMAGES = 4


class NormKernels(TaskRunner):
    """Part of `ArmKernels`; tensors are [rows, c], cut into images so that tasks cross them."""

    def channel_statistics(self, y: Array) -> tuple[Array, Array, Array, Array]:
        """Return sum, sum of squares, minimum and maximum of each channel of [rows, c]."""
        self.clear()
        region, channels = _region("y", y)
        results = self.take(region.chunks * 24 * CHUNK)
        task = ChannelStatistics(y=self._put_rows(y, region), results=results, region=region)
        self.run(task)
        sums, extremes = self._results(results, region.chunks, 2, 2)
        return (*(column[:channels] for column in (*sums, *extremes)),)  # type: ignore[return-value]

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
        extremes, report = self.take(region.chunks * 8 * CHUNK), self.take(16)
        task = AffineForward(
            y=self._put_rows(y, region),
            z=0 if z is None else self._put_rows(z, region),
            out=self.take(region.images * region.image_stride),
            coefficients=self.put(channel_table(a, a if r is None else r, b)),
            extremes=extremes,
            region=region,
            shift=shift,
            relu=relu,
            report=report,
        )
        self.run(task)
        self._get_rows(task.out, region, out)
        _, (lo, hi) = self._results(extremes, region.chunks, 0, 2)
        return self.report(report)[1], lo[:channels], hi[:channels]

    def affine_backward_sums(self, d: Array, y: Array | None) -> tuple[Array, Array, Array]:
        """Return sum of d, sum of d*y and max |d| of each channel."""
        self.clear()
        region, channels = _region("d", d)
        optional_address("y", y, np.int16, d.shape)
        results = self.take(region.chunks * 20 * CHUNK)
        task = AffineBackwardSums(
            d=self._put_rows(d, region),
            y=0 if y is None else self._put_rows(y, region),
            results=results,
            region=region,
        )
        self.run(task)
        (d1, d2), (top,) = self._results(results, region.chunks, 2, 1)
        return d1[:channels], d2[:channels], top[:channels]

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
            coefficients=self.put(channel_table(a, c, b)),
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

    def _results(
        self, at: int, chunks: int, wide: int, narrow: int
    ) -> tuple[list[Array], list[Array]]:
        """Return the per-channel arrays of all chunks, 64-bit ones first, 32-bit ones behind."""
        words = self.get(at, np.uint8, (chunks, (8 * wide + 4 * narrow) * CHUNK))
        cut = 8 * wide * CHUNK
        sums = np.ascontiguousarray(words[:, :cut]).view(np.int64).reshape(chunks, wide, CHUNK)
        rest = np.ascontiguousarray(words[:, cut:]).view(np.int32).reshape(chunks, narrow, CHUNK)
        return (
            [sums[:, i].reshape(-1) for i in range(wide)],
            [rest[:, i].reshape(-1) for i in range(narrow)],
        )


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
