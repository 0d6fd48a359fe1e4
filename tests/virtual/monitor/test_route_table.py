import struct

import pytest
from booted import Asked
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.monitor.memory import AddressSpace
from orchestrator.virtual.monitor.routes import RouteTable, obey_counter_control

COPY = 0x67850000
PHYSICAL = (2, 0, 1, 3)


def new_table():
    space = AddressSpace(ChipMemory(physical_cores=PHYSICAL))
    table = RouteTable(space, COPY, PHYSICAL)
    table.initialise()
    return space, table


def registers(space, entry):
    return [
        struct.unpack_from("<I", space.router, start + 4 * entry)[0]
        for start in (0x4000, 0x8000, 0xC000)
    ]


def test_all_but_the_first_entry_can_be_had():
    _, table = new_table()
    assert table.largest == 1023
    assert table.allocate(1024, 16) == 0
    assert table.allocate(0, 16) == 0
    assert table.allocate(1023, 16) == 1
    assert table.allocate(1, 16) == 0 and table.largest == 0
    assert table.free_application(16) == 1023 and table.largest == 1023


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(16, 18)), max_size=20))
def test_blocks_do_not_overlap_and_come_back(requests):
    _, table = new_table()
    owned = {}
    for size, app_id in requests:
        first = table.allocate(size, app_id)
        if first:
            owned[first] = (size, app_id)
        elif size % 3 == 0 and owned:
            given = min(owned)
            assert table.free(given) == owned.pop(given)[0]
    taken = [entry for first, (size, _) in owned.items() for entry in range(first, first + size)]
    assert len(set(taken)) == len(taken) and (not taken or 0 < min(taken) <= max(taken) < 1024)
    for app_id in (16, 17, 18):
        sizes = [size for size, app in owned.values() if app == app_id]
        assert table.free_application(app_id) == sum(sizes)
    assert table.largest == 1023


def test_entries_are_in_the_copy_and_in_the_router():
    space, table = new_table()
    first = table.allocate(3, 20)
    route = 0b100001 | 1 << 6 | 1 << 7 | 1 << 9 | 1 << 20  # links, cores 0, 1 and 3; there is no 14
    rows = struct.pack("<2H3I", 2, 0, route, 0x1200, 0xFF00)
    assert table.load(rows, first, 20)
    entry = struct.unpack("<2H3I", space.read(COPY + 16 * 3, 16))
    assert entry == (0, 0x8000 | 20, route, 0x1200, 0xFF00)
    # Virtual cores 0, 1, 3 are physical cores 2, 0, 3.
    assert registers(space, 3) == [0b100001 | 1 << 8 | 1 << 6 | 1 << 9, 0x1200, 0xFF00]
    table.free(first)
    assert registers(space, 3) == [0xFF000000, 0xFFFFFFFF, 0]


@pytest.mark.parametrize("position", [0, 1023, 5000])
def test_entries_outside_the_table_change_nothing(position):
    space, table = new_table()
    before = bytes(space.router), space.read(COPY, 16 * 1025)
    rows = struct.pack("<2H3I", 0, 0, 1, 2, 3) + struct.pack("<2H3I", 1, 0, 1, 2, 3)
    assert not table.load(rows, position, 16)
    assert not table.clear(position, 2)
    assert (bytes(space.router), space.read(COPY, 16 * 1025)) == before


def test_counters_are_cleared_by_the_upper_half_of_the_control_word():
    space, _ = new_table()
    struct.pack_into("<16I", space.router, 0x300, *range(1, 17))
    struct.pack_into("<I", space.router, 0x2C, 0x8001 << 16 | 0xFFFF)
    obey_counter_control(space.router)
    counters = list(struct.unpack_from("<16I", space.router, 0x300))
    assert counters == [0, *range(2, 16), 0]


def test_a_stopped_application_loses_its_routes():
    asked = Asked()
    assert asked.ask(1, 1, 28, 30 << 8 | 3, 10) == (0x80, struct.pack("<I", 1))
    asked.ask(1, 1, 19, 30 << 24 | 0b10)
    asked.ask(255, 255, 22, 2, 2 << 16 | 0xFF << 8 | 30)
    assert asked.machine.chip((1, 1)).routes.largest == 1023
