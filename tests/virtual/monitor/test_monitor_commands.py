"""Commands one by one, without sockets: what spinnman sends, and what it never would."""

import struct

import pytest
from booted import Asked

from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.monitor.cores import StateCores
from orchestrator.virtual.monitor.variables import default_variables
from orchestrator.wire.answers import decode_summary, decode_version
from orchestrator.wire.datagrams import (
    FLAGS,
    HOST,
    NO_ROUTE,
    REPLY_EXPECTED,
    ScpRequest,
    SdpAddress,
    SdpMessage,
    decode_reply,
    encode_request,
    encode_sdp,
)
from orchestrator.wire.layout import SYSTEM_VARIABLES, Sv, Vcpu
from orchestrator.wire.numbers import Command, CoreState, Result, Signal

READ, WRITE, FILL = Command.READ, Command.WRITE, Command.FILL


@pytest.fixture
def asked():
    return Asked()


def word(value):
    return struct.pack("<I", value)


class CoresWithMemory(StateCores):
    """Cores whose ITCM and DTCM exist."""

    def __init__(self, surroundings):
        super().__init__(surroundings)
        self.tcm = {}

    def memories(self, x, y, core):
        both = self.tcm.setdefault((x, y, core), (bytearray(0x8000), bytearray(0x10000)))
        return memoryview(both[0]), memoryview(both[1])


def test_checks_come_in_the_order_of_the_board_s(asked):
    request = encode_request(ScpRequest(0, 5, 0, 0, 0))
    for x, y, core, port, result in (
        (2, 0, 31, 7, Result.ROUTE),
        (1, 1, 18, 0, Result.CPU),
        (1, 1, 0, 1, Result.PORT),
        (1, 1, 0, 0, Result.OK),
    ):
        answer = asked.send(x, y, request, core, port)
        reply = decode_reply(answer.data)
        assert (reply.result, reply.sequence) == (result, 5)
        assert (answer.source.x, answer.source.y) == (x, y)
        assert answer.flags == FLAGS and answer.destination[2:] == HOST[2:]


@pytest.mark.parametrize("size", range(16))
def test_short_requests_are_refused_with_their_number(asked, size):
    reply = decode_reply(
        asked.send(0, 0, encode_request(ScpRequest(2, 0x1234, 0, 4, 2))[:size]).data
    )
    assert reply.result == Result.LENGTH
    assert reply.sequence == {3: 0x34}.get(size, 0x1234 if size > 3 else 0)


def test_without_the_reply_flag_nothing_is_answered_but_all_is_done(asked):
    request = encode_request(ScpRequest(WRITE, 1, 0x60300000, 4, 2, b"done"))
    assert asked.send(1, 0, request, flags=FLAGS) is None
    assert asked.ask(1, 0, READ, 0x60300000, 4, 2) == (Result.OK, b"done")


def test_root_and_ethernet_chip(asked):
    request = encode_request(ScpRequest(Command.VERSION, 1, 0, 0, 0))
    answer = asked.send(255, 255, request)
    assert (answer.source.x, answer.source.y) == (0, 0)
    answer = asked.send(9, 9, request, flags=FLAGS | REPLY_EXPECTED | NO_ROUTE)
    assert decode_version(decode_reply(answer.data).data).name == "SC&MP/SpiNNaker"


@pytest.mark.parametrize(
    ("address", "size", "unit"),
    [
        *((0x60000000, 257, 0), (0x60000000, 4, 3), (0x60000001, 4, 2), (0x60000000, 3, 1)),
        *((0x67FFFFFF, 2, 0), (0x68000000, 1, 0), (0x50000000, 4, 2), (0xFFFFFFFF, 256, 0)),
        *((0x8000, 4, 0), (0x410000, 1, 0), (0xE5008000, 4, 2), (0xE1018000, 4, 2)),
    ],
)
def test_memory_that_cannot_be_had(asked, address, size, unit):
    assert asked.ask(0, 0, READ, address, size, unit) == (Result.ARGUMENT, b"")
    refused = asked.ask(0, 0, WRITE, address, size, unit, bytes(256))
    assert refused == (Result.ARGUMENT, b"")


def test_a_write_with_too_little_data_writes_nothing(asked):
    assert asked.ask(0, 0, WRITE, 0x60300000, 8, 2, b"1234")[0] == Result.LENGTH
    assert asked.ask(0, 0, READ, 0x60300000, 8, 2)[1] == bytes(8)


@pytest.mark.parametrize(
    ("address", "size"), [(0x60300002, 4), (0x60300000, 6), (0x67FFFFFC, 8), (0x60300000, 1 << 31)]
)
def test_fills_that_are_refused(asked, address, size):
    assert asked.ask(0, 0, FILL, address, 7, size) == (Result.ARGUMENT, b"")


def test_a_large_fill(asked):
    assert asked.ask(0, 0, FILL, 0x60300000, 0x01020304, 200004)[0] == Result.OK
    end = 0x60300000 + 200004
    assert asked.ask(0, 0, READ, end - 8, 12, 2)[1] == word(0x01020304) * 2 + bytes(4)


def test_aliases_and_the_memories_of_the_monitor(asked):
    asked.ask(1, 0, WRITE, 0x70300000, 4, 2, b"both")
    assert asked.ask(1, 0, READ, 0x60300000, 4, 2)[1] == b"both"
    asked.ask(1, 0, WRITE, 0x400010, 4, 2, b"DTCM")
    assert asked.ask(1, 0, READ, 0x400010, 4, 2)[1] == b"DTCM"
    assert asked.ask(1, 0, READ, 0x10, 4, 2)[1] == bytes(4)


def test_a_core_s_own_memories_are_asked_at_its_port_0():
    asked = Asked(open_cores=CoresWithMemory)
    assert asked.ask(1, 1, WRITE, 0x400010, 4, 2, b"mine", core=3)[0] == Result.OK
    assert asked.ask(1, 1, READ, 0x400010, 4, 2, core=3)[1] == b"mine"
    assert asked.ask(1, 1, READ, 0x400010, 4, 2, core=4)[1] == bytes(4)
    asked.ask(1, 1, FILL, 0x100, 5, 8, core=4)
    assert asked.ask(1, 1, READ, 0x100, 8, 2, core=4)[1] == word(5) * 2
    version = decode_version(asked.ask(1, 1, Command.VERSION, core=4)[1])
    assert (version.name, version.core, version.physical_core) == ("SARK/SpiNNaker", 4, 4)
    assert asked.ask(1, 1, Command.INFO, core=4)[0] == Result.COMMAND
    assert asked.ask(1, 1, Command.LINK_READ, 0x60000000, 4, 0, core=4)[0] == Result.COMMAND


def test_links(asked):
    asked.ask(1, 1, WRITE, 0x60300000, 4, 2, b"over")
    assert asked.ask(0, 0, Command.LINK_READ, 0x60300000, 4, 1) == (Result.OK, b"over")
    asked.ask(0, 0, Command.LINK_WRITE, 0x60300004, 4, 1, b"here")
    assert asked.ask(1, 1, READ, 0x60300000, 8, 2)[1] == b"overhere"
    assert asked.ask(0, 0, Command.LINK_READ, 0x60300000, 4, 3) == (Result.TIMEOUT, b"")
    assert asked.ask(0, 0, Command.LINK_READ, 0x60300000, 4, 6) == (Result.ARGUMENT, b"")
    assert asked.ask(0, 0, Command.LINK_WRITE, 0x60300002, 4, 1, b"odd.") == (Result.ARGUMENT, b"")


def test_the_clock_runs(asked):
    asked.now = 1002.25
    data = asked.ask(1, 0, READ, SYSTEM_VARIABLES, 64, 2)[1]
    assert struct.unpack_from("<Q", data, Sv.CLOCK_MS) == (2250,)
    assert struct.unpack_from("<HHI", data, Sv.TIME_MS) == (250, 0, 1002)


def test_cores_are_loaded_signalled_and_stopped(asked):
    states = lambda: list(asked.machine.chip((1, 0)).states()[1:6])  # noqa: E731
    idle, ready, sync0 = CoreState.IDLE, CoreState.READY, CoreState.SYNC0
    asked.ask(1, 0, Command.APPLICATION_RUN, 30 << 24 | 1 << 18 | 0b00110)
    asked.ask(1, 0, Command.APPLICATION_RUN, 31 << 24 | 0b01000)
    assert states() == [ready, ready, sync0, idle, idle]

    def signal(number, app_id, mask=0xFF, kind=0):
        word = number << 16 | mask << 8 | app_id
        return asked.ask(255, 255, Command.SIGNAL, kind, word, 0xFFFF)[0]

    assert signal(Signal.START, 30) == Result.OK
    assert states() == [sync0, sync0, sync0, idle, idle]
    assert signal(Signal.SYNC0, 30, mask=0xFE) == Result.OK  # 30 and 31
    assert states()[:3] == [CoreState.RUNNING] * 3
    assert asked.ask(0, 0, Command.COUNT, 30, CoreState.RUNNING)[1] == word(2)
    assert asked.ask(1, 0, Command.COUNT, 31, CoreState.RUNNING)[1] == word(1)
    assert signal(Signal.EXIT, 31) == Result.OK
    assert states()[2] == CoreState.FINISHED
    assert signal(Signal.STOP, 30, kind=2) == Result.OK
    assert states() == [idle, idle, CoreState.FINISHED, idle, idle]
    assert signal(14, 31) == Result.ARGUMENT
    assert asked.ask(1, 0, Command.SIGNAL, 0, 3 << 16)[0] == Result.ARGUMENT, "not the root"


def test_the_monitor_cannot_be_loaded(asked):
    assert asked.ask(1, 0, Command.APPLICATION_RUN, 30 << 24 | 1) == (Result.ARGUMENT, b"")
    assert asked.ask(1, 0, Command.APPLICATION_COPY_RUN, 3, 4, 1) == (Result.ARGUMENT, b"")
    assert asked.ask(0, 0, Command.NEAREST_NEIGHBOUR, 15 << 24, 1) == (Result.ARGUMENT, b"")
    assert asked.machine.chip((1, 0)).states()[0] == CoreState.RUNNING


def test_loading_again_starts_anew(asked):
    asked.ask(1, 0, Command.APPLICATION_RUN, 30 << 24 | 0b10)
    user = asked.machine.memory(1, 0).vcpu(1) + Vcpu.USER
    asked.ask(1, 0, WRITE, user, 4, 2, b"used")
    asked.ask(1, 0, Command.APPLICATION_RUN, 31 << 24 | 0b10)
    assert asked.ask(1, 0, READ, user, 4, 2)[1] == bytes(4)
    assert asked.machine.chip((1, 0)).app_ids()[1] == 31


def test_a_program_is_copied_with_its_sum(asked):
    program = struct.pack("<4I", 0xFFFFFFFF, 5, 6, 7)
    asked.ask(0, 0, WRITE, 0x67800000, 16, 2, program)
    total = (0xFFFFFFFF + 5 + 6 + 7) & 0xFFFFFFFF
    link_back = 4  # south-west of (1, 1)
    run = 30 << 24 | 0b100
    wrong = asked.ask(1, 1, Command.APPLICATION_COPY_RUN, (total + 1) << 3 | link_back, 16, run)
    assert wrong == (Result.CHECKSUM, word(total))
    assert asked.ask(1, 1, READ, 0x67800000, 16, 2)[1] == bytes(16)
    right = asked.ask(1, 1, Command.APPLICATION_COPY_RUN, total << 3 | link_back, 16, run)
    assert right == (Result.OK, b"")
    assert asked.ask(1, 1, READ, 0x67800000, 16, 2)[1] == program
    assert asked.machine.chip((1, 1)).states()[2] == CoreState.SYNC0
    for size, link in ((16, 0), (18, 4), (1 << 20, 4), (16, 6)):
        result, _ = asked.ask(1, 1, Command.APPLICATION_COPY_RUN, link, size, run)
        assert result == (Result.TIMEOUT if (size, link) == (16, 0) else Result.ARGUMENT)


def test_a_flood_fill_loads_and_starts(asked):
    nnp, data = Command.NEAREST_NEIGHBOUR, Command.FLOOD_FILL_DATA
    region_of_1_0 = 3 << 16 | 1 << 1
    for region, reached in ((0xFFFF, 4), (region_of_1_0, 1)):
        asked.ask(0, 0, nnp, 6 << 24 | 2 << 8, region)
        for block in range(2):
            asked.ask(0, 0, data, 0, block << 16 | 15 << 8, 0x67800000 + 64 * block, b"x" * 64)
        assert asked.ask(0, 0, nnp, 15 << 24, 40 + reached << 24 | 0b110)[0] == Result.OK
        chips = [chip for chip in asked.machine.chips() if 40 + reached in chip.app_ids()]
        assert len(chips) == reached
    assert asked.ask(1, 0, READ, 0x67800040, 64, 2)[1] == b"x" * 64


def test_an_incomplete_flood_fill_comes_to_nothing(asked):
    asked.ask(0, 0, Command.NEAREST_NEIGHBOUR, 6 << 24 | 2 << 8, 0xFFFF)
    asked.ask(0, 0, Command.FLOOD_FILL_DATA, 0, 15 << 8, 0x67800000, b"x" * 64)
    short = asked.ask(0, 0, Command.FLOOD_FILL_DATA, 0, 1 << 16 | 15 << 8, 0x67800040, b"x" * 60)
    assert short[0] == Result.LENGTH
    asked.ask(0, 0, Command.NEAREST_NEIGHBOUR, 15 << 24, 40 << 24 | 0b110)
    assert all(chip.states()[1] == CoreState.IDLE for chip in asked.machine.chips())


@pytest.mark.parametrize("command", [1, 4, 16, 24, 27, 30, 33, 65535])
def test_commands_that_no_client_has(asked, command):
    assert asked.ask(0, 0, command) == (Result.COMMAND, b"")


def test_what_info_says_of_a_chip(asked):
    summary = decode_summary(asked.ask(0, 0, Command.INFO, 0x5F)[1])
    assert summary.n_cores == 18 and summary.ethernet_up and summary.router_entries == 1023
    assert summary.ip_address == bytes([127, 0, 64, 1]) and summary.parent_link == 7
    assert summary.sdram_bytes == 123469792
    assert summary.states == bytes([CoreState.RUNNING] + 17 * [CoreState.IDLE])


def test_a_core_in_error_answers_nothing(asked):
    asked.ask(0, 1, Command.APPLICATION_RUN, 30 << 24 | 0b110)
    asked.machine.trap((0, 1), 1)
    assert asked.machine.chip((0, 1)).states()[1] == CoreState.RUN_TIME_ERROR
    reply = decode_reply(asked.send(0, 1, bytes(16), core=1, port=1).data)
    assert reply.result == Result.TIMEOUT
    assert asked.ask(0, 1, READ, 0x400000, 4, 2, core=1)[0] == Result.TIMEOUT
    asked.ask(255, 255, Command.SIGNAL, 0, Signal.EXIT << 16 | 0xFF << 8 | 30)
    assert list(asked.machine.chip((0, 1)).states()[1:3]) == [2, CoreState.FINISHED]
    asked.ask(255, 255, Command.SIGNAL, 2, Signal.STOP << 16 | 0xFF << 8 | 30)
    assert list(asked.machine.chip((0, 1)).states()[1:3]) == [CoreState.IDLE] * 2


def test_a_trap_waits_for_its_core(asked):
    asked.machine.trap((0, 1), 2)
    assert asked.machine.chip((0, 1)).states()[2] == CoreState.IDLE
    asked.ask(0, 1, Command.APPLICATION_RUN, 30 << 24 | 0b110)
    assert asked.machine.chip((0, 1)).states()[2] == CoreState.RUN_TIME_ERROR
    asked.ask(0, 1, Command.APPLICATION_RUN, 30 << 24 | 0b110)
    assert asked.machine.chip((0, 1)).states()[2] == CoreState.SYNC0


def test_a_core_asks_a_monitor(asked):
    received = []
    asked.machine.cores.deliver = lambda x, y, message: received.append(message) or Result.OK
    core = SdpAddress(1, 0, 5, 2)
    request = encode_request(ScpRequest(Command.VERSION, 9, 0, 0, 0))
    message = SdpMessage(SdpAddress(0, 1, 0), core, request, FLAGS | REPLY_EXPECTED)
    assert asked.machine.send(1, 0, message) == Result.OK
    (answer,) = received
    assert answer.destination == core
    assert decode_version(decode_reply(answer.data).data).y == 1
    assert (
        asked.machine.send(1, 0, message._replace(destination=SdpAddress(9, 9, 0))) == Result.ROUTE
    )


def test_a_datagram_without_a_header_is_dropped(asked):
    for datagram in (b"", bytes(9), bytes(283)):
        assert asked.machine.handle((0, 0), datagram, ("127.0.0.1", 1)) is None
    long = encode_sdp(SdpMessage(SdpAddress(0, 0, 0), HOST, bytes(272), 0x87))
    assert asked.machine.handle((0, 0), long, ("127.0.0.1", 1)) is not None


def test_untouched_chips_take_no_memory(monkeypatch):
    made = []
    original = ChipMemory.__init__
    monkeypatch.setattr(
        ChipMemory, "__init__", lambda self, **kw: made.append(1) or original(self, **kw)
    )
    asked = Asked("spinn5")
    assert not made
    asked.ask(3, 3, Command.INFO)
    assert len(made) == 1


def test_default_system_variables_are_those_that_spinnman_boots_with():
    boot_values = pytest.importorskip(
        "spinnman.messages.spinnaker_boot.system_variable_boot_values",
        reason="spinnman is not installed: pip install SpiNNMan",
    )
    values = boot_values.SystemVariableBootValues()
    definition = boot_values.SystemVariableDefinition
    values.set_value(definition.hardware_version, 5)
    values.set_value(definition.unix_timestamp, 1234567)
    values.set_value(definition.boot_signature, 1234567)
    values.set_value(definition.is_root_chip, 1)
    assert default_variables(5, 1234567) == values.bytestring[:128]
