import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.boards.hardware.pieces import (
    Call,
    Read,
    Write,
    datagram_head,
    requests_of,
    result_of,
    spans,
)
from orchestrator.errors import ArgumentError
from orchestrator.wire.numbers import Command


@given(address=st.integers(0, 2**20), size=st.integers(0, 5000))
def test_spans_cover_a_range_and_are_aligned(address, size):
    offset = 0
    for at, length, unit in spans(address, size):
        assert at == offset and 0 < length <= 256
        assert unit in (0, 2)
        if unit == 2:
            assert (address + at) % 4 == 0 and length % 4 == 0
        offset += length
    assert offset == size


@given(address=st.integers(0, 2**20), size=st.integers(1, 5000))
def test_spans_are_few_and_mostly_of_words(address, size):
    found = list(spans(address, size))
    assert len(found) <= -(-size // 256) + 1
    assert sum(unit == 0 for _, _, unit in found) <= 2


def test_a_write_is_the_datagram_that_the_application_notes_describe():
    data = bytes(range(8))
    (request,) = requests_of(Write(2, 1, 0x60240000, data), None)
    head = datagram_head(request, 0xABCD)
    assert head[:10].hex(" ") == "00 00 87 ff 00 ff 01 02 ff ff"
    assert struct.unpack("<2H3I", head[10:]) == (3, 0xABCD, 0x60240000, 8, 2)
    assert bytes(request.data) == data


def test_a_read_fills_its_part_of_the_result():
    piece = Read(0, 0, 0x60000000, 300)
    result = result_of(piece)
    first, second = requests_of(piece, result)
    first.into[:] = b"a" * 256
    second.into[:] = b"b" * 44
    assert result == b"a" * 256 + b"b" * 44


def test_a_write_takes_arrays_of_any_item():
    words = memoryview(bytearray(range(16))).cast("I")
    (request,) = requests_of(Write(0, 0, 0, words), None)
    assert bytes(request.data) == bytes(range(16))


@pytest.mark.parametrize(
    "piece", [Read(0, 0, 0xFFFFFFF0, 17), Write(0, 0, 0xFFFFFFFF, b"ab"), Read(0, 0, -4, 4)]
)
def test_ranges_outside_the_address_space_are_refused(piece):
    with pytest.raises(ArgumentError, match="0xffffffff"):
        list(requests_of(piece, result_of(piece)))


def test_a_negative_size_is_refused():
    with pytest.raises(ArgumentError, match="size"):
        result_of(Read(0, 0, 0, -1))


def test_pieces_name_themselves():
    assert str(Call(0, 0, Command.FILL, 0x60000000, 1, 4)) == "command FILL (0x60000000, 0x1, 0x4)"
    assert str(Read(0, 0, 0x60000000, 4)) == "read of 4 bytes at 0x60000000"
