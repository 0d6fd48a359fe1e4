import struct

import pytest
from booted import Asked

from orchestrator.machine.links import Link
from orchestrator.virtual.monitor.flood import in_region
from orchestrator.wire.answers import decode_summary
from orchestrator.wire.layout import SYSTEM_VARIABLES, Sv
from orchestrator.wire.numbers import Command, Result


def walk(plan, tables, start, goal):
    """Follow P2P tables from chip to chip; return the number of hops."""
    at, hops = start, 0
    while at != goal:
        at = plan.links[at][tables[at][goal]]
        hops += 1
        assert hops < 20
    return hops


def test_p2p_tables_lead_everywhere_by_shortest_ways():
    plan = Asked("spinn5").machine.plan
    tables = {chip: plan.first_links(chip) for chip in plan.chips}
    for start in plan.chips:
        assert set(tables[start]) == set(plan.chips)
        dx, dy = 5 - start[0], 5 - start[1]
        shortest = max(dx, dy, 0) - min(dx, dy, 0)
        assert walk(plan, tables, start, (5, 5)) >= shortest
    assert walk(plan, tables, (0, 0), (7, 7)) == 7


def test_p2p_tables_are_read_from_the_router():
    asked = Asked("spinn5")
    first_links = asked.machine.plan.first_links((2, 1))
    for x in (0, 4, 7, 8, 255):
        data = asked.ask(2, 1, Command.READ, 0xE1010000 + 128 * x, 128, 2)[1]
        words = struct.unpack("<32I", data)
        found = {(x, y): words[y // 8] >> 3 * (y % 8) & 7 for y in range(256)}
        assert {chip: way for chip, way in found.items() if way != 6} == {
            chip: way for chip, way in first_links.items() if chip[0] == x
        }


def test_parents_make_a_tree():
    plan = Asked("spinn5").machine.plan
    parents = plan.parents()
    for chip in plan.chips:
        for _ in range(8):
            if chip == (0, 0):
                break
            chip = plan.links[chip][parents[chip]]
        assert chip == (0, 0)


def test_a_dead_chip_is_gone_from_tables_links_and_answers():
    asked = Asked("spinn5")
    asked.ask(3, 3, Command.INFO)
    asked.ask(2, 2, Command.READ, 0xE1010000, 256, 2)
    asked.machine.kill_chips([(3, 3)])
    assert asked.ask(3, 3, Command.INFO) == (Result.ROUTE, b"")
    assert asked.ask(2, 2, Command.LINK_READ, 0x60000000, 4, Link.NORTH_EAST)[0] == Result.TIMEOUT
    word = struct.unpack("<I", asked.ask(2, 2, Command.READ, 0xE1010000 + 128 * 3, 4, 2)[1])[0]
    assert word >> 9 & 7 == 6
    asked.machine.kill_chips([(3, 3)])  # it is dead already


def test_a_dead_link_is_dead_both_ways():
    asked = Asked("spinn5")
    asked.machine.kill_link((2, 2), Link.EAST)
    for x, link in ((2, Link.EAST), (3, Link.WEST)):
        assert asked.machine.neighbour(x, 2, link) is None
        assert asked.ask(x, 2, Command.LINK_READ, 0x60000000, 4, link)[0] == Result.TIMEOUT
    asked.machine.kill_link((2, 2), Link.EAST)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_lossy_link_loses_a_share_one_way(share):
    asked = Asked("spinn5")
    asked.machine.set_loss((2, 2), Link.EAST, share)
    results = {asked.ask(2, 2, Command.LINK_READ, 0x60000000, 4, Link.EAST)[0] for _ in range(20)}
    assert results == ({Result.TIMEOUT} if share else {Result.OK})
    assert asked.ask(3, 2, Command.LINK_READ, 0x60000000, 4, Link.WEST)[0] == Result.OK
    assert asked.machine.loss(2, 2, Link.EAST) == share


@pytest.mark.parametrize("level", range(4))
def test_regions_cover_squares(level):
    side = 4 ** (3 - level)
    x, y = 0x54, 0xA8
    for bit in (0, 5, 15):
        base_x = x >> 2 * (4 - level) << 2 * (4 - level)
        base_y = y >> 2 * (4 - level) << 2 * (4 - level)
        region = base_x << 24 | base_y << 16 | level << 16 | 1 << bit
        covered = {(i, j) for i in range(256) for j in range(256) if in_region(region, i, j)}
        left, bottom = base_x + bit % 4 * side, base_y + bit // 4 * side
        assert covered == {
            (i, j) for i in range(left, left + side) for j in range(bottom, bottom + side)
        }


def test_chips_beyond_dead_ones_find_no_route():
    asked = Asked("spinn5")
    assert asked.ask(7, 7, Command.INFO)[0] == Result.OK
    asked.machine.kill_chips([(6, 6), (6, 7), (7, 6)])  # the neighbours of (7, 7)
    assert asked.ask(7, 7, Command.INFO) == (Result.ROUTE, b"")
    assert asked.ask(5, 5, Command.INFO)[0] == Result.OK


def test_programs_go_around_a_dead_chip():
    asked = Asked("spinn5")
    parent = decode_summary(asked.ask(2, 2, Command.INFO)[1]).parent_link
    assert parent == Link.SOUTH_WEST
    asked.machine.kill_chips([(1, 1)])
    summary = decode_summary(asked.ask(2, 2, Command.INFO)[1])
    assert summary.parent_link != parent and not summary.links >> parent & 1
    links = asked.ask(2, 2, Command.READ, SYSTEM_VARIABLES + Sv.LINKS, 1)[1]
    assert links == bytes([summary.links])
    parents = asked.machine.plan.parents()
    for chip in asked.machine.plan.chips:
        for _ in range(9):
            if chip == (0, 0):
                break
            chip = asked.machine.plan.links[chip][parents[chip]]
        assert chip == (0, 0)


def test_a_machine_without_its_root_goes_on():
    asked = Asked("spinn5")
    asked.machine.kill_chips([(0, 0)])
    assert asked.machine.plan.parents() == {}
    assert asked.machine.chip((3, 3)) is not None
