"""The core's task loop: tapes, counts, and tapes that are wrong."""

import numpy as np
import pytest

from orchestrator.errors import MissingToolError
from orchestrator.model.shapes import ConvShape
from orchestrator.virtual.arm_kernels import ArmKernels
from orchestrator.virtual.arm_kernels.runner import CoreRunner
from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.core import Core
from orchestrator.virtual.core_fault import CoreStopped
from orchestrator.virtual.image import DTCM, build_image
from orchestrator.virtual.tasks import Copy, TaskError

USER2, USER3 = 120, 124


@pytest.fixture
def runner() -> ArmKernels:
    try:
        core = Core(ChipMemory(1 << 20), 1, build_image(), dma_bytes_per_cycle=0.25)
    except MissingToolError as error:
        pytest.skip(str(error))
    return ArmKernels(core)


@pytest.mark.parametrize("size", [0, 8, 28 * 1024 - 8, 28 * 1024, 28 * 1024 + 8, 200_000])
def test_copies_of_every_length(runner: CoreRunner, size: int) -> None:
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    source, target = runner.put(data), runner.take(size + 8)
    runner.core.chip.memory(target, size + 8)[:] = 0x55
    runner.run(Copy(source=source, target=target, bytes=size))
    copied = runner.get(target, np.uint8, (size + 8,))
    np.testing.assert_array_equal(copied[:size], data)
    assert (copied[size:] == 0x55).all()


def test_tasks_run_in_order_and_are_counted(runner: CoreRunner) -> None:
    places = [runner.put(np.full(8, i, np.uint8)) for i in range(4)]
    runner.run(
        *(Copy(source=a, target=b, bytes=8) for a, b in zip(places, places[1:], strict=False))
    )
    assert (runner.get(places[-1], np.uint8, (8,)) == 0).all()
    vcpu = runner.core.chip.vcpu(runner.core.number)
    assert runner.core.chip.read_word(vcpu + USER2) == 3


@pytest.mark.parametrize("before", [2**31 - 8, 2**31 + 100, 2**32 - 8])
def test_work_goes_on_after_any_number_of_transfers(runner: ArmKernels, before: int) -> None:
    core = runner.core
    for name in ("queued", "started", "done"):
        at = core.image.symbols[name] - DTCM
        core.dtcm[at : at + 4] = np.frombuffer(before.to_bytes(4, "little"), np.uint8)
    shape = ConvShape.of(1, 2, 2, 32, 32, 1, 1, 1, 0)
    x, y = np.ones(shape.x_shape, np.int16), np.empty(shape.y_shape, np.int16)
    runner.conv_forward(shape, x, np.ones(shape.w_shape, np.int16), None, 2, y)
    assert (y == 8).all()


@pytest.mark.parametrize("kernel", ["forward", "weight gradient"])
def test_sums_beyond_32_bits_stop_the_core(runner: ArmKernels, kernel: str) -> None:
    shape = ConvShape.of(1, 4, 4, 32, 32, 3, 3, 1, 1)
    x, w, y = (np.full(s, 32767, np.int16) for s in (shape.x_shape, shape.w_shape, shape.y_shape))
    with pytest.raises(CoreStopped, match="0x101"):
        if kernel == "forward":
            runner.conv_forward(shape, x, w, None, 18, y)
        else:
            runner.conv_weight_gradient(shape, y, x, 18, np.zeros(shape.w_shape, np.int32))
    vcpu = runner.core.chip.vcpu(runner.core.number)
    assert runner.core.chip.read_word(vcpu + USER3) == TaskError.OVERFLOW


@pytest.mark.parametrize(
    ("header", "source", "error"),
    [
        (0xFFFF | 4 << 16, 0x60000000, TaskError.KIND),
        (Copy.kind | 6 << 16, 0x60000000, TaskError.WORDS),
        (Copy.kind | 4 << 16, 0x60000002, TaskError.ALIGNMENT),
    ],
)
def test_wrong_tasks_stop_the_core(
    runner: CoreRunner, header: int, source: int, error: TaskError
) -> None:
    task = Copy(source=source, target=0x60001000, bytes=8)
    task.header = header
    with pytest.raises(CoreStopped):
        runner.run(task)
    vcpu = runner.core.chip.vcpu(runner.core.number)
    assert runner.core.chip.read_word(vcpu + USER3) == error
