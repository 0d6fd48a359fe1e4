"""What a core hears from outside, at the cycle at which it does: packets, sleep, traps, flags."""

import pytest

from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.core import Packet, Stop
from orchestrator.virtual.core_fault import CoreStopped, FaultKind

ON_PACKET = """
start:  ldr     r4, =0x10000000
        ldr     r5, =0x60080000
        ldr     r6, =0x21000000
        ldr     r9, =0x1f000000
        mov     r0, #0x80 | 2           @ timer 1 counts down from its end, 32 bits
        str     r0, [r6, #8]
        mov     r0, #1 << 24
        str     r0, [r9, #0x10]
        adr     r1, on_packet
        str     r1, [r9, #0x100]
        mov     r0, #0x20 | 24
        str     r0, [r9, #0x200]
        msr     cpsr_c, #0x1f
idle:   sleep
        b       idle
on_packet:
        ldr     r0, [r4, #0x14]
        ldr     r1, [r6, #4]
        mvn     r1, r1                  @ cycles since the timer began
        stm     r5!, {r0-r1}
        str     r0, [r9, #0x30]
        subs    pc, lr, #4
"""

DEAF = "start:  sleep\n b start\n"


def taken(core, count: int) -> list[tuple[int, int]]:
    words = [core.chip.read_word(0x60080000 + 4 * i) for i in range(2 * count)]
    return list(zip(words[::2], words[1::2], strict=True))


def test_packets_arrive_at_their_cycles(boot):
    core = boot(ON_PACKET)
    began = core.cycles
    assert core.wakes_at > began + 1_000_000, "for the timer only"
    for number, at in enumerate((5000, 5000, 20_000)):
        core.receive(Packet(key=number + 1), at=began + at)
    assert core.wakes_at == began + 5000
    assert core.run(10_000) == Stop.CYCLES
    assert [key for key, _ in taken(core, 3)] == [1, 2, 0]
    assert core.wakes_at == began + 20_000
    assert core.run(30_000) == Stop.CYCLES
    (first, at), (_, soon), (third, late) = taken(core, 3)
    assert (first, third) == (1, 3)
    assert at < soon < at + 100 and 14_900 < late - at < 15_100


def test_a_packet_that_is_not_taken_is_dropped_when_patience_ends(boot):
    core = boot(DEAF)
    began = core.cycles
    core.receive(Packet(key=1), at=began + 10, patience=100)
    core.receive(Packet(key=2), at=began + 20, patience=100)
    core.receive(Packet(key=3), at=began + 30, patience=100)
    core.receive(Packet(key=4), at=began + 40)
    assert core.run(100) == Stop.CYCLES and core.packets_dropped == 0
    assert core.run(100) == Stop.CYCLES
    assert (core.packets_dropped, core.last_dropped.key) == (1, 2)
    assert core.run() == Stop.SLEEPING
    assert (core.packets_dropped, core.last_dropped.key) == (2, 3)
    assert core.cycles == began + 20 + 100 + 100, "one is tried after the other"


def test_a_sleeping_cores_time_can_pass_without_it(boot):
    core = boot(DEAF)
    assert core.wakes_at is None
    began, slept = core.cycles, core.sleep_cycles
    core.sleep_until(began - 5)
    assert core.cycles == began
    core.sleep_until(began + 1000)
    assert (core.cycles, core.sleep_cycles) == (began + 1000, slept + 1000)
    core.receive(Packet(key=1), at=began + 2000)
    core.sleep_until(began + 9000)
    assert core.cycles == began + 2000, "not past what it wakes for"


def test_an_awake_cores_time_does_not_pass_without_it(boot):
    core = boot("start:  b start\n")
    before = core.cycles
    assert core.wakes_at == before
    core.sleep_until(before + 1000)
    assert core.cycles == before


def test_a_trap_is_an_undefined_instruction_where_the_core_is(boot):
    core = boot("""
start:  mov     r3, #0x33
1:      sleep
        b       1b
undefined_handler:
        mov     r1, #0x60000000
        str     r3, [r1]
2:      sleep
        b       2b
""")
    core.trap()
    with pytest.raises(CoreStopped) as stopped:
        core.run()
    assert stopped.value.report.kind is FaultKind.UNDEFINED
    assert stopped.value.report.symbol.startswith("start+")
    assert core.chip.read_word(0x60000000) == 0x33, "its own handler has run"
    with pytest.raises(CoreStopped):
        core.run()


def test_flags_are_set_and_cleared_by_cores_and_by_the_monitor(boot):
    chip = ChipMemory(1 << 20)
    chip.flag(0b1010, True)
    chip.flag(0b0010, False)
    core = boot(
        """
start:  ldr     r0, =0xf2000058
        ldr     r1, =0x60080000
        ldr     r2, [r0]
        ldr     r3, =0x5ec00005
        str     r3, [r0]
        ldr     r3, [r0, #4]
        ldr     r4, =0x5ec00008
        str     r4, [r0, #4]
        ldr     r4, [r0]
        stm     r1, {r2-r4}
        b       stay
""",
        chip=chip,
    )
    assert [core.chip.read_word(0x60080000 + 4 * i) for i in range(3)] == [0b1000, 0b1101, 0b0101]
