"""Turns, sleep and timers."""

import pytest

from orchestrator.virtual.image import Image
from orchestrator.virtual.running.cores import CYCLES_PER_SECOND
from orchestrator.wire.numbers import CoreState, Signal

COUNT = """
start:  ldr     r1, =0x60300000
        add     r1, r1, r0, lsl #2      @ a word for each application
        mov     r2, #0
1:      add     r2, r2, #1
        str     r2, [r1]
        b       1b
"""

TICKS = """
start:  ldr     r4, =0x11000000         @ timer 1
        ldr     r8, =0x60300000
        mov     r7, #0
        ldr     r9, =0x1f000000
        mov     r0, #1 << 4
        str     r0, [r9, #0x10]
        adr     r1, on_tick
        str     r1, [r9, #0x100]
        mov     r0, #0x20 | 4
        str     r0, [r9, #0x200]
        mov     r0, #0xe2               @ 32 bits, periodic
        str     r0, [r4, #8]
        ldr     r0, =200000             @ a millisecond
        str     r0, [r4]
        msr     cpsr_c, #0x1f
idle:   sleep
        b       idle
on_tick:
        add     r7, r7, #1
        str     r7, [r8]
        str     r7, [r4, #0xc]
        str     r7, [r9, #0x30]
        subs    pc, lr, #4
"""


def test_awake_cores_get_the_same_number_of_cycles(benches, build) -> None:
    bench = benches(2)
    program = build(COUNT)
    for app_id, (chip, core) in enumerate([((0, 0), 1), ((0, 0), 2), ((1, 0), 1)]):
        bench.load(program, core, chip=chip, app_id=app_id)
    bench.run(2_000_000)
    first, second = bench.words(0x60300000, 2)
    (third,) = bench.words(0x60300008, 1, (1, 0))
    assert first > 10_000
    assert max(first, second, third) - min(first, second, third) < 10


def test_several_applications_run_side_by_side(bench, build, image: Image) -> None:
    bench.load(image.binary, 1, 2, app_id=16)
    bench.load(build(COUNT), 3, app_id=17)
    bench.run(200_000)
    assert bench.state(1) == bench.state(2) == CoreState.RUNNING
    before = bench.words(0x60300000 + 4 * 17, 1)
    bench.cores.stop(0, 0, [1, 2])
    bench.run(200_000)
    assert bench.words(0x60300000 + 4 * 17, 1) > before
    assert bench.cores.memories(0, 0, 1) is None


def test_time_does_not_go_on_while_nothing_is_due(bench, image: Image) -> None:
    bench.load(image.binary, *range(1, 18))
    assert bench.settle() is None
    at = bench.cores.now
    assert bench.settle() is None and bench.cores.now == at
    cycles = [core.emulator.instructions for core in bench.cores._cores.values()]
    bench.settle(5.0)
    assert [core.emulator.instructions for core in bench.cores._cores.values()] == cycles


@pytest.mark.parametrize("milliseconds", [3, 50])
def test_timers_keep_to_the_hosts_clock(bench, build, milliseconds: int) -> None:
    bench.load(build(TICKS), 1)
    pause = bench.settle()
    assert pause is not None and 0.001 <= pause < 0.0011
    assert bench.words(0x60300000, 1) == [0]
    bench.settle(milliseconds / 1000 + 0.0005)
    assert bench.words(0x60300000, 1) == [milliseconds]
    assert bench.cores.now <= (bench.row.time + 0.0001) * CYCLES_PER_SECOND


def test_a_signal_reaches_a_core_between_its_ticks(bench, image: Image, build) -> None:
    bench.load(build(TICKS), 1)
    bench.load(image.binary, 2)
    bench.settle(0.0125)
    bench.cores.signal(0, 0, [2], Signal.PAUSE)
    bench.settle()
    assert bench.state(2) == CoreState.PAUSED
    assert bench.words(0x60300000, 1) == [12]


def test_signals_that_a_core_never_takes_cost_nothing(bench, build) -> None:
    bench.load(build(TICKS), 1)
    bench.settle(0.0125)
    for _ in range(2):
        bench.cores.signal(0, 0, [1], Signal.PAUSE)
    assert bench.settle() is not None
    bench.settle(0.001)
    assert bench.words(0x60300000, 1) == [13]


def test_a_core_wakes_another_of_its_chip(bench, image: Image, build) -> None:
    bench.load(image.binary, 2, wait=True)
    bench.settle()
    source = """
start:  ldr     r1, =0xe5007100         @ block of virtual core 2
        mov     r0, #3                  @ START
        str     r0, [r1, #48]
        strb    r0, [r1, #56]           @ a signal
        ldr     r1, =0xf2000000
        ldr     r0, =0x5ec00002         @ its physical number is 1
        str     r0, [r1, #8]
        b       stay
"""
    bench.load(build(source), 1)
    bench.settle()
    assert bench.state(2) == CoreState.RUNNING
