"""What becomes of spinnman's errors, and of the logging of the program that uses us."""

import logging
import sys
from types import SimpleNamespace

import pytest

from orchestrator.boards.hardware import Boards, open_machine
from orchestrator.boards.hardware.failures import BoardDead, Refused
from orchestrator.boards.hardware.packages import load
from orchestrator.boards.hardware.spinnman_session import SpinnmanSession, described
from orchestrator.errors import MissingToolError
from orchestrator.virtual.serving.configuration import DeadConfig

exceptions = pytest.importorskip(
    "spinnman.exceptions", reason="spinnman is not installed: pip install SpiNNMan"
)


def grouped(*errors):
    """Return spinnman's error for several datagrams."""
    header = SimpleNamespace(
        get_physical_cpu_id=lambda: "",
        destination_chip_x=1,
        destination_chip_y=2,
        destination_cpu=0,
    )
    requests = [SimpleNamespace(sdp_header=header)] * len(errors)
    links = [SimpleNamespace(remote_ip_address="127.0.5.1", chip_x=0, chip_y=0)] * len(errors)
    traces = [None] * len(errors)
    return exceptions.SpinnmanGroupedProcessException(requests, errors, traces, links)


def test_silence_is_told_from_refusal_and_the_board_is_named():
    late = exceptions.SpinnmanTimeoutException("read", 1.0)
    refusal = exceptions.SpinnmanUnexpectedResponseCodeException("read", "Read", "RC_ARG")
    silent, text = described(grouped(late, late))
    assert silent and text.endswith(
        "sending to board 127.0.5.1 with ethernet chip 0:0 [1:2:0()] and 1 more"
    )
    assert "\n" not in text and "Stack" not in text
    assert not described(grouped(late, refusal))[0]
    one = exceptions.SpinnmanGenericProcessException(late, None, 3, 4, 0, "")
    silent, text = described(one)
    assert silent and "3:4:0" in text
    assert described(late)[0]
    assert described(exceptions.SpinnmanIOException("no such thing")) == (
        False,
        "IO Error: no such thing",
    )


def test_a_session_leaves_logging_as_it_was(virtual_machine, capfd):
    virtual_machine(third=106, shape="spinn3", booted=True)
    root = logging.getLogger()
    before = list(root.handlers), root.level
    with SpinnmanSession(Boards(host="127.0.106.1"), 3) as session:
        session.connect_boards({})
        assert len(list(session.discover().chips)) == 4
    assert (list(root.handlers), root.level) == before
    assert capfd.readouterr() == ("", "")


def test_a_session_that_does_not_open_leaves_room_for_the_next(virtual_machine):
    machine = virtual_machine(third=106, shape="spinn3", booted=True)
    with pytest.raises(BoardDead):
        with SpinnmanSession(Boards(host="127.0.106.1"), 3) as session:
            machine.silence((0, 0, 0))
            session.stop(16)
    machine.silence((0, 0, 0), False)
    with SpinnmanSession(Boards(host="127.0.106.1"), 3) as session:
        session.stop(16)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("spinnman.no_such", "SpiNNMan"),
        ("spinn_machine.no_such", "SpiNNMan"),
        ("spalloc_client.no_such", "spalloc"),
    ],
)
def test_a_missing_package_is_named_with_how_to_get_it(module, name):
    with pytest.raises(MissingToolError, match=rf"{name} .*pip install 'regatta\[hardware\]'"):
        load(module)


def test_without_spinnman_no_machine_is_touched(monkeypatch):
    monkeypatch.setitem(sys.modules, "spinnman", None)
    with pytest.raises(MissingToolError, match="SpiNNMan boots and loads"):
        with open_machine(Boards(host="127.0.106.1")):
            pass


def test_a_machine_that_spinnman_does_not_understand_is_said_to_be_that(virtual_machine):
    dead = DeadConfig(chips=((8, 4),))  # an Ethernet chip
    virtual_machine(third=106, shape="triads", booted=True, dead=dead)
    with pytest.raises(Refused, match="spinnman does not take what the machine at 127.0.106.1"):
        with open_machine(Boards(host="127.0.106.1")):
            pass
