"""The tape of all kernels' cases: complete, relocatable, and strict about what a core leaves."""

from collections.abc import Callable

import numpy as np
import pytest
from in_process import InProcess, flip
from turned_bits import turn_bits

from orchestrator.boards.hardware.reports import CoreId
from orchestrator.boards.hardware.selftest.cases import every_case
from orchestrator.boards.hardware.selftest.compare import Comparison
from orchestrator.boards.hardware.selftest.recording import Recording, record
from orchestrator.virtual.image import Image
from orchestrator.virtual.tasks import TASK_WORDS, Sync, Task

CORE = CoreId(0, 0, 1)


def run(door: InProcess, recording: Recording, shared: int, own: int) -> bytes:
    """Return the results of all cases with their memory in these places."""
    tape = own + recording.own_bytes
    door.write(0, 0, shared, recording.operands)
    door.write(0, 0, tape, recording.tape(shared, own))
    door.start_tapes({CORE: tape})
    assert door.wait_tapes([CORE], 1000.0)[CORE].finished
    assert door.read(0, 0, shared, len(recording.operands)) == recording.operands
    return door.read(0, 0, own, recording.results_bytes)


def test_every_kernel_of_the_image_is_on_the_tape(recording: Recording) -> None:
    words = np.frombuffer(recording.tape(0x60000000, 0x61000000), "<u4")
    kinds, at = set(), 0
    while words[at]:
        kinds.add(int(words[at] & 0xFFFF))
        at += int(words[at] >> 16)
    # Synchronising waits for the host's signal; the hardware tests have it.
    assert kinds == {task.kind for task in Task.__subclasses__()} - {Sync.kind}
    assert len(words) == at + TASK_WORDS
    last = recording.cases[-1]
    assert recording.case_of_task(last.first_task + last.tasks - 1) is last.case
    assert recording.case_of_task(0) is recording.cases[0].case


def test_a_tape_works_wherever_its_memory_is(
    recording: Recording, open_door: Callable[..., InProcess]
) -> None:
    door, comparison = open_door(), Comparison(recording)
    places = ((0x60000000, 0x60800000), (0x60F00000 - len(recording.operands), 0x60100008))
    first, second = (run(door, recording, *place) for place in places)
    assert comparison.differences(first) == ()
    assert comparison.differences(second) == ()


def test_memory_that_no_core_wrote_is_no_result(recording: Recording) -> None:
    comparison = Comparison(recording)
    nothing = comparison.differences(bytes(recording.results_bytes))
    assert len(nothing) == len(recording.cases) - 1  # a data memory without a wrong bit reports 0
    assert len(comparison.differences(b"\x5a" * recording.results_bytes)) == len(recording.cases)


@pytest.mark.parametrize("bit", [16, 23])
def test_every_word_of_the_losss_tables_counts(
    image: Image, open_door: Callable[..., InProcess], bit: int
) -> None:
    losses = [case for case in every_case() if case.kernel == "softmax_loss"]
    recording = record(losses, image.symbols)
    door, comparison = open_door(), Comparison(recording)
    for table in ("bk__exponential", "bk__logarithm"):
        for word in range(0, 129, 16):
            flip(door.running[CORE], table, 4 * word, bit)
            results = run(door, recording, 0x60000000, 0x60800000)
            assert comparison.differences(results), f"word {word} of {table}"
            flip(door.running[CORE], table, 4 * word, bit)
    assert comparison.differences(run(door, recording, 0x60000000, 0x60800000)) == ()


def test_most_bits_turned_in_instruction_memory_are_found(image: Image) -> None:
    """Some lie in handlers that only faults and messages reach, some change nothing."""
    ends = turn_bits(image, count=16, seed=1)
    assert ends.total() == 16
    assert ends["not found"] < 8
