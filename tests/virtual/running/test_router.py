"""One router: the first match, waiting times, filters, what a drop leaves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.machine import Link
from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.core import Packet
from orchestrator.virtual.running.router import Destinations, Router

ROUTE, KEY, MASK = 0x1000, 0x2000, 0x3000
DUMP_HEADER, DUMP_STATUS = 0x18 // 4, 0x28 // 4
FILTER, COUNTER = 0x80, 0xC0

words = st.integers(0, 2**32 - 1)
few_bits = st.integers(0, 7)


@given(
    entries=st.lists(st.tuples(st.integers(0, 1023), few_bits, few_bits), max_size=40), key=words
)
def test_the_first_entry_that_matches_counts(entries: list[tuple[int, int, int]], key: int) -> None:
    memory = ChipMemory(4096)
    for entry, wanted, mask in entries:
        memory.router[ROUTE + entry] = entry & 0x3F | entry >> 6 << 6
        memory.router[KEY + entry] = wanted
        memory.router[MASK + entry] = mask
    keys, masks = memory.router[KEY : KEY + 1024], memory.router[MASK : MASK + 1024]
    matching = np.flatnonzero((np.uint32(key) & masks) == keys)
    to = Router(memory).destinations(Packet(key=key), Link.WEST)
    assert to is not None
    if not matching.size:
        assert to == Destinations(1 << Link.EAST, 0, default=True)
    else:
        route = int(memory.router[ROUTE + matching[0]])
        assert to == Destinations(route & 0x3F, route >> 6 & 0x3FFFF)


@pytest.mark.parametrize("link", list(Link))
def test_without_an_entry_a_packet_goes_straight_on(link: Link) -> None:
    router = Router(ChipMemory(4096))
    assert router.destinations(Packet(key=5), link) == Destinations(
        1 << link.opposite, 0, default=True
    )
    assert router.destinations(Packet(key=5), None) is None


@pytest.mark.parametrize(
    ("wait", "clocks"),
    [(0x00, 0), (0x01, 1), (0x0F, 15), (0x40, 240), (0x4F, 480), (0xEE, 491_520), (0xFF, None)],
)
def test_waiting_times_are_the_data_sheets(wait: int, clocks: int | None) -> None:
    memory = ChipMemory(4096)
    memory.router[0] = 0xAB000001 | wait << 16
    patience = Router(memory).patience
    assert patience == (None if clocks is None else int(clocks * 1.5))


def filter_word(**wanted: set[object]) -> int:
    """Return the word that spinnman makes of fields; those not named take everything."""
    filters = pytest.importorskip("spinnman.model.diagnostic_filter")
    fields = ("destinations", "sources", "payload_statuses", "default_routing_statuses")
    rest = ("emergency_routing_statuses", "packet_types")
    lists = [sorted(wanted.get(name, ()), key=repr) for name in (*fields, *rest)]
    return int(filters.DiagnosticFilter(False, False, *lists).filter_word)


@pytest.mark.parametrize(
    ("field", "value", "counts"),
    [
        ("destinations", "DiagnosticFilterDestination.LINK_2", [1, 0, 0]),
        ("destinations", "DiagnosticFilterDestination.LOCAL", [0, 1, 0]),
        ("destinations", "DiagnosticFilterDestination.LOCAL_MONITOR", [0, 1, 0]),
        ("destinations", "DiagnosticFilterDestination.DUMP", [0, 0, 1]),
        ("sources", "DiagnosticFilterSource.LOCAL", [0, 1, 1]),
        ("sources", "DiagnosticFilterSource.NON_LOCAL", [1, 0, 0]),
        ("payload_statuses", "DiagnosticFilterPayloadStatus.WITH_PAYLOAD", [1, 0, 0]),
        ("payload_statuses", "DiagnosticFilterPayloadStatus.WITHOUT_PAYLOAD", [0, 1, 1]),
        (
            "default_routing_statuses",
            "DiagnosticFilterDefaultRoutingStatus.DEFAULT_ROUTED",
            [1, 0, 1],
        ),
        ("packet_types", "DiagnosticFilterPacketType.MULTICAST", [1, 1, 1]),
        ("packet_types", "DiagnosticFilterPacketType.FIXED_ROUTE", [0, 0, 0]),
    ],
)
def test_filters_of_spinnman_count_what_they_say(field: str, value: str, counts: list[int]) -> None:
    enums = pytest.importorskip("spinnman.model.enums")
    kind, name = value.split(".")
    memory = ChipMemory(4096, physical_cores=[3, 1])
    memory.router[FILTER + 13] = filter_word(**{field: {getattr(enums, kind)[name]}})
    router = Router(memory)
    router.count(
        Packet(key=1, payload=2), Link.SOUTH, Destinations(1 << Link.NORTH, 0, default=True)
    )
    first = int(memory.router[COUNTER + 13])
    router.count(Packet(key=1), None, Destinations(0, 1 << 1 | 1 << 3))
    second = int(memory.router[COUNTER + 13]) - first
    router.dropped(Packet(key=1), 0)
    third = int(memory.router[COUNTER + 13]) - first - second
    assert [first, second, third] == counts


def test_the_first_drop_is_kept_until_it_is_read() -> None:
    memory = ChipMemory(4096)
    router = Router(memory)
    router.dropped(Packet(key=7, payload=8, control=0x10), 0x41)
    router.dropped(Packet(key=9), 0x2)
    assert memory.router[DUMP_HEADER : DUMP_STATUS + 1].tolist() == [0x120000, 7, 8, 0x41, 3 << 30]
    memory.router[DUMP_STATUS] = 0  # as reading it does
    router.dropped(Packet(key=9), 0x2)
    assert memory.router[DUMP_HEADER : DUMP_STATUS + 1].tolist() == [0, 9, 0, 2, 1 << 31]
