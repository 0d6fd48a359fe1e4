import socket
import threading

import pytest
from boards import request

from orchestrator.errors import ArgumentError, ConfigError, RunError
from orchestrator.machine.links import Link
from orchestrator.virtual.monitor.cores import StateCores
from orchestrator.virtual.serving.configuration import (
    VirtualMachineConfig,
    board_places,
    load_virtual_machine,
    parse_virtual_machine,
)
from orchestrator.virtual.serving.machine import VirtualMachine

SIX_BOARDS = """
shape: triads
triads: [2, 1]
torus: [true, false]
base_address: 127.0.171.0
boards_per_frame: 3
booted: true
dead: {boards: [[1, 0, 2]], chips: [[3, 4]], cores: [[0, 0, 17]], links: [[1, 1, 5]],
       cables: [[0, 0, 0, 1]]}
"""


def test_a_machine_is_read(tmp_path):
    path = tmp_path / "machine.yaml"
    path.write_text(SIX_BOARDS)
    config = load_virtual_machine(path)
    machine = config.machine()
    assert machine.n_boards == 5 and (machine.width, machine.height) == (24, 16)
    assert not machine.cores[3, 4] and machine.cores[0, 0] == 17
    assert not machine.links[1, 1, Link.SOUTH] and not machine.links[1, 0, Link.NORTH]


def test_addresses_are_spalloc_s():
    places = board_places(parse_virtual_machine(SIX_BOARDS))
    assert [(p.board, p.frame, p.slot, p.address, p.bmp_address) for p in places[2:5]] == [
        ((0, 0, 2), 0, 2, "127.0.171.17", "127.0.171.0"),
        ((1, 0, 0), 1, 0, "127.0.172.1", "127.0.172.0"),
        ((1, 0, 1), 1, 1, "127.0.172.9", "127.0.172.0"),
    ]
    config = VirtualMachineConfig(shape="triads", triads=(4, 3))
    assert len({place.address for place in board_places(config)}) == 36
    assert {place.bmp_address for place in board_places(config)} == {"127.0.64.0", "127.0.65.0"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{shapes: spinn5}", "shapes: unknown key (did you mean shape?)"),
        ("{shape: spinn4}", "one of spinn3, spinn5, triads"),
        ("{shape: spinn5, triads: [2, 1]}", "triads: [2, 1] is of use with shape triads only"),
        ("{shape: triads, triads: [0, 1]}", "out of range"),
        ("{booted: true, powered: false}", "powered is false"),
        ("{base_address: 127.0.0.0}", "127.0.0.1, which spinnman takes"),
        ("{base_address: 127.0.64.8}", "does not end in .0"),
        ("{base_address: here}", "no IPv4 address"),
        ("{shape: triads, triads: [9, 1], base_address: 255.255.255.0}", "too few addresses"),
        ("{dead: {links: [[0, 0, 6]]}}", "link 6 is not one of 0 to 5"),
        ("{dead: {chips: [[0]]}}", "dead.chips[0]"),
        ("{boot_ms: -1}", "boot_ms"),
        ("5", "the virtual machine: '5' is not a mapping of shape, triads"),
    ],
)
def test_what_cannot_be_served(text, message):
    with pytest.raises(ConfigError) as raised:
        parse_virtual_machine(text)
    assert message in str(raised.value)


def test_dead_parts_must_exist():
    for dead in ("{chips: [[8, 0]]}", "{boards: [[0, 0, 1]]}", "{boards: [[0, 0, 0]]}"):
        config = parse_virtual_machine(f"{{shape: spinn5, dead: {dead}}}")
        with pytest.raises(ArgumentError, match="dead parts"):
            VirtualMachine(config)


def test_only_loopback_is_served_unless_allowed():
    config = VirtualMachineConfig(base_address="192.0.2.0")  # nobody's: documentation only
    with pytest.raises(ArgumentError, match="only loopback addresses"):
        VirtualMachine(config)
    with pytest.raises(RunError, match=r"on 192\.0\.2\.1.*has to be this computer's"):
        VirtualMachine(config, beyond_loopback=True)


def test_two_machines_cannot_have_one_address():
    config = VirtualMachineConfig(base_address="127.0.173.0")
    with VirtualMachine(config):
        with pytest.raises(RunError, match="change base_address"):
            VirtualMachine(config)
    with VirtualMachine(config):
        pass  # it is free again


class Broken(StateCores):
    """Cores with a planted mistake."""

    def deliver(self, x, y, message):
        raise ZeroDivisionError("planted")


class Failing(StateCores):
    """Cores that fail as soon as they run."""

    def poll(self, seconds):
        raise RunError("no core can run")


def test_a_mistake_in_a_handler_is_told_and_serving_goes_on():
    config = VirtualMachineConfig(shape="spinn3", base_address="127.0.174.0", booted=True)
    events = []
    with pytest.raises(RunError, match="1 mistakes .* ZeroDivisionError: planted"):
        with VirtualMachine(config, open_cores=Broken, report=events.append) as machine:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
                opened.connect((machine.places[0].address, 17893))
                opened.settimeout(5)
                to_core = bytearray(request(0, 0, 0))
                to_core[4] = 1 << 5 | 3
                opened.send(bytes(to_core))
                opened.send(request(0, 0, 0))
                assert opened.recv(512), "it goes on serving"
    assert any("ZeroDivisionError: planted" in event for event in events)


def test_cores_that_fail_end_serving_with_their_error():
    config = VirtualMachineConfig(shape="spinn3", base_address="127.0.174.0", booted=True)
    failed = threading.Event()

    def report(text):
        if "no core can run" in text:
            failed.set()

    with pytest.raises(RunError, match="^no core can run$"):
        with VirtualMachine(config, open_cores=Failing, report=report):
            assert failed.wait(10)
    with pytest.raises(RunError, match="^no core can run$"):
        VirtualMachine(config, open_cores=Failing).serve()
