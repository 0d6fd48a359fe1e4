"""Packets between cores: routes, links, losses, drops, counters."""

from collections.abc import Callable

import numpy as np
import pytest

from orchestrator.machine import Link
from orchestrator.wire.numbers import CoreState

RESULTS = 0x60300000
ROUTE, KEY, MASK = 0x1000, 0x2000, 0x3000
COUNTERS = 0xC0

SEND = """
start:  ldr     r4, =0x10000000         @ communications controller
        ldr     r5, =0x42000000         @ key of the first packet
        ldr     r6, ={count}
1:      {payload}
        str     r5, [r4, #8]
        add     r5, r5, #1
        ldr     r7, ={pause}
2:      subs    r7, r7, #1
        bhi     2b
        subs    r6, r6, #1
        bhi     1b
stop:   sleep
        b       stop
"""
PAYLOAD = "add r7, r5, #7\n str r7, [r4, #4]"

RECEIVE = """
start:  ldr     r4, =0x10000000
        ldr     r8, =0x60300000
        ldr     r9, =0x1f000000
        mov     r0, #1 << 24            @ multicast packet received, slot 0
        str     r0, [r9, #0x10]
        adr     r1, on_packet
        str     r1, [r9, #0x100]
        mov     r0, #0x20 | 24
        str     r0, [r9, #0x200]
        msr     cpsr_c, #0xd2
        ldr     sp, =0x401000
        msr     cpsr_c, #0x1f
idle:   sleep
        b       idle
on_packet:
        sub     lr, lr, #4
        push    {{r0-r1, lr}}
        ldr     r1, [r4, #0x10]
        ldr     r0, [r4, #0x14]
        stm     r8!, {{r0-r1}}
        ldr     r0, ={delay}
3:      subs    r0, r0, #1
        bhi     3b
        str     r0, [r9, #0x30]
        ldm     sp!, {{r0-r1, pc}}^
"""


def sender(count: int, pause: int = 100, payload: bool = True) -> str:
    return SEND.format(count=count, pause=pause, payload=PAYLOAD if payload else "")


def receiver(delay: int = 1) -> str:
    return RECEIVE.format(delay=delay)


def route(bench, chip, entry: int, key: int, mask: int, links=(), cores=()) -> None:
    """Set an entry of a chip's table as the hardware has it: physical cores."""
    memory = bench.row.chips[chip]
    word = sum(1 << link for link in links)
    word |= sum(1 << 6 + memory.physical_cores[core] for core in cores)
    memory.router[ROUTE + entry] = word
    memory.router[KEY + entry] = key
    memory.router[MASK + entry] = mask


def received(bench, count: int, chip=(0, 0)) -> list[tuple[int, int]]:
    words = bench.words(RESULTS, 2 * count, chip)
    return list(zip(words[::2], words[1::2], strict=True))


def expected(count: int) -> list[tuple[int, int]]:
    return [(0x42000000 + i, 0x42000007 + i) for i in range(count)]


def counter(bench, number: int, chip=(0, 0)) -> int:
    return int(bench.row.chips[chip].router[COUNTERS + number])


def test_packets_reach_a_core_of_the_same_chip(bench, build: Callable[[str], bytes]) -> None:
    route(bench, (0, 0), 3, 0x42000000, 0xFFFF0000, cores=[7])
    bench.load(build(receiver()), 7)
    bench.load(build(sender(20)), 1)
    bench.settle()
    assert received(bench, 21) == [*expected(20), (0, 0)]
    assert counter(bench, 0) == 20 and counter(bench, 1) == counter(bench, 8) == 0


def test_packets_cross_chips_straight_on_and_by_entries(benches, build) -> None:
    bench = benches(4)
    route(bench, (0, 0), 0, 0x42000000, 0xFF000000, links=[Link.EAST])
    # (1, 0) has no entry: straight on
    route(bench, (2, 0), 1023, 0x42000000, 0xFF000000, links=[Link.EAST], cores=[1, 17])
    route(bench, (3, 0), 0, 0, 0, cores=[2])
    bench.load(build(receiver()), 17, chip=(2, 0))
    bench.load(build(receiver()), 2, chip=(3, 0))
    bench.load(build(sender(5)), 4)
    bench.settle()
    assert received(bench, 6, (2, 0)) == received(bench, 6, (3, 0)) == [*expected(5), (0, 0)]
    assert received(bench, 1, (1, 0)) == [(0, 0)]
    assert [counter(bench, 1, (x, 0)) for x in range(4)] == [0, 5, 5, 5]


def test_first_matching_entry_counts(bench, build) -> None:
    route(bench, (0, 0), 5, 0x42000002, 0xFFFFFFFF, cores=[2])
    route(bench, (0, 0), 6, 0x42000000, 0xFF000000, cores=[3])
    bench.load(build(receiver()), 3)
    bench.load(build(sender(4)), 1)
    bench.settle()
    keys = [key for key, _ in received(bench, 3)]
    assert keys == [0x42000000, 0x42000001, 0x42000003]


def test_a_packet_without_payload_has_none(bench, build) -> None:
    route(bench, (0, 0), 0, 0x42000000, 0xFF000000, cores=[2])
    bench.row.chips[0, 0].router[0x80 + 12] = 0x01FE5CF1  # local ones with payload only
    bench.load(build(receiver()), 2)
    bench.load(build(sender(3, payload=False)), 1)
    bench.settle()
    assert received(bench, 3) == [(key, 0) for key, _ in expected(3)]
    assert counter(bench, 0) == 3 and counter(bench, 12) == 0


def test_a_local_packet_without_entry_is_dropped_and_noted(bench, build) -> None:
    bench.load(build(sender(3)), 1)
    bench.settle()
    registers = bench.row.chips[0, 0].router
    assert counter(bench, 8) == 3 and counter(bench, 0) == 0
    assert registers[7:9].tolist() == [0x42000000, 0x42000007], "the first one is kept"
    assert registers[10] == 3 << 30, "and more were dropped since"


def test_a_core_that_reads_the_dropped_packet_makes_room(bench, build) -> None:
    bench.load(build(sender(1)), 1)
    bench.settle()
    read = """
start:  ldr     r0, =0xf1000000
        ldr     r1, =0x60300000
        ldr     r2, [r0, #0x1c]
        ldr     r3, [r0, #0x28]
        ldr     r4, [r0, #0x28]
        stm     r1, {r2-r4}
        b       stay
"""
    bench.load(build(read), 2)
    bench.settle()
    assert bench.words(RESULTS, 3) == [0x42000000, 1 << 31, 0]


@pytest.mark.parametrize("fault", ["link", "chip"])
def test_what_is_sent_to_a_dead_link_is_dropped(benches, build, fault: str) -> None:
    bench = benches(2)
    route(bench, (0, 0), 0, 0x42000000, 0xFF000000, links=[Link.EAST])
    route(bench, (1, 0), 0, 0x42000000, 0xFF000000, cores=[1])
    bench.load(build(receiver()), 1, chip=(1, 0))
    if fault == "link":
        bench.row.dead_links.add((0, 0, Link.EAST))
    else:
        bench.cores.remove(1, 0)
        removed = bench.row.chips.pop((1, 0))
    bench.load(build(sender(4)), 1)
    bench.settle()
    assert counter(bench, 8) == 4
    assert bench.row.chips[0, 0].router[9] == 1 << Link.EAST
    if fault == "chip":
        bench.row.chips[1, 0] = removed
    assert received(bench, 1, (1, 0)) == [(0, 0)]


def test_links_lose_packets_at_the_rate_and_by_the_seed(benches, build) -> None:
    def arrived(seed: int) -> list[int]:
        bench = benches(2, seed)
        bench.row.losses[0, 0, Link.EAST] = 0.25
        route(bench, (0, 0), 0, 0x42000000, 0xFF000000, links=[Link.EAST])
        route(bench, (1, 0), 0, 0x42000000, 0xFF000000, cores=[1])
        bench.load(build(receiver()), 1, chip=(1, 0))
        bench.load(build(sender(400)), 1)
        bench.settle()
        return [key for key, _ in received(bench, 400, (1, 0)) if key]

    first = arrived(1)
    assert first == arrived(1) != arrived(2)
    assert 0.17 < 1 - len(first) / 400 < 0.33  # 3.7 standard deviations


def test_a_slow_receiver_loses_what_it_does_not_take_in_time(bench, build) -> None:
    route(bench, (0, 0), 0, 0x42000000, 0xFF000000, cores=[2])
    bench.load(build(receiver(delay=2000)), 2)
    bench.load(build(sender(50, pause=20)), 1)
    bench.settle()
    got = [key for key, _ in received(bench, 50) if key]
    assert 1 < len(got) < 50 and counter(bench, 8) == 50 - len(got)
    assert got == sorted(got)


@pytest.mark.parametrize("wait", [0x40, 0xFF])
def test_the_routers_patience_is_its_control_registers(bench, build, wait: int) -> None:
    bench.row.chips[0, 0].router[0] = wait << 16 | 1
    route(bench, (0, 0), 0, 0x42000000, 0xFF000000, cores=[2])
    bench.load(build(receiver(delay=300)), 2)
    bench.load(build(sender(30, pause=20)), 1)
    bench.settle()
    got = [key for key, _ in received(bench, 30) if key]
    assert (len(got) == 30) == (wait == 0xFF)


def test_routes_in_a_circle_end(benches, build) -> None:
    bench = benches(2)
    route(bench, (0, 0), 0, 0x42000000, 0xFF000000, links=[Link.EAST])
    route(bench, (1, 0), 0, 0x42000000, 0xFF000000, links=[Link.WEST], cores=[1])
    bench.load(build(receiver()), 1, chip=(1, 0))
    bench.load(build(sender(2)), 1)
    bench.settle()
    assert received(bench, 3, (1, 0)) == [*expected(2), (0, 0)]


def test_fixed_route_packets_take_the_fixed_route(benches, build) -> None:
    bench = benches(2)
    for chip, word in (((0, 0), 1 << Link.EAST), ((1, 0), 1 << 6 + 0)):  # physical core 0
        bench.row.chips[chip].router[0x84 // 4] = word
    source = receiver().replace("1 << 24", "1 << 27").replace("| 24", "| 27")
    bench.load(build(source), 1, chip=(1, 0))
    fixed = sender(2).replace("1:", "mov r7, #0x00c00000\n str r7, [r4]\n1:")
    bench.load(build(fixed), 1)
    bench.settle()
    assert received(bench, 3, (1, 0)) == [*expected(2), (0, 0)]
    assert counter(bench, 6) == 2 and counter(bench, 7, (1, 0)) == 2


def test_idle_cores_and_the_monitor_swallow_packets(bench, build) -> None:
    route(bench, (0, 0), 0, 0x42000000, 0xFF000000, cores=[0, 9])
    bench.load(build(sender(2)), 1)
    bench.settle()
    assert counter(bench, 0) == 2 and counter(bench, 8) == 0
    assert bench.state(1) == CoreState.INITIALISING
    assert not np.any(bench.row.chips[0, 0].router[6:11])
