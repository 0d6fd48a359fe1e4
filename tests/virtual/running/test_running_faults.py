"""Cores that fail, and cores that stop answering."""

import struct

import numpy as np
import pytest

from orchestrator.virtual.chip import SYSTEM_VARIABLES
from orchestrator.virtual.image import Image
from orchestrator.wire.layout import Sv
from orchestrator.wire.numbers import CoreState, Signal

UNDEFINED, PREFETCH, DATA = 2, 4, 5


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("start: mov r5, #0x55\n .word 0xe7f000f0\n", UNDEFINED),
        ("start: mov r5, #0x55\n mov r1, #0x50000000\n str r1, [r1]\n", DATA),
        ("start: mov r5, #0x55\n mov pc, #0x60000000\n", PREFETCH),
        ("start: mov r5, #0x55\n add r1, pc, #1\n bx r1\n nop\n nop\n", UNDEFINED),
    ],
    ids=["undefined instruction", "store outside memory", "jump outside", "Thumb code"],
)
def test_a_fault_shows_as_sark_shows_it(bench, build, source: str, code: int) -> None:
    bench.load(build(source), 2, 3)
    assert bench.settle() is None
    for core in (2, 3):
        block = bench.vcpu(core)
        assert (block[44], block[46]) == (code, CoreState.RUN_TIME_ERROR)
        assert struct.unpack_from("<I", block, 4 * 5) == (0x55,)
        assert bench.row.states[(0, 0), core] == [CoreState.RUN_TIME_ERROR]
    memories = bench.cores.memories(0, 0, 2)
    assert memories is not None and any(memories[0]), "its code can still be read"


def test_a_trap_stops_one_core_with_a_text(bench, image: Image) -> None:
    bench.load(image.binary, 1, 2)
    bench.settle()
    bench.cores.trap(0, 0, 2)
    bench.cores.trap(0, 0, 9)  # runs nothing
    bench.settle()
    assert (bench.state(1), bench.state(2)) == (CoreState.RUNNING, CoreState.RUN_TIME_ERROR)
    assert bench.vcpu(2)[44] == UNDEFINED
    assert bench.iobuf(2).startswith("error 0x00000002 at 0x")
    bench.cores.signal(0, 0, [1, 2], Signal.PAUSE)
    bench.settle()
    assert (bench.state(1), bench.state(2)) == (CoreState.PAUSED, CoreState.RUN_TIME_ERROR)


def test_without_a_heap_a_fault_has_no_text(bench, image: Image) -> None:
    bench.row.chips[0, 0].write_word(SYSTEM_VARIABLES + Sv.SYSTEM_HEAP, 0)
    bench.load(image.binary, 1)
    bench.settle()
    bench.cores.trap(0, 0, 1)
    bench.settle()
    assert bench.state(1) == CoreState.RUN_TIME_ERROR and bench.iobuf(1) == ""


def test_a_heap_of_nonsense_ends_the_text_not_the_machine(bench, image: Image) -> None:
    bench.row.chips[0, 0].write_word(SYSTEM_VARIABLES + Sv.SYSTEM_HEAP, 0x90000000)
    bench.load(image.binary, 1)
    bench.settle()
    bench.cores.trap(0, 0, 1)
    bench.settle()
    assert bench.state(1) == CoreState.RUN_TIME_ERROR


DEAF = "start: b start\n"
"""With interrupts off, as at reset."""


def test_a_core_that_does_not_answer_is_found(bench, build) -> None:
    bench.row.chips[0, 0].write(SYSTEM_VARIABLES + Sv.WATCHDOG_COUNT, bytes([3]))
    bench.load(build(DEAF), 1)
    bench.run(4_000_000)
    assert bench.state(1) == CoreState.INITIALISING
    assert bench.settle() is None, "it runs no more"
    assert bench.state(1) == CoreState.WATCHDOG
    assert bench.row.states[(0, 0), 1] == [CoreState.WATCHDOG]


def test_count_0_switches_the_watchdog_off(bench, build) -> None:
    bench.load(build(DEAF), 1)
    bench.run(12_000_000)
    assert bench.state(1) == CoreState.INITIALISING


def test_a_core_that_answers_is_left_alone(bench, image: Image, build) -> None:
    bench.row.chips[0, 0].write(SYSTEM_VARIABLES + Sv.WATCHDOG_COUNT, bytes([1]))
    answers = """
start:  ldr     r9, =0x1f000000
        mov     r0, #1 << 18
        str     r0, [r9, #0x10]
        adr     r1, on_mailbox
        str     r1, [r9, #0x100]
        mov     r0, #0x20 | 18
        str     r0, [r9, #0x200]
        ldr     r8, =0xf2000000
        ldr     r7, =0x5ec00001         @ physical core 0 is virtual core 1
        ldr     r6, =0xe5007080
        mov     r5, #0
        msr     cpsr_c, #0x1f
work:   b       work
on_mailbox:
        str     r7, [r8, #0xc]
        strb    r5, [r6, #56]
        str     r5, [r9, #0x30]
        subs    pc, lr, #4
"""
    bench.load(build(answers), 1)
    bench.run(12_000_000)
    assert bench.state(1) == CoreState.INITIALISING
    assert bench.cores.now > 10_000_000


@pytest.mark.parametrize("seed", range(8))
def test_programs_of_nonsense_end_in_errors_or_run_on(bench, image: Image, seed: int) -> None:
    """Whatever 16 cores do to themselves and to their chip, the machine goes on."""
    rng = np.random.default_rng(seed)
    for core in range(1, 17):
        words = rng.integers(0, 2**32, 0x7F00 // 4, np.uint32)
        words[::2] |= 0xE0000000  # so that half of them are done whatever the flags
        words[0] = 0xE1A00000  # no command of a table
        bench.load(words.tobytes(), core)
    for _ in range(30):
        bench.cores.poll(0.0)
    bench.cores.stop(0, 0, range(1, 17))
    bench.load(image.binary, 17)
    bench.settle()
    assert bench.state(17) in (CoreState.RUNNING, CoreState.RUN_TIME_ERROR)
