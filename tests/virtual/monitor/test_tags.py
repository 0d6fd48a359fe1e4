import struct

from booted import HOST_ADDRESS, Asked

from orchestrator.virtual.monitor.tags import HostAddress, TagTable
from orchestrator.wire.datagrams import FLAGS, decode_sdp
from orchestrator.wire.numbers import Result

SENDER = HostAddress("127.0.0.9", 1234)
LOCAL = int.from_bytes(bytes([127, 0, 0, 3]), "little")


def new_table():
    opened = set()

    def listen(port, on):
        if on and port in (17893, 0):
            return False
        (opened.add if on else opened.discard)(port)
        return on

    return TagTable(listen), opened


def entry(table, tag):
    return struct.unpack("<4s6s3HIH3B", table.command(2 << 16 | tag, 1, 0, SENDER)[:25])


def test_a_tag_reads_back():
    table, _ = new_table()
    assert table.command(1 << 16 | 1 << 28 | 5, 7777, LOCAL, SENDER) == struct.pack("<I", 5)
    assert entry(table, 5)[:5] == (bytes([127, 0, 0, 3]), bytes(6), 7777, 0, 0x8100)


def test_the_sender_s_address_stands_in():
    table, _ = new_table()
    table.command(1 << 16 | 1, 7777, 0, SENDER)
    assert entry(table, 1)[0] == bytes([127, 0, 0, 9]) and entry(table, 1)[2] == 7777
    table.command(1 << 16 | 1 << 30 | 1, 7777, LOCAL, SENDER)
    assert entry(table, 1)[0] == bytes([127, 0, 0, 9]) and entry(table, 1)[2] == 1234


def test_a_reverse_tag_opens_its_port_until_it_is_cleared():
    table, opened = new_table()
    word = 1 << 16 | 3 << 28 | 2 << 13 | 9 << 8 | 4
    assert table.command(word, 3 << 24 | 2 << 16 | 5000, 0, SENDER) == struct.pack("<I", 4)
    assert opened == {5000} and table.reverse_tag(5000) == 4
    assert entry(table, 4)[4:] == (0x8300, 0, 5000, 2, 3, 2 << 5 | 9)
    other = table.command(word & ~7 | 6, 5000, 0, SENDER)
    assert other is Result.ARGUMENT, "two tags cannot have one port"
    table.command(3 << 16 | 4, 0, 0, SENDER)
    assert not opened and entry(table, 4)[4] == 0


def test_what_is_refused():
    table, _ = new_table()
    for arg1, arg2 in (
        (1 << 16 | 16, 1),
        (3 << 16 | 255, 0),
        (2 << 16 | 0, 9),
        (9 << 16, 0),
        (1 << 16 | 1 << 29, 17893),
    ):
        assert table.command(arg1, arg2, 0, SENDER) is Result.ARGUMENT
    assert all(not tag.flags for tag in table.entries)


def test_new_tags_come_from_the_pool_while_there_are_some():
    table, _ = new_table()
    given = [table.command(0, 1, LOCAL, SENDER)[0] for _ in range(9)]
    assert given == [8, 9, 10, 11, 12, 13, 14, 15, 255]


def test_the_timeout_is_set_and_told():
    table, _ = new_table()
    assert table.command(4 << 16, 3, 0, SENDER) == bytes([9, 32, 8, 8])
    assert table.command(4 << 16, 255, 0, SENDER) == bytes([3, 32, 8, 8])
    assert table.command(4 << 16, 255, 0, SENDER) == bytes([3, 32, 8, 8])
    assert table.timeout_ms == 40


def test_an_answer_goes_by_a_transient_tag_to_its_sender():
    asked = Asked()
    assert asked.send(1, 1, b"hello", core=3, port=2) is None
    ((ethernet, port, datagram, host),) = asked.outside.sent
    answer = decode_sdp(datagram)
    assert (ethernet, port, host) == ((0, 0), 17893, HOST_ADDRESS)
    assert (answer.source.x, answer.source.y, answer.source.core, answer.source.port) == (
        1,
        1,
        3,
        2,
    )
    assert answer.data == b"hello" and answer.flags == FLAGS and answer.tag == 8


def test_messages_by_a_reverse_tag_and_back():
    asked = Asked()
    word = 1 << 16 | 3 << 28 | 2 << 13 | 9 << 8 | 4
    asked.ask(0, 0, 26, word, 1 << 24 | 0 << 16 | 5000)
    asked.machine.reverse((0, 0), 5000, b"in", SENDER)
    assert asked.outside.sent == [((0, 0), 5000, b"in", SENDER)]
    assert asked.outside.ports == {5000}
    asked.machine.reverse((0, 0), 5001, b"nobody's", SENDER)
    assert len(asked.outside.sent) == 1


def test_a_chip_without_ethernet_has_no_tags():
    asked = Asked()
    assert asked.ask(1, 1, 26, 4 << 16, 255) == (Result.ARGUMENT, b"")
