"""The emulated core's DMA controller, interrupts, timers, packets and system controller."""

import struct

import numpy as np
import pytest

from orchestrator.errors import ArgumentError
from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.core import Core, Packet, Stop
from orchestrator.virtual.core_fault import CoreStopped, FaultKind

RESULTS = 0x60080000
"""Where the programs leave what they saw."""

END = "\nidle: sleep\n b idle\n .ltorg\n"

DMA = """
        .macro  transfer system, tcm, bytes, write=0
        ldr     r0, =0x30000000
        ldr     r1, =\\system
        ldr     r2, =\\tcm
        ldr     r3, =1 << 24 | 4 << 21 | \\write << 19 | \\bytes
        str     r1, [r0, #4]
        str     r2, [r0, #8]
        str     r3, [r0, #12]
        .endm
        .macro  finished
        ldr     r0, =0x30000000
1:      ldr     r1, [r0, #20]
        tst     r1, #1 << 10
        beq     1b
        mov     r1, #8
        str     r1, [r0, #16]
        .endm
        .macro  keep register, index
        ldr     r12, =0x60080000 + 4 * \\index
        str     \\register, [r12]
        .endm
"""

VIC = """
        .macro  handle slot, source, handler
        ldr     r0, =0x1f000000
        ldr     r1, =\\handler
        str     r1, [r0, #0x100 + 4 * \\slot]
        mov     r1, #0x20 | \\source
        str     r1, [r0, #0x200 + 4 * \\slot]
        mov     r1, #1 << \\source
        str     r1, [r0, #0x10]
        .endm
        .macro  stacks
        msr     cpsr_c, #0xd1
        ldr     sp, =0x40e000
        msr     cpsr_c, #0xd2
        ldr     sp, =0x40f000
        msr     cpsr_c, #0xdf
        ldr     sp, =0x410000
        .endm
        .macro  handler name
\\name:  sub     lr, lr, #4
        push    {r0-r3, r12, lr}
        .endm
        .macro  done
        ldr     r0, =0x1f000000
        str     r0, [r0, #0x30]
        ldm     sp!, {r0-r3, r12, pc}^
        .endm
        @ appends r1 to the list in DTCM whose end is at 0x400000
        .macro  log
        mov     r2, #0x400000
        ldr     r3, [r2]
        add     r3, r3, #4
        str     r3, [r2]
        str     r1, [r2, r3]
        .endm
"""


def logged(core: Core) -> list[int]:
    words = core.dtcm.view("<u4")
    return words[1 : 1 + words[0] // 4].tolist()


def results(core: Core, count: int) -> list[int]:
    return np.frombuffer(core.chip.read(RESULTS, 4 * count), dtype="<u4").tolist()


def random_sdram(bytes_: int = 1 << 20) -> ChipMemory:
    chip = ChipMemory(bytes_)
    chip.sdram[:65536] = np.random.default_rng(1).integers(0, 256, 65536)
    return chip


@pytest.mark.parametrize("bandwidth", [None, 0.25, 4.0])
@pytest.mark.parametrize("size", [4, 64, 1000, 4096])
def test_dma_moves_both_ways(boot, bandwidth, size):
    chip = random_sdram()
    source = f"""{DMA}
start:  transfer 0x60000100, 0x400200, {size}
        finished
        transfer 0x70010000, 0x400200, {size}, 1
        finished
"""
    core = boot(source + END, chip=chip, dma_bytes_per_cycle=bandwidth)
    moved = chip.sdram[0x100 : 0x100 + size]
    assert np.array_equal(core.dtcm[0x200 : 0x200 + size], moved)
    assert np.array_equal(chip.sdram[0x10000 : 0x10000 + size], moved)
    assert not chip.sdram[0x10000 + size]
    assert (core.dma_transfers, core.dma_bytes) == (2, 2 * size)
    if bandwidth:
        assert core.cycles > 2 * size / bandwidth


def test_dma_data_are_not_there_before_the_end(boot):
    chip = random_sdram()
    chip.write_word(0x60000100, 0x12345678)
    source = f"""{DMA}
start:  mov     r4, #0x400000
        transfer 0x60000100, 0x400000, 64
        ldr     r5, [r4]
        finished
        ldr     r6, [r4]
        keep    r5, 0
        keep    r6, 1
"""
    core = boot(source + END, chip=chip, dma_bytes_per_cycle=0.25)
    assert results(core, 2) == [0, 0x12345678]


def test_dma_runs_two_transfers_in_turn_and_counts_them(boot):
    source = f"""{DMA}
start:  transfer 0x60000000, 0x400100, 400
        transfer 0x60001000, 0x400100, 400      @ the same place: the later one stays
        ldr     r4, [r0, #20]
1:      ldr     r5, [r0, #20]
        tst     r5, #1 << 11
        beq     1b
        mov     r1, #8
        str     r1, [r0, #16]
        ldr     r6, [r0, #20]
        str     r1, [r0, #16]
        ldr     r7, [r0, #20]
        keep    r4, 0
        keep    r5, 1
        keep    r6, 2
        keep    r7, 3
"""
    chip = random_sdram()
    core = boot(source + END, chip=chip, number=5, dma_bytes_per_cycle=1.0)
    seen = results(core, 4)
    assert [word >> 24 for word in seen] == [5] * 4
    assert [word & 0xC05 for word in seen] == [0x005, 0xC00, 0x400, 0x000]
    assert np.array_equal(core.dtcm[0x100:0x290], chip.sdram[0x1000:0x1190])


def test_code_that_dma_brings_is_run_as_it_is_now(boot):
    chip = ChipMemory(1 << 20)
    for i, value in enumerate((5, 9)):
        chip.write(0x60000100 + 8 * i, struct.pack("<II", 0xE3A00000 | value, 0xE12FFF1E))
    source = f"""{DMA}
start:  mov     r6, #0x4000             @ mov r0, #value; bx lr
        ldr     r7, =0x60080000
        .irp    from, 0x60000100, 0x60000108, 0x60000100
        transfer \\from, 0x4000, 8
        finished
        blx     r6
        str     r0, [r7], #4
        .endr
"""
    for bandwidth in (None, 0.1):
        core = boot(source + END, chip=chip, dma_bytes_per_cycle=bandwidth)
        assert results(core, 3) == [5, 9, 5]


@pytest.mark.parametrize(
    "commands",
    [
        "transfer 0x60000000, 0x400000, 400\n" * 3,  # the queue holds two
        "transfer 0x60000002, 0x400000, 64",
        "transfer 0x600ffff0, 0x400000, 64",  # over the end of this SDRAM
        "transfer 0x60000000, 0x40fff0, 64",  # over the end of the DTCM
        "transfer 0x400000, 0x400000, 64",  # no SDRAM
        "transfer 0x60000000, 0x60001000, 64",  # no TCM
        "transfer 0x60000000, 0x400000, 0",
        "ldr r0, =0x30000000\n ldrh r1, [r0, #20]",
        "ldr r0, =0x30000000\n strb r1, [r0, #16]",
    ],
)
def test_dma_refuses_what_the_chip_would(boot, commands):
    with pytest.raises(CoreStopped) as error:
        boot(f"{DMA}\nstart: {commands}\n{END}", dma_bytes_per_cycle=0.25)
    assert error.value.report.kind == FaultKind.DMA


@pytest.mark.parametrize("bandwidth", [None, 0.25])
def test_dma_done_interrupts_and_wakes(boot, bandwidth):
    source = f"""{DMA}{VIC}
start:  stacks
        handle  3, 12, on_done
        ldr     r0, =0x30000000
        mov     r1, #0x400
        str     r1, [r0, #0x18]
        transfer 0x60000000, 0x400100, 4096
        msr     cpsr_c, #0x5f
1:      ldr     r1, =0x400000
        ldr     r1, [r1]
        cmp     r1, #0
        bne     idle
        sleep
        b       1b
        handler on_done
        ldr     r0, =0x30000000
        mov     r1, #8
        str     r1, [r0, #16]
        mov     r1, #77
        log
        done
"""
    chip = random_sdram()
    core = boot(source + END, chip=chip, dma_bytes_per_cycle=bandwidth)
    assert logged(core) == [77]
    assert np.array_equal(core.dtcm[0x100:0x1100], chip.sdram[:4096])
    if bandwidth:
        assert 4096 / bandwidth < core.cycles < 4096 / bandwidth + 300
        assert core.sleep_cycles > 4096 / bandwidth - 100


def test_interrupts_nest_by_priority(boot):
    source = f"""{VIC}
start:  stacks
        handle  2, 9, low
        handle  1, 28, high
        msr     cpsr_c, #0x5f
        b       idle
        handler low
        mov     r1, #1
        log
        ldr     r0, =0x1f000000
        mov     r1, #1 << 9             @ same priority as in service: waits
        str     r1, [r0, #0x1c]
        str     r1, [r0, #0x18]
        mov     r1, #1 << 28
        str     r1, [r0, #0x18]
        mrs     r0, spsr
        push    {{r0, lr}}
        msr     cpsr_c, #0x52           @ IRQs on again inside the handler
        nop
        b       1f
1:      nop
        msr     cpsr_c, #0xd2
        pop     {{r0, lr}}
        msr     spsr_cxsf, r0
        mov     r1, #2
        log
        ldr     r0, =0x1f000000
        mov     r1, #1 << 9
        str     r1, [r0, #0x1c]
        done
        handler high
        ldr     r0, =0x1f000000
        mov     r1, #1 << 28
        str     r1, [r0, #0x1c]
        mov     r1, #3
        log
        done
"""
    core = boot(source + END)
    core.interrupt(9)
    assert core.run() == Stop.SLEEPING
    assert logged(core) == [1, 3, 2]


def test_the_first_slot_wins_and_others_use_the_default_vector(boot):
    source = f"""{VIC}
start:  stacks
        handle  0, 20, first
        handle  7, 21, second
        ldr     r1, =other
        str     r1, [r0, #0x34]
        mov     r1, #1 << 22
        str     r1, [r0, #0x10]
        ldr     r1, =7 << 20
        str     r1, [r0, #0x18]
        msr     cpsr_c, #0x5f
        b       idle
        .irp    name, first, second, other
        handler \\name
        ldr     r0, =0x1f000000
        mov     r2, #1
        ldr     r1, =\\name\\()_source
        mov     r2, r2, lsl r1
        str     r2, [r0, #0x1c]
        log
        done
        .ltorg
        .endr
        .equ    first_source, 20
        .equ    second_source, 21
        .equ    other_source, 22
"""
    assert logged(boot(source + END)) == [20, 21, 22]


def test_fast_interrupts_go_their_own_way(boot):
    source = f"""{VIC}
start:  stacks
        ldr     r0, =0x1f000000
        mov     r1, #1 << 25
        str     r1, [r0, #0x0c]
        str     r1, [r0, #0x10]
        msr     cpsr_c, #0x9f           @ IRQs off, FIQs on
        b       idle
fiq_handler:
        ldr     r8, =0x1f000000
        mov     r9, #1 << 25
        str     r9, [r8, #0x1c]
        mrs     r10, cpsr
        ldr     r11, =0x60080000
        str     r10, [r11]
        subs    pc, lr, #4
"""
    core = boot(source + END)
    core.interrupt(25)
    assert core.run() == Stop.SLEEPING
    assert results(core, 1)[0] & 0xFF == 0xD1


def test_masked_interrupts_wake_but_do_not_enter(boot):
    source = f"""{VIC}
start:  stacks
        handle  0, 20, never
        sleep
        ldr     r0, =0x1f000000
        ldr     r1, [r0]
        ldr     r2, =0x60080000
        str     r1, [r2]
        mov     r1, #1 << 20
        str     r1, [r0, #0x1c]
        b       idle
never:  b       never
"""
    core = boot(source + END)
    core.interrupt(20)
    assert core.run() == Stop.SLEEPING
    assert results(core, 1) == [1 << 20]


@pytest.mark.parametrize("source", [-1, 32])
def test_interrupts_that_do_not_exist_are_refused(boot, source):
    core = boot("start:" + END)
    with pytest.raises(ArgumentError, match="interrupt source"):
        core.interrupt(source)


TIMER = """
start:  stacks
        handle  2, {source}, tick
        ldr     r0, =0x11000000 + {base}
        ldr     r1, ={load}
        str     r1, [r0]
        mov     r1, #{control}
        str     r1, [r0, #8]
        msr     cpsr_c, #0x5f
        b       idle
        handler tick
        ldr     r0, =0x11000000 + {base}
        str     r0, [r0, #0x0c]
        mov     r1, #5
        log
        done
"""


@pytest.mark.parametrize(
    ("control", "load", "period"),
    [
        (0xE2, 1000, 1000),  # as the vendor's API sets it
        (0xE6, 1000, 16000),
        (0xEA, 100, 25600),
        (0xA0, 1000, 65535),  # free running, 16 bits: after the first time
    ],
)
@pytest.mark.parametrize("timer", [0, 1])
def test_timers_tick(assemble, control, load, period, timer):
    source = VIC + TIMER.format(source=4 + timer, base=0x20 * timer, load=load, control=control)
    core = Core(ChipMemory(1 << 20), 1, assemble(source + END))
    first = period if control & 0x40 else load
    assert core.boot(max_cycles=first + 9 * period + 500) == Stop.CYCLES
    assert len(logged(core)) == 10
    assert core.sleep_cycles > 9 * period * 0.9
    assert core.cycles >= first + 9 * period + 500
    core.close()


def test_a_timer_shot_once_ends_the_wait_for_it(boot):
    source = VIC + TIMER.format(source=4, base=0, load=5000, control=0xA3)
    core = boot(source + END)
    assert core.run() == Stop.SLEEPING
    assert logged(core) == [5]
    assert 5000 < core.cycles < 5200


def test_timer_values_count_down_with_the_cycles(boot):
    source = """
start:  ldr     r0, =0x11000000
        mvn     r1, #0
        str     r1, [r0]
        mov     r1, #0x82
        str     r1, [r0, #8]
        ldr     r2, [r0, #4]
        mov     r4, #100
1:      subs    r4, r4, #1
        bne     1b
        ldr     r3, [r0, #4]
        sub     r2, r2, r3
        ldr     r12, =0x60080000
        str     r2, [r12]
"""
    assert abs(results(boot(source + END), 1)[0] - 400) < 20


SEND = """
start:  stacks
        handle  0, 1, send
        msr     cpsr_c, #0x5f
        b       idle
        handler send
        ldr     r0, =0x1f000000
        mov     r1, #2
        str     r1, [r0, #0x1c]
        ldr     r0, =0x10000000
        mov     r1, #0
        str     r1, [r0]
        ldr     r2, =0x11112222
        str     r2, [r0, #8]
        ldr     r1, =0x33334444
        str     r1, [r0, #4]
        ldr     r2, =0x55556666
        str     r2, [r0, #8]
        done
"""


def test_packets_go_out_with_and_without_payload(boot):
    core = boot(VIC + SEND + END)
    sent = []
    core.interrupt(1)
    core.run()  # nobody listens
    core.on_packet(sent.append)
    core.interrupt(1)
    core.run()
    assert sent == [Packet(key=0x11112222), Packet(key=0x55556666, payload=0x33334444)]
    core.on_packet(None)
    core.interrupt(1)
    core.run()
    assert len(sent) == 2


RECEIVE = """
start:  stacks
        handle  0, 24, packet
        msr     cpsr_c, #0x5f
        b       idle
        handler packet
        ldr     r0, =0x10000000
        ldr     r1, [r0, #0x0c]         @ status, payload, then the key, which frees the slot
        log
        ldr     r1, [r0, #0x10]
        log
        ldr     r1, [r0, #0x14]
        log
        done
"""


def test_packets_come_in_one_after_the_other(boot):
    core = boot(VIC + RECEIVE + END)
    packets = [
        Packet(key=7, payload=0xFFFFFFFF, route=2),
        *(Packet(key=key, route=key % 6) for key in range(40)),
    ]
    for packet in packets:
        core.receive(packet)
    assert core.run() == Stop.SLEEPING
    seen = np.array(logged(core), dtype=np.uint32).reshape(-1, 3)
    assert seen[:, 2].tolist() == [packet.key for packet in packets]
    assert seen[0, 1] == 0xFFFFFFFF
    assert ((seen[:, 0] >> 24) & 7).tolist() == [packet.route for packet in packets]
    assert all(seen[:, 0] >> 31 == 1) and all(seen[:, 0] & 0xF == 1)
    assert (seen[0, 0] >> 17 & 1, seen[1, 0] >> 17 & 1) == (1, 0)
    core.receive(Packet(key=9))
    core.run()
    assert logged(core)[-1] == 9


def test_packets_of_other_kinds_have_their_own_line(boot):
    core = boot(VIC + RECEIVE + END)
    core.receive(Packet(key=1, control=0x40))  # point to point: its interrupt is not enabled
    assert core.run() == Stop.SLEEPING
    assert logged(core) == []


def test_cores_interrupt_each_other_and_share_locks(assemble):
    waiter = f"""{VIC}
start:  stacks
        handle  0, 18, called
        msr     cpsr_c, #0x5f
        b       idle
        handler called
        ldr     r0, =0xf2000000
        ldr     r1, =0x5ec00000 | 1 << 9
        str     r1, [r0, #0x0c]
        ldr     r1, [r0, #0x110]
        log
        done
"""
    caller = """
start:  ldr     r0, =0xf2000000
        ldr     r1, [r0, #0x110]        @ lock 4
        ldr     r2, [r0, #0x110]
        ldr     r3, [r0, #0]
        ldr     r12, =0x60080000
        stm     r12, {r1, r2, r3}
        ldr     r1, =0x5ec00000 | 1 << 9
        str     r1, [r0, #0x08]
        sleep
"""
    chip = ChipMemory(1 << 20, physical_cores=[3, 9, 4])
    cores = [Core(chip, 1, assemble(waiter + END)), Core(chip, 2, assemble(caller + END))]
    for core in cores:
        core.boot()
    assert results(cores[1], 3) == [0, 0x80000000, 0x59111012]
    assert cores[0].run() == Stop.SLEEPING
    assert logged(cores[0]) == [0x80000000]
    assert cores[0].run() == Stop.SLEEPING
    assert len(logged(cores[0])) == 1
    for core in cores:
        core.close()


def test_the_chip_tells_each_core_who_it_is(assemble):
    source = """
start:  ldr     r1, =0x60080000
        str     r0, [r1]
        ldr     r2, =0x30000014
        ldr     r2, [r2]
        mov     r2, r2, lsr #24
        str     r2, [r1, #4]
        ldr     r3, =0xf5007f94
        ldrb    r3, [r3, r2]
        str     r3, [r1, #8]
        ldr     r4, =0xe5007fa8
        ldrb    r4, [r4, r3]
        str     r4, [r1, #12]
"""
    chip = ChipMemory(1 << 20, physical_cores=[3, 9, 4])
    core = Core(chip, 2, assemble(source + END))
    core.boot(app_id=30)
    assert results(core, 4) == [30, 4, 2, 4]
    assert chip.read(chip.vcpu(2) + 45, 3) == bytes([4, 0, 30])
    core.close()


def test_plain_registers_keep_what_is_written(boot):
    words = {0xF1004000: 5, 0xE1010010: 6, 0xF2000060: 7, 0xE0000010: 8, 0xE3000C00: 9}
    stores = "".join(
        f" ldr r0, ={address}\n mov r1, #{value}\n str r1, [r0]\n"
        for address, value in words.items()
    )
    loads = "".join(
        f" ldr r0, ={address ^ 0x10000000}\n ldr r1, [r0]\n str r1, [r2], #4\n" for address in words
    )
    core = boot(f"start:\n{stores} ldr r2, =0x60080000\n{loads}{END}")
    assert results(core, 5) == list(words.values())
    assert core.bus_reads == 4 and core.bus_writes == 9


def test_runs_are_cut_at_the_cycle_and_go_on(assemble):
    core = Core(ChipMemory(1 << 20), 1, assemble(f"start: add r0, r0, #1\n b start{END}"))
    assert core.boot(max_cycles=1000) == Stop.CYCLES
    for i in range(2, 20):
        assert core.run(max_cycles=1000) == Stop.CYCLES
        assert 1000 * i <= core.cycles < 1000 * i + 200
    core.close()


def test_a_sleeping_core_is_left_alone(boot):
    core = boot("start:" + END)
    cycles = core.cycles
    assert core.run(max_cycles=10_000) == Stop.SLEEPING
    assert core.cycles == cycles
