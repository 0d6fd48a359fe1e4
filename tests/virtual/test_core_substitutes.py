"""Host functions in place of inner products: the same bits, nearly the same cycles."""

import re
from pathlib import Path

import numpy as np
import pytest

from orchestrator.model import ops
from orchestrator.model.shapes import ConvShape
from orchestrator.virtual.arm_kernels.runner import CoreRunner
from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.core import Core
from orchestrator.virtual.core_fault import CoreStopped, FaultKind
from orchestrator.virtual.layout import to_board
from orchestrator.virtual.tasks_weights import WeightGradient

SHAPE = ConvShape.of(2, 14, 14, 32, 32, 3, 3, stride=1, pad=1)
SHIFT = 14


class Run:
    """A weight gradient on a core."""

    def __init__(self, image, *, substitute, check=False, bandwidth=None, e_address=None):
        rng = np.random.default_rng(2)
        self.e = rng.integers(-4095, 4096, SHAPE.y_shape, np.int16)
        self.x = rng.integers(-4095, 4096, SHAPE.x_shape, np.int16)
        chip = ChipMemory(4 << 20)
        core = Core(
            chip, 1, image, substitute=substitute, check=check, dma_bytes_per_cycle=bandwidth
        )
        runner = CoreRunner(core)
        task = WeightGradient(
            e=e_address or runner.put(to_board(self.e)),
            x=runner.put(to_board(self.x)),
            total=runner.put(np.zeros(SHAPE.w_shape, np.int32)),
            report=runner.take(16),
            **{name: getattr(SHAPE, name) for name in "n h w c k r s stride pad p q".split()},
            shift=SHIFT,
            output_chunks=1,
            rows=SHAPE.r,
            input_chunks=1,
        )
        runner.run(task)
        self.total = runner.get(task.total, np.int32, SHAPE.w_shape)
        self.report = runner.report(task.report)
        self.cycles, self.sleep = runner.cycles, core.sleep_cycles
        self.instructions, self.substituted = core.instructions, core.substituted
        self.interrupts = core.interrupts
        self.counts = core.cycles - core.sleep_cycles, core.checked_cycles
        core.close()


@pytest.mark.parametrize("bandwidth", [None, 0.5, 0.05])
def test_same_bits_and_nearly_the_same_cycles(image, bandwidth):
    plain = Run(image, substitute=False, bandwidth=bandwidth)
    quick = Run(image, substitute=True, bandwidth=bandwidth)
    expected = np.zeros(SHAPE.w_shape, np.int32)
    sums = ops.conv_weight_gradient(SHAPE, plain.e, plain.x, SHIFT, expected)
    assert np.array_equal(plain.total, expected) and np.array_equal(quick.total, expected)
    assert plain.report == quick.report == (sums.bits, sums.saturated)
    assert quick.substituted > 0 and plain.substituted == 0
    assert quick.instructions < plain.instructions / 5
    assert abs(quick.cycles - plain.cycles) <= 0.01 * plain.cycles
    assert quick.interrupts == plain.interrupts
    assert abs(quick.sleep - plain.sleep) <= 0.01 * plain.cycles


def test_a_run_cut_inside_a_substituted_routine_goes_on(image):
    whole = Run(image, substitute=True, bandwidth=0.5)
    original = Core.run

    def in_pieces(self, max_cycles=None):
        while (stop := original(self, 1000)).name == "CYCLES":
            pass
        return stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Core, "run", in_pieces)
        pieces = Run(image, substitute=True, bandwidth=0.5)
    assert np.array_equal(whole.total, pieces.total)
    assert whole.cycles == pieces.cycles


def test_faults_of_tasks_are_the_same(image):
    for substitute in (False, True):
        with pytest.raises(CoreStopped) as error:
            Run(image, substitute=substitute, e_address=0x66000000)
        assert error.value.report.kind == FaultKind.DMA


@pytest.mark.parametrize("substitute", [False, True])
def test_a_whole_task_is_counted_within_half_a_percent(image, substitute):
    blocks, each = Run(image, substitute=substitute, check=True, bandwidth=0.5).counts
    assert abs(blocks - each) <= 0.005 * each


def test_the_pages_example_runs(image, capsys):
    page = Path(__file__).parents[2] / "docs" / "emulator.md"
    (example,) = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    exec(example, {})
    cycles, instructions, moved = map(int, capsys.readouterr().out.split())
    assert cycles > instructions > 0 and moved == 0
