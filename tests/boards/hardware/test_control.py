"""A booted virtual machine under control, through unmodified spinnman and our own connections."""

import random
import struct
from fractions import Fraction

import pytest

from orchestrator.boards.hardware import CoreId, Read, Write, given_host, open_machine
from orchestrator.boards.hardware.failures import (
    BoardDead,
    CoreFailed,
    LinkDead,
    MachineTimeout,
    Refused,
)
from orchestrator.errors import ArgumentError
from orchestrator.machine.links import Link
from orchestrator.virtual.serving.configuration import DeadConfig
from orchestrator.virtual.serving.faults import DatagramFaultsConfig, FaultsConfig
from orchestrator.wire.layout import USER_HEAP
from orchestrator.wire.numbers import CoreState, Signal

pytest.importorskip("spinnman", reason="spinnman is not installed: pip install SpiNNMan")

AREA = USER_HEAP + 0x100000  # in the heap's free block, behind its headers
DATA = bytes(range(256)) * 9 + b"the end"
IMAGE = struct.pack("<I", 0xEAFFFFFE) * 16  # branches to itself


@pytest.fixture
def board(virtual_machine):
    """A SpiNN-3 board and its control."""
    machine = virtual_machine(third=96, shape="spinn3", booted=True)
    with open_machine(given_host("127.0.96.1", bmp="127.0.96.0")) as control:
        yield machine, control


def test_a_small_board_does_everything_in_turn(board):
    _, control = board
    assert (control.machine.width, control.machine.height) == (2, 2)
    assert len(control.cores) == control.machine.n_application_cores == 68
    assert control.ethernet == {(0, 0): "127.0.96.1"}
    assert list(control.temperatures()) == [0]

    control.write(1, 1, AREA + 1, DATA)
    assert control.read(1, 1, AREA + 1, len(DATA)) == DATA
    chips = [(x, y) for x in range(2) for y in range(2)]
    control.write_many([Write(x, y, AREA, bytes([x, y]) * 200) for x, y in chips])
    found = control.read_many([Read(x, y, AREA, 400) for x, y in chips])
    assert found == [bytes(chip) * 200 for chip in chips]
    control.fill(0, 1, AREA, 0x01020304, 400)
    assert control.read(0, 1, AREA, 404)[-8:].hex() == "04030201" + "00000000"

    control.link_write(0, 0, Link.NORTH, AREA, DATA[:600])
    assert control.read(0, 1, AREA, 600) == DATA[:600]
    assert control.link_read(0, 1, Link.SOUTH, AREA, 400) == control.read(0, 0, AREA, 400)

    blocks = [control.take(x, y, 1004) for x, y in chips for _ in range(3)]
    first, second, third = blocks[:3]
    assert first > USER_HEAP and second >= first + 1004 and third >= second + 1004
    assert not any(block % 8 for block in blocks)
    control.stop()
    assert control.take(0, 0, 1000) == first

    control.load(IMAGE, control.cores[:20])
    states = control.states()
    assert CoreState.IDLE not in [states[core] for core in control.cores[:20]]
    assert {states[core] for core in control.cores[20:]} == {CoreState.IDLE}
    report = control.reports(control.cores[:1])[0]
    assert report.app_id == 16
    control.stop()
    assert set(control.states().values()) == {CoreState.IDLE}


def test_cores_that_failed_are_shown(board):
    machine, control = board
    control.load(IMAGE)
    for core in control.cores[3:5]:
        machine.trap(*core)
    with pytest.raises(CoreFailed) as caught:
        control.wait({CoreState.FINISHED}, timeout=5)
    text = str(caught.value)
    assert "core (0, 0, 4): RUN_TIME_ERROR" in text
    assert "r0 0x" in text and "psr 0x" in text
    assert "1 more: core (0, 0, 5)" in text


def test_cores_that_are_late_are_named(board):
    _, control = board
    with pytest.raises(MachineTimeout) as caught:
        control.wait({CoreState.RUNNING}, timeout=0.02)
    for part in ("68 cores", "RUNNING after 0.02 s", "core (0, 0, 1) is IDLE", "and 63 more"):
        assert part in str(caught.value)


def test_refusals_say_what_is_allowed(board):
    _, control = board
    with pytest.raises(ArgumentError, match=r"no chip \(2, 0\)"):
        control.read(2, 0, AREA, 4)
    with pytest.raises(ArgumentError, match=r"core \(0, 0, 18\) is none of the machine's 68"):
        control.states([CoreId(0, 0, 18)])
    with pytest.raises(Refused, match=r"chip \(1, 0\).*0x80000000"):
        control.read(1, 0, 0x80000000, 4)
    with pytest.raises(Refused, match="chip .0, 0. has no 2.* bytes of SDRAM"):
        control.take(0, 0, 200_000_000)
    with pytest.raises(ArgumentError, match="load area takes"):
        control.load(bytes(300_000))
    with pytest.raises(ArgumentError, match="multiples of 4"):
        control.fill(0, 0, AREA, 0, 6)
    with pytest.raises(ArgumentError, match="multiples of 4"):
        control.link_read(0, 0, Link.NORTH, AREA + 1, 4)


def test_a_dead_link_is_named(board):
    machine, control = board
    machine.kill_link(0, 0, Link.NORTH)
    with pytest.raises(LinkDead, match=r"chip \(0, 0\).*link 2"):
        control.link_read(0, 0, Link.NORTH, AREA, 4)


class Lost(Exception):
    """The boards are no longer ours."""


class Holder:
    """Holds boards until it is told not to."""

    lost = False

    def check(self):
        if self.lost:
            raise Lost


def test_a_board_that_falls_silent_is_dead_or_its_job_is_lost(virtual_machine):
    machine = virtual_machine(third=97, shape="spinn3", booted=True)
    holder = Holder()
    with open_machine(given_host("127.0.97.1"), job=holder, patience_s=0.3) as control:
        machine.silence((0, 0, 0))
        with pytest.raises(BoardDead, match=r"127\.0\.97\.1 has not answered for 0.3 s"):
            control.read(0, 0, AREA, 4)
        holder.lost = True
        with pytest.raises(Lost):
            control.read(0, 0, AREA, 4)


def test_a_board_that_does_not_answer_spinnman_is_dead(virtual_machine):
    machine = virtual_machine(third=97, shape="spinn3", booted=True)
    with open_machine(given_host("127.0.97.1")) as control:
        machine.silence((0, 0, 0))
        with pytest.raises(BoardDead, match=r"127\.0\.97\.1 has not answered spinnman"):
            control.signal(Signal.SYNC0)
        machine.silence((0, 0, 0), False)
        control.signal(Signal.SYNC0)


def test_data_arrive_over_a_network_that_loses_doubles_and_reorders(board):
    machine, control = board
    bad = DatagramFaultsConfig(
        loss=Fraction(5, 100), duplication=Fraction(5, 100), reordering=Fraction(5, 100)
    )
    data = random.Random(1).randbytes(200_000)
    machine.set_datagram_faults(FaultsConfig(received=bad, sent=bad, seed=1))
    control.write(1, 0, AREA, data)
    assert control.read(1, 0, AREA, len(data)) == data
    machine.set_datagram_faults(FaultsConfig())
    assert control.read(1, 0, AREA, len(data)) == data


def test_a_process_has_one_machine(board):
    with pytest.raises(ArgumentError, match="one a process"):
        with open_machine(given_host("127.0.96.1")):
            pass


def test_a_second_run_finds_the_cores_that_a_crash_left_running(virtual_machine):
    virtual_machine(third=97, shape="spinn3", booted=True)
    boards = given_host("127.0.97.1", version=3)
    with open_machine(boards) as control:
        control.load(IMAGE)
    with open_machine(boards) as control:
        assert len(control.cores) == 68


def test_dead_parts_of_a_triad_are_found(virtual_machine):
    dead = DeadConfig(chips=((3, 3),), links=((0, 0, 0),), cores=((9, 5, 4),))
    virtual_machine(third=98, shape="triads", booted=True, dead=dead)
    with open_machine(given_host("127.0.98.1")) as control:
        assert control.machine.n_boards == 3 and control.machine.n_chips == 143
        assert control.dead.chips == {(3, 3)}
        assert control.dead.links == {(0, 0, Link.EAST), (1, 0, Link.WEST)}
        assert [core[:2] for core in control.dead.cores] == [(9, 5)]
        everywhere = [Write(x, y, AREA, bytes([x, y, 0, 1])) for x, y, _ in control.cores[::17]]
        control.write_many(everywhere)
        reads = [Read(write.x, write.y, AREA, 4) for write in everywhere]
        assert control.read_many(reads) == [write.data for write in everywhere]
        assert len(control.ethernet) == 3


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "no-such-host.invalid"])
def test_hosts_that_cannot_be_boards_are_refused(host):
    with pytest.raises(ArgumentError, match=host):
        given_host(host)


def test_an_address_without_a_board_is_said_to_be_that():
    with pytest.raises(BoardDead, match="nothing there takes SpiNNaker's datagrams"):
        with open_machine(given_host("127.0.99.1")):
            pass


def test_a_bmp_that_is_away_is_named(virtual_machine):
    virtual_machine(third=97, shape="spinn3", powered=False)
    with pytest.raises(BoardDead, match=r"BMP 127\.0\.99\.0 does not answer"):
        with open_machine(given_host("127.0.97.1", bmp="127.0.99.0")):
            pass
