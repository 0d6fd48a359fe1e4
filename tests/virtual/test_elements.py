"""Kernels on a core beyond the cases of tests/kernels: many tiles, wide rows, shares of tensors."""

import numpy as np
import pytest

from orchestrator.bench.arm_elements import measure_elements
from orchestrator.errors import ArgumentError, MissingToolError, RunError
from orchestrator.model import ops
from orchestrator.model.shapes import PoolShape
from orchestrator.virtual.arm_kernels import ArmKernels
from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.core import Core
from orchestrator.virtual.image import build_image
from orchestrator.virtual.layout import channel_table, from_board, to_board
from orchestrator.virtual.tasks_element import CHUNK, Add, AffineBackward, Region

SLOW_DMA = 0.01
"""Bytes per cycle, so few that every kernel waits: a tensor used before it is there shows."""


def open_kernels(dma_bytes_per_cycle: float | None = None, check: bool = False) -> ArmKernels:
    try:
        image = build_image()
    except MissingToolError as error:
        pytest.skip(str(error))
    chip = ChipMemory(16 << 20)
    return ArmKernels(Core(chip, 1, image, check=check, dma_bytes_per_cycle=dma_bytes_per_cycle))


@pytest.fixture(scope="module")
def k() -> ArmKernels:
    return open_kernels(SLOW_DMA)


def signs(shape: tuple[int, ...], limit: int, seed: int) -> np.ndarray:
    """Random mantissas, half of them of the largest magnitude."""
    rng = np.random.default_rng(seed)
    values = rng.integers(-limit, limit + 1, shape)
    return np.where(rng.integers(0, 2, shape), values, np.sign(values) * limit).astype(np.int16)


def equal(ours: object, theirs: object) -> None:
    np.testing.assert_equal(ours, theirs)


@pytest.mark.parametrize("limit", [5, 32767])
def test_channels_over_many_tiles(k: ArmKernels, limit: int) -> None:
    y, z = signs((3001, 37), limit, 1), signs((3001, 37), limit, 2)
    a, b = np.full(37, 16383, np.int32), np.full(37, -(2**29), np.int32)
    equal(k.channel_statistics(y), ops.channel_statistics(y))
    equal(k.affine_backward_sums(z, y), ops.affine_backward_sums(z, y))
    ours, theirs = np.empty_like(y), np.empty_like(y)
    forward = (y, a, b, z, a, 18, False)
    equal(k.affine_forward(*forward, ours), ops.affine_forward(*forward, theirs))
    equal(ours, theirs)
    backward = (y, z, a, -a, 3, b, 17, 99)
    equal(k.affine_backward(*backward, ours), ops.affine_backward(*backward, theirs))
    equal(ours, theirs)


@pytest.mark.parametrize(
    "shape",
    [
        PoolShape.of(1, 3, 400, 5, 3, 3, 1, 1),
        PoolShape.of(2, 5, 391, 33, 2, 3, 2, 1),
        PoolShape.of(1, 2, 250, 1, 2, 192, 1, 0),
        PoolShape.of(1, 70, 70, 33, 70, 70, 1, 0),
        PoolShape.of(1, 9, 300, 3, 2, 2, 4, 0),
    ],
    ids=lambda s: f"{s.h}x{s.w} {s.kr}x{s.ks}/{s.stride}",
)
def test_pools_cut_rows_that_are_too_long(k: ArmKernels, shape: PoolShape) -> None:
    x, d = signs(shape.x_shape, 4095, 1), signs(shape.y_shape, 32767, 2)
    ours, theirs = np.empty(shape.y_shape, np.int16), np.empty(shape.y_shape, np.int16)
    index = None
    if shape.kr * shape.ks <= 256:
        index, other = (np.empty(shape.y_shape, np.uint8) for _ in range(2))
        k.max_pool_forward(shape, x, ours, index)
        ops.max_pool_forward(shape, x, theirs, other)
        equal((ours, index), (theirs, other))
    k.avg_pool_forward(shape, x, 43691, 22, ours)
    ops.avg_pool_forward(shape, x, 43691, 22, theirs)
    equal(ours, theirs)
    for routed in (index, None):
        error, expected = np.empty_like(x), np.empty_like(x)
        arguments = (shape, d, routed, x, 0, 3, x, 2)
        equal(k.window_backward(*arguments, error), ops.window_backward(*arguments, expected))
        equal(error, expected)


def test_a_window_wider_than_a_cores_memory_is_refused(k: ArmKernels) -> None:
    shape = PoolShape.of(1, 1, 193, 1, 1, 193)
    x, y = np.zeros(shape.x_shape, np.int16), np.zeros(shape.y_shape, np.int16)
    with pytest.raises(ArgumentError, match="1 x 193: a core takes windows of at most 192 columns"):
        k.avg_pool_forward(shape, x, 1, 0, y)


def test_tensors_that_exceed_the_chip_are_refused(k: ArmKernels) -> None:
    k.clear()
    with pytest.raises(RunError, match="more than the emulated chip's SDRAM"):
        k.take(17 << 20)


def test_shares_of_a_tensor_join_to_the_whole(k: ArmKernels) -> None:
    """A core's part is some images, chunks and pixels; the dither's index is the whole tensor's."""
    n, h, w, c = 3, 5, 4, 70
    d, y = signs((n, h, w, c), 32767, 1), signs((n, h, w, c), 32767, 2)
    a, slope = np.full(c, 16383, np.int32), np.full(c, -16383, np.int32)
    b = np.arange(c, dtype=np.int32) << 20
    expected = np.empty((n * h * w, c), np.int16)
    rows = (d.reshape(-1, c), y.reshape(-1, c))
    saturated = ops.affine_backward(*rows, a, slope, 2, b, 16, 7, expected)
    k.clear()
    at_d, at_y, e = k.put(to_board(d)), k.put(to_board(y)), k.take(to_board(d).nbytes)
    table = k.put(channel_table(a, slope, b))
    plane, pixel = h * w * 2 * CHUNK, 2 * CHUNK
    tasks = []
    for image, images in ((0, 2), (2, 1)):
        for chunk, chunks in ((0, 1), (1, 2)):
            for first, pixels in ((0, 7), (7, 13)):
                offset = (image * 3 + chunk) * plane + first * pixel
                tasks.append(
                    AffineBackward(
                        d=at_d + offset,
                        y=at_y + offset,
                        e=e + offset,
                        coefficients=table + chunk * 12 * CHUNK,
                        region=Region(
                            images=images,
                            chunks=chunks,
                            pixels=pixels,
                            image_stride=3 * plane,
                            chunk_stride=plane,
                        ),
                        p=2,
                        shift=16,
                        seed=7,
                        first=(image * h * w + first) * c + chunk * CHUNK,
                        channels=c,
                        image_step=h * w * c,
                        report=k.take(16),
                    )
                )
    k.run(*tasks)
    found = from_board(k.get(e, np.int16, (n, 3, h, w, CHUNK)), c)
    equal(found.reshape(-1, c), expected)
    assert sum(k.report(task.report)[1] for task in tasks) == saturated


def test_channels_that_fill_a_chunk_stay_zero(k: ArmKernels) -> None:
    y = signs((50, 3), 32767, 1)
    k.affine_backward(
        y, None, *(np.full(3, v, np.int32) for v in (16383, 0)), 0, np.zeros(3, np.int32), 30, 5,
        np.empty_like(y),
    )  # fmt: skip
    written = to_board(y.reshape(1, 1, 50, 3)).nbytes
    e = k.core.chip.memory(0x60000000 + written, written).view(np.int16).reshape(-1, CHUNK)
    assert not e[:, 3:].any()


@pytest.mark.parametrize("count", [1, 2, 2048, 5000])
def test_sums_of_gradients(k: ArmKernels, count: int) -> None:
    rng = np.random.default_rng(count)
    total = rng.integers(-(2**29), 2**29, count, dtype=np.int32)
    parts = rng.integers(-(2**28), 2**28, (3, count + count % 2), dtype=np.int32)
    k.clear()
    task = Add(total=k.put(total), addend=k.put(parts), count=count, parts=3, stride=parts.shape[1])
    k.run(task)
    equal(k.get(task.total, np.int32, (count,)), total + parts[:, :count].sum(axis=0))


def test_every_kernel_keeps_to_alignment_and_its_cycles_are_counted() -> None:
    kernels = open_kernels(check=True)
    figures = {f.kernel: f for f in measure_elements(kernels)}
    assert all(f.cycles_per_element > 1 for f in figures.values())
    assert figures["batch norm, shortcut, ReLU"].dma_bytes_per_element == pytest.approx(6, rel=0.01)
    assert figures["update"].dma_bytes_per_element == pytest.approx(20, rel=0.01)
