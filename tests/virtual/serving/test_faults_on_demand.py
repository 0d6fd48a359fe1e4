"""Faults by plan and by call, without sockets and through them."""

import socket
from fractions import Fraction

import pytest
from boards import Boards, request

from orchestrator.errors import ArgumentError, ConfigError
from orchestrator.machine.links import Link
from orchestrator.virtual.serving.configuration import VirtualMachineConfig
from orchestrator.virtual.serving.faults import (
    DatagramFaults,
    DatagramFaultsConfig,
    FaultsConfig,
    LossyLinkConfig,
    load_faults,
)
from orchestrator.virtual.serving.machine import VirtualMachine
from orchestrator.wire.datagrams import decode_reply, decode_sdp
from orchestrator.wire.numbers import Command, CoreState, Result

B0 = (0, 0, 0)
PLAN = """
seed: 7
received: {loss: 0.05, reordering: 1/10, reorder_ms: 20}
sent: {duplication: 0.5, delay_ms: 3}
after_ms: 300
silent_boards: [[0, 0, 2]]
dead_chips: [[1, 1]]
dead_links: [[2, 2, 0]]
lossy_links: [{x: 3, y: 2, link: 2, loss: 1}]
trapped_cores: [[0, 1, 5]]
"""


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "faults.yaml").write_text(PLAN)
    return load_faults(tmp_path / "faults.yaml")


def test_a_plan_is_read(plan):
    assert plan.received == DatagramFaultsConfig(
        loss=Fraction(1, 20), reordering=Fraction(1, 10), reorder_ms=20
    )
    assert plan.lossy_links == (LossyLinkConfig(x=3, y=2, link=2, loss=Fraction(1)),)
    assert plan.trapped_cores == ((0, 1, 5),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{recieved: {}}", "did you mean received"),
        ("{received: {loss: 1.5}}", "loss: 1.5 is out of range"),
        ("{dead_links: [[0, 0, 6]]}", "link 6 of chip (0, 0)"),
        ("{trapped_cores: [[0, 0, 18]]}", "core 18 of chip (0, 0) is not 1 to 17"),
        ("{lossy_links: [{x: 0, y: 0, link: 1}]}", "loss: missing"),
        ("[", "not valid YAML"),
    ],
)
def test_a_plan_that_cannot_be(tmp_path, text, message):
    path = tmp_path / "faults.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_faults(path)
    assert message in str(raised.value) and str(path) in str(raised.value)


def test_a_plan_happens_after_each_boot(plan):
    boards = Boards("{shape: triads}", faults=plan)
    for _ in range(2):
        boards.boot(B0)
        info = Command.INFO
        assert boards.ask(B0, 3, 2, Command.LINK_READ, 0x60000000, 4, 2)[0] == Result.TIMEOUT
        assert boards.ask(B0, 1, 1, info)[0] == Result.OK
        boards.wait(0.5)
        assert boards.ask(B0, 1, 1, info) == (Result.ROUTE, b"")
        assert boards.ask(B0, 2, 2, Command.LINK_READ, 0x60000000, 4, 0)[0] == Result.TIMEOUT
        assert boards.ask((0, 0, 2), 255, 255, Command.VERSION) is None
        assert boards.ask((0, 0, 1), 255, 255, Command.VERSION)[0] == Result.OK
        boards.ask(B0, 0, 1, Command.APPLICATION_RUN, 30 << 24 | 1 << 5)
        states = boards.boards[B0].machine.chip((0, 1)).states()
        assert states[5] == CoreState.RUN_TIME_ERROR
        boards.installation.silence((0, 0, 2), False)
        boards.power(True, 0, 1, 2)


def test_a_plan_of_a_machine_that_is_gone_does_nothing(plan):
    boards = Boards("{shape: triads}", faults=plan)
    boards.boot(B0)
    boards.power(True, 0, 1, 2)
    boards.wait(1.0)
    assert not boards.boards[(0, 0, 2)].silent


def test_faults_need_not_be_in_a_booted_board():
    boards = Boards("{shape: spinn5}")
    boards.installation.kill_chip((3, 3))
    boards.boot(B0)
    assert boards.ask(B0, 3, 3, Command.INFO)[0] == Result.OK
    with pytest.raises(ArgumentError, match="no board"):
        boards.installation.silence((0, 0, 1), True)
    with pytest.raises(ArgumentError, match="no working chip"):
        boards.installation.kill_chip((7, 0))


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        (FaultsConfig(silent_boards=((0, 0, 1),)), "no board (0, 0, 1)"),
        (FaultsConfig(dead_chips=((8, 0),)), "no working chip (8, 0)"),
        (FaultsConfig(dead_links=((0, 7, 0),)), "no working chip (0, 7)"),
        (FaultsConfig(lossy_links=(LossyLinkConfig(x=9, y=0, link=0, loss=1),)), "(9, 0)"),
        (FaultsConfig(trapped_cores=((1, 1, 3),)), "no working chip (1, 1)"),
    ],
)
def test_faults_of_parts_that_do_not_exist_are_refused(faults, message):
    with pytest.raises(ArgumentError) as raised:
        Boards("{shape: spinn5, dead: {chips: [[1, 1]]}}", faults=faults)
    assert message in str(raised.value)


def test_the_same_seed_meets_the_same_datagrams():
    config = DatagramFaultsConfig(loss="0.2", duplication="0.3", reordering="0.1", delay_ms=4)
    first, again, other = (DatagramFaults(config, seed) for seed in (5, 5, 6))
    drawn = [first.delays() for _ in range(2000)]
    assert drawn == [again.delays() for _ in range(2000)]
    assert drawn != [other.delays() for _ in range(2000)]
    assert 300 < sum(not copies for copies in drawn) < 500
    assert 400 < sum(len(copies) == 2 for copies in drawn) < 560
    held = [delay for copies in drawn for delay in copies if delay == 0.005]
    assert 130 < len(held) < 300
    assert all(0 <= delay <= 0.005 for copies in drawn for delay in copies)


@pytest.fixture(scope="module")
def machine():
    config = VirtualMachineConfig(shape="triads", base_address="127.0.169.0", booted=True)
    with VirtualMachine(config) as serving:
        yield serving


@pytest.fixture
def client(machine):
    """Ask over a socket: client(x, y, command, ...) -> all answers within a quarter of a second."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.connect((machine.places[0].address, 17893))

    def ask(*arguments, times=1, wait=0.25):
        for _ in range(times):
            opened.send(request(*arguments))
        answers = []
        opened.settimeout(wait)
        try:
            while len(answers) < 2 * times:
                answers.append(decode_reply(decode_sdp(opened.recv(512)).data)[::2])
        except TimeoutError:
            pass
        return answers

    yield ask
    machine.set_datagram_faults(FaultsConfig())
    opened.close()


def test_datagrams_get_lost_and_doubled_over_sockets(machine, client):
    assert len(client(0, 0, Command.VERSION)) == 1
    everything = DatagramFaultsConfig(loss=1)
    machine.set_datagram_faults(FaultsConfig(received=everything))
    assert client(0, 0, Command.VERSION) == []
    machine.set_datagram_faults(FaultsConfig(sent=everything))
    assert client(0, 0, Command.VERSION) == []
    machine.set_datagram_faults(FaultsConfig(received=DatagramFaultsConfig(duplication=1)))
    assert len(client(0, 0, Command.VERSION, wait=1)) == 2


def test_delayed_datagrams_come_late_but_come(machine, client):
    late = DatagramFaultsConfig(reordering="0.5", reorder_ms=30)
    machine.set_datagram_faults(FaultsConfig(received=late, sent=late, seed=3))
    assert len(client(0, 0, Command.VERSION, times=20, wait=0.5)) == 20


def test_faults_at_run_time(machine, client):
    machine.kill_chip(4, 4)
    machine.kill_link(2, 2, Link.NORTH)
    machine.set_link_loss(1, 0, Link.NORTH, 1.0)
    machine.trap(3, 3, 2)
    read = Command.LINK_READ
    assert client(4, 4, Command.INFO) == [(Result.ROUTE, b"")]
    assert client(2, 2, read, 0x60000000, 4, 2)[0][0] == Result.TIMEOUT
    assert client(1, 0, read, 0x60000000, 4, 2)[0][0] == Result.TIMEOUT
    assert client(1, 1, read, 0x60000000, 4, 5)[0][0] == Result.OK
    machine.silence(B0)
    assert client(0, 0, Command.VERSION) == []
    machine.silence(B0, False)
    assert client(0, 0, Command.VERSION)[0][0] == Result.OK
