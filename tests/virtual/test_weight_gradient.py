"""Weight gradients, packed weights and rounded sums on an emulated core, by the oracle's bits."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from orchestrator.model import ops
from orchestrator.model.shapes import ConvShape
from orchestrator.virtual.arm_kernels import ArmKernels
from orchestrator.virtual.arm_kernels.weights import (
    board_input,
    pack_blocks,
    packed_words,
    whole_gradient,
)
from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.core import Core
from orchestrator.virtual.image import Image
from orchestrator.virtual.layout import chunks_of, to_board
from orchestrator.virtual.tasks_weights import Pack, PackOrder

LIMIT = 4095
RESNET50 = {
    "3x3 56": ConvShape.of(1, 56, 56, 32, 32, 3, 3, 1, 1),
    "3x3 14": ConvShape.of(2, 14, 14, 64, 32, 3, 3, 1, 1),
    "3x3 7": ConvShape.of(3, 7, 7, 32, 33, 3, 3, 1, 1),
    "3x3/2": ConvShape.of(2, 28, 28, 32, 32, 3, 3, 2, 1),
    "1x1": ConvShape.of(3, 14, 14, 40, 64, 1, 1),
    "1x1/2": ConvShape.of(1, 28, 28, 64, 32, 1, 1, 2),
    "stem": ConvShape.of(1, 60, 60, 3, 64, 7, 7, 2, 3),
    "dense": ConvShape.dense(130, 64, 10),
}


@pytest.fixture(scope="module")
def open_kernels(image: Image) -> Iterator[Callable[..., ArmKernels]]:
    """Open a core of its own; options are those of `Core`."""
    cores = []

    def start(**options: Any) -> ArmKernels:
        cores.append(Core(ChipMemory(16 << 20), 1, image, **options))
        return ArmKernels(cores[-1])

    yield start
    for core in cores:
        core.close()


@pytest.fixture(scope="module")
def core(open_kernels: Callable[..., ArmKernels]) -> ArmKernels:
    """Transfers take time, and unaligned accesses stop the core."""
    return open_kernels(check=True, dma_bytes_per_cycle=0.25)


def operands(shape: ConvShape, value: int | None = None) -> tuple[NDArray[np.int16], ...]:
    """Return e and x, random or all extreme with the signs of `value`."""
    rng = np.random.default_rng(1)
    e, x = (
        rng.integers(-LIMIT, LIMIT + 1, size).astype(np.int16)
        for size in (shape.y_shape, shape.x_shape)
    )
    if value is not None:
        e[...], x[...] = LIMIT, value
    return e, x


def check_gradient(
    kernels: ArmKernels, shape: ConvShape, shift: int | None, value: int | None = None
) -> None:
    e, x = operands(shape, value)
    total = np.random.default_rng(2).integers(-(2**20), 2**20, shape.w_shape, dtype=np.int32)
    found = total.copy()
    expected = ops.conv_weight_gradient(shape, e, x, shift, total)
    assert kernels.conv_weight_gradient(shape, e, x, shift, found) == expected
    np.testing.assert_array_equal(found, total)


@pytest.mark.parametrize("shape", RESNET50.values(), ids=list(RESNET50))
@pytest.mark.parametrize("value", [None, LIMIT, -LIMIT])
def test_weight_gradient_of_resnet50s_layers(
    open_kernels: Callable[..., ArmKernels], shape: ConvShape, value: int | None
) -> None:
    check_gradient(open_kernels(), shape, 20, value)


@st.composite
def conv_shapes(draw: st.DrawFn) -> ConvShape:
    r, s, pad = draw(st.integers(1, 5)), draw(st.integers(1, 5)), draw(st.integers(0, 3))
    h = draw(st.integers(max(1, r - 2 * pad), 9))
    w = draw(st.integers(max(1, s - 2 * pad), 40))
    n, c, k = (draw(st.integers(1, most)) for most in (3, 35, 35))
    return ConvShape.of(n, h, w, c, k, r, s, draw(st.integers(1, 4)), pad)


@settings(max_examples=25)
@given(shape=conv_shapes(), shift=st.none() | st.integers(-20, 70))
def test_weight_gradient_of_any_shape(
    core: ArmKernels, shape: ConvShape, shift: int | None
) -> None:
    check_gradient(core, shape, shift)


def test_shares_of_a_layer_make_the_whole(core: ArmKernels) -> None:
    shape = ConvShape.of(1, 5, 6, 70, 40, 3, 3, 1, 1)
    e, x = operands(shape)
    expected = np.zeros(shape.w_shape, np.int32)
    bits = ops.conv_weight_gradient(shape, e, x, 12, expected).bits
    core.clear()
    places = {
        "e": core.put(to_board(e)),
        "x": core.put(board_input(x)),
        "total": core.put(np.zeros(shape.w_shape, np.int32)),
    }
    tasks = []
    for chunk, row, inputs in ((c, r, i) for c in (0, 1) for r in (0, 1, 2) for i in (0, 1)):
        task = whole_gradient(shape, **places, report=core.take(16), shift=12, measure=0)
        task.output_first, task.output_chunks = chunk, 1
        task.row_first, task.rows = row, 1
        task.input_first, task.input_chunks = 2 * inputs, 2 - inputs
        tasks.append(task)
    core.run(*tasks)
    found = core.get(places["total"], np.int32, shape.w_shape)
    np.testing.assert_array_equal(found, expected)
    assert np.bitwise_or.reduce([core.report(task.report)[0] for task in tasks]) == bits


def test_substituted_products_give_the_same_bits_and_cycles(
    open_kernels: Callable[..., ArmKernels],
) -> None:
    plain, quick = open_kernels(), open_kernels(substitute=True)
    for shape in RESNET50.values():
        e, x = operands(shape)
        totals = np.zeros((2, *shape.w_shape), np.int32)
        results = [
            kernels.conv_weight_gradient(shape, e, x, 18, total)
            for kernels, total in zip((plain, quick), totals, strict=True)
        ]
        assert results[0] == results[1]
        np.testing.assert_array_equal(*totals)
        assert quick.cycles == pytest.approx(plain.cycles, rel=0.01)
    assert quick.core.substituted > 0


# ---- packing -----------------------------------------------------------------------------------


def packed_forward(w: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return [block][chunk][r][s][pair][4 outputs][2]."""
    k, r, s, c = w.shape
    width = 4 if c <= 4 else 32
    blocks, chunks = 8 * chunks_of(k), -(-c // width)
    padded = np.zeros((4 * blocks, r, s, chunks * width), np.int16)
    padded[:k, :, :, :c] = w
    parts = padded.reshape(blocks, 4, r, s, chunks, width // 2, 2)
    return parts.transpose(0, 4, 2, 3, 5, 1, 6).reshape(-1)


def packed_input_gradient(w: NDArray[np.int16], stride: int, pad: int) -> NDArray[np.int16]:
    """Return, class by class, [block][chunk][row][column][pair][4 inputs][2]."""
    k, r, s, c = w.shape
    chunks, blocks = chunks_of(k), 8 * chunks_of(c)
    padded = np.zeros((32 * chunks, r, s, 4 * blocks), np.int16)
    padded[:k, :, :, :c] = w
    classes = []
    for a in range(stride):
        rows = [i for i in reversed(range(r)) if i % stride == (a + pad) % stride]
        for b in range(stride):
            columns = [i for i in reversed(range(s)) if i % stride == (b + pad) % stride]
            taps = padded[:, rows][:, :, columns]
            parts = taps.reshape(chunks, 16, 2, len(rows), len(columns), blocks, 4)
            classes.append(parts.transpose(5, 0, 3, 4, 1, 6, 2).reshape(-1))
    return np.concatenate(classes)


@st.composite
def weights(draw: st.DrawFn) -> NDArray[np.int16]:
    sizes = [draw(st.integers(1, most)) for most in (70, 5, 5, 70)]
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    return rng.integers(-LIMIT, LIMIT + 1, sizes).astype(np.int16)


@settings(max_examples=20)
@given(
    w=weights(), stride=st.integers(1, 3), pad=st.integers(0, 3), order=st.sampled_from(PackOrder),
    parts=st.integers(1, 2),
)  # fmt: skip
def test_packed_weights(
    core: ArmKernels, w: NDArray[np.int16], stride: int, pad: int, order: PackOrder, parts: int
) -> None:
    forward = order is PackOrder.FORWARD
    expected = packed_forward(w) if forward else packed_input_gradient(w, stride, pad)
    k, r, s, c = w.shape
    assert expected.size == 2 * packed_words(order, w.shape)
    core.clear()
    source, target = core.put(w), core.put(np.full(expected.size + 64, 0x5555, np.int16))
    blocks = pack_blocks(order, w.shape)
    cuts = [blocks * part // parts for part in range(parts + 1)]
    core.run(
        *(
            Pack(
                source=source, target=target, order=order, c=c, k=k, r=r, s=s, stride=stride,
                pad=pad, block_first=first, blocks=end - first,
            )
            for first, end in zip(cuts, cuts[1:], strict=False)
        )
    )  # fmt: skip
    found = core.get(target, np.int16, (expected.size + 64,))
    np.testing.assert_array_equal(found[: expected.size], expected)
    assert (found[expected.size :] == 0x5555).all()


# ---- sums --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [None, -127, -17, -1, 0, 1, 13, 31, 32, 62, 127])
@pytest.mark.parametrize("bits", [17, 33, 62])
def test_accumulate(core: ArmKernels, shift: int | None, bits: int) -> None:
    rng = np.random.default_rng(bits)
    v = rng.integers(-(2**bits) + 1, 2**bits, 1100)
    v[:2] = 2**bits - 1, -(2**bits) + 1
    total = rng.integers(-(2**30), 2**30, v.size).astype(np.int32)
    found = total.copy()
    expected = ops.accumulate(v, shift, total)
    assert core.accumulate(v, shift, found) == expected
    np.testing.assert_array_equal(found, total)


@pytest.mark.parametrize(("rows", "channels"), [(1, 1), (300, 33), (1000, 7)])
def test_channel_sums(core: ArmKernels, rows: int, channels: int) -> None:
    for e in (
        np.random.default_rng(0).integers(-32767, 32768, (rows, channels)).astype(np.int16),
        np.full((rows, channels), -32767, np.int16),
    ):
        np.testing.assert_array_equal(core.channel_sums(e), ops.channel_sums(e))
