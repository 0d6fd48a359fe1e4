"""Pools, scaling, dropout and the input table on an emulated core."""

import numpy as np

from orchestrator.boards.kernel_arguments import (
    address,
    finish_of,
    optional_address,
    output_address,
    shift_of,
)
from orchestrator.errors import ArgumentError
from orchestrator.model.shapes import DropoutKey, PoolShape, Sums
from orchestrator.virtual.arm_kernels.runner import Array, TaskDoor
from orchestrator.virtual.layout import chunks_of, from_board, to_board
from orchestrator.virtual.tasks_element import (
    CHUNK,
    AvgPoolForward,
    Dropout,
    MaxPoolForward,
    Normalise,
    Planes,
    Region,
    Scale16,
    WindowBackward,
)

_LONGEST_ROW = 192
"""Pixels of a row that the pools hold in DTCM (pool.c)."""

_INPUT_CHANNELS = 4


class PoolKernels(TaskDoor):
    """Part of `ArmKernels`."""

    def normalise(self, pixels: Array, table: Array, out: Array) -> None:
        """Write the input mantissas of uint8 pixels [n, h, w, c] through table [256, c], c <= 4."""
        self.clear()
        channels = pixels.shape[-1]
        address("pixels", pixels, np.uint8, pixels.shape)
        address("table", table, np.int16, (256, channels))
        output_address("out", out, np.int16, pixels.shape)
        if channels > _INPUT_CHANNELS:
            raise ArgumentError(
                f"pixels have {channels} channels: a board takes images of at most "
                f"{_INPUT_CHANNELS}"
            )
        count = pixels.size // channels
        task = Normalise(
            pixels=self.put(pixels),
            table=self.put(table),
            out=self.take(count * 2 * _INPUT_CHANNELS),
            count=count,
            channels=channels,
        )
        self.run(task)
        found = self.get(task.out, np.int16, (count, _INPUT_CHANNELS))
        out[...] = found[:, :channels].reshape(out.shape)

    def max_pool_forward(self, shape: PoolShape, x: Array, out: Array, index: Array) -> None:
        """Write each window's maximum and its position in the window."""
        self.clear()
        if shape.kr * shape.ks > 256:
            raise ArgumentError(
                f"max pool kernel {shape.kr} x {shape.ks}: at most 256 elements; use a smaller one"
            )
        planes = _planes(shape)
        address("x", x, np.int16, shape.x_shape)
        output_address("out", out, np.int16, shape.y_shape)
        output_address("index", index, np.uint8, shape.y_shape)
        size = shape.n * planes.y_image_stride
        task = MaxPoolForward(
            x=self._put_tensor(x, shape.x_shape),
            y=self.take(size),
            index=self.take(size // 2),
            planes=planes,
        )
        self.run(task)
        self._get_tensor(task.y, shape.y_shape, out)
        self._get_tensor(task.index, shape.y_shape, index)

    def avg_pool_forward(self, shape: PoolShape, x: Array, m: int, q: int, out: Array) -> None:
        """Write half_up(window sum * m, q)."""
        self.clear()
        planes = _planes(shape)
        address("x", x, np.int16, shape.x_shape)
        output_address("out", out, np.int16, shape.y_shape)
        task = AvgPoolForward(
            x=self._put_tensor(x, shape.x_shape),
            y=self.take(shape.n * planes.y_image_stride),
            m=m,
            q=shift_of(q),
            planes=planes,
        )
        self.run(task)
        self._get_tensor(task.y, shape.y_shape, out)

    def window_backward(
        self,
        shape: PoolShape,
        d: Array,
        index: Array | None,
        addend: Array | None,
        acc_shift: int,
        addend_shift: int,
        mask: Array | None,
        shift: int,
        out: Array,
    ) -> Sums:
        """Send d back through its windows (all positions, or the one in index), align, round."""
        self.clear()
        planes = _planes(shape)
        address("d", d, np.int16, shape.y_shape)
        optional_address("index", index, np.uint8, shape.y_shape)
        output_address("out", out, np.int16, shape.x_shape)
        finish = finish_of(shape.x_shape, addend, acc_shift, addend_shift, mask, shift)
        task = WindowBackward(
            d=self._put_tensor(d, shape.y_shape),
            index=0 if index is None else self._put_tensor(index, shape.y_shape),
            addend=0 if addend is None else self._put_tensor(addend, shape.x_shape),
            mask=0 if mask is None else self._put_tensor(mask, shape.x_shape),
            out=self.take(shape.n * planes.x_image_stride),
            acc_shift=finish.acc_shift,
            addend_shift=finish.addend_shift,
            shift=finish.shift,
            report=self.take(16),
            planes=planes,
        )
        self.run(task)
        self._get_tensor(task.out, shape.x_shape, out)
        return Sums(*self.report(task.report))

    def scale16(self, x: Array, m: int, q: int, limit: int, out: Array) -> int:
        """Write half_up(x * m, q) clamped to +-limit; return saturations."""
        self.clear()
        address("x", x, np.int16, x.shape)
        output_address("out", out, np.int16, x.shape)
        padded = np.zeros(x.size + x.size % 2, np.int16)
        padded[: x.size] = x.reshape(-1)
        task = Scale16(
            x=self.put(padded),
            out=self.take(padded.nbytes),
            count=padded.size,
            m=m,
            q=shift_of(q),
            limit=limit,
            report=self.take(16),
        )
        self.run(task)
        out[...] = self.get(task.out, np.int16, (x.size,)).reshape(out.shape)
        return self.report(task.report)[1]

    def dropout(
        self, x: Array, key: DropoutKey, threshold: int, m: int, limit: int, out: Array
    ) -> int:
        """Write half_up(x * m, 16) where kept, 0 elsewhere; return saturations."""
        self.clear()
        address("x", x, np.int16, x.shape)
        output_address("out", out, np.int16, x.shape)
        n, channels = x.shape[0], x.shape[-1]
        address("positions", key.positions, np.int64, (n,))
        pixels, chunks = x.size // (n * channels), chunks_of(channels)
        tensor = (n, 1, pixels, channels)
        plane = pixels * 2 * CHUNK
        task = Dropout(
            x=self._put_tensor(x, tensor),
            out=self.take(n * chunks * plane),
            positions=self.put(key.positions.astype(np.uint32)),
            region=Region(
                images=n,
                chunks=chunks,
                pixels=pixels,
                image_stride=chunks * plane,
                chunk_stride=plane,
            ),
            first=0,
            channels=channels,
            seed_low=key.seed & 0xFFFFFFFF,
            seed_high=key.seed >> 32,
            tensor=key.tensor,
            epoch=key.epoch,
            threshold=threshold,
            m=m,
            limit=limit,
            report=self.take(16),
        )
        self.run(task)
        self._get_tensor(task.out, tensor, out)
        return self.report(task.report)[1]

    def _put_tensor(self, x: Array, shape: tuple[int, int, int, int]) -> int:
        return self.put(to_board(x.reshape(shape)))

    def _get_tensor(self, at: int, shape: tuple[int, int, int, int], out: Array) -> None:
        n, h, w, c = shape
        found = self.get(at, out.dtype.type, (n, chunks_of(c), h, w, CHUNK))
        out[...] = from_board(found, c).reshape(out.shape)


def _planes(shape: PoolShape) -> Planes:
    """Return a pool's sizes for the kernels.

    Raises
    ------
    ArgumentError
        A row of windows does not fit a core's memory.
    """
    windows = min(shape.q, (shape.ks - 1) // shape.stride + 1)
    if max(shape.ks, windows) > _LONGEST_ROW:
        raise ArgumentError(
            f"pool kernel {shape.kr} x {shape.ks}: a core takes windows of at most "
            f"{_LONGEST_ROW} columns"
        )
    chunks = chunks_of(shape.c)
    x_plane, y_plane = shape.h * shape.w * 2 * CHUNK, shape.p * shape.q * 2 * CHUNK
    return Planes(
        images=shape.n,
        chunks=chunks,
        h=shape.h,
        w=shape.w,
        kr=shape.kr,
        ks=shape.ks,
        stride=shape.stride,
        pad=shape.pad,
        p=shape.p,
        q=shape.q,
        x_image_stride=chunks * x_plane,
        x_chunk_stride=x_plane,
        y_image_stride=chunks * y_plane,
        y_chunk_stride=y_plane,
    )
