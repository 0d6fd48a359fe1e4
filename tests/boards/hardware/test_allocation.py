"""Allocation against a scripted server: queue, loss, refusal, a server that comes and goes."""

import os
import signal
import time

import pytest
from scripted_allocator import ScriptedAllocator

from orchestrator.boards.hardware import allocated
from orchestrator.boards.hardware.allocation import Job
from orchestrator.boards.hardware.allocation_server import ServerLink, host_and_port
from orchestrator.boards.hardware.failures import JobLost, ServerAway
from orchestrator.errors import ArgumentError

pytest.importorskip("spalloc_client", reason="spalloc is not installed: pip install spalloc")


def until(condition):
    """Wait for something that another thread does."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_way_to_the_boards_is_shown_and_they_are_given_back():
    shown = []
    with ScriptedAllocator(states=[1, 1, 2, 3], queue=[3, 5, 7]) as server:
        with allocated(server.name, 2, owner="me", on_state=shown.append) as job:
            boards = job.boards
            job.check()
        assert server.commands()[0] == "create_job"
        assert server.commands()[-1] == "destroy_job"
        assert server.asked[-1][1] == [7]
    assert boards.host == "127.0.120.1" and boards.size == (16, 16)
    assert boards.connections == {(0, 0): "127.0.120.1", (8, 4): "127.0.120.9"}
    assert [text.partition(": ")[2] for text in shown] == [
        "place 3 in the queue",
        "boards are being switched on",
        "2 boards of scripted are ready, 16 x 16 chips, the first at 127.0.120.1",
    ]


def test_a_server_that_restarts_is_waited_for():
    shown = []
    with ScriptedAllocator(states=[2, 2, 2, 3]) as server:

        def show(text):
            shown.append(text.partition(": ")[2])
            if len(shown) == 1:
                server.drop()

        with allocated(server.name, 2, owner="me", on_state=show):
            pass
    assert shown[1] == "the server is away, asking again"
    assert shown[-1].startswith("2 boards of scripted are ready")


def test_a_server_that_stays_away_is_an_error():
    with ScriptedAllocator(states=[2]) as server:

        def show(text):
            if "switched on" in text:
                server.__exit__()

        with pytest.raises(ServerAway, match="does not answer"):
            with allocated(server.name, 2, owner="me", keepalive_s=0.3, on_state=show):
                pass


@pytest.mark.parametrize("what", [3, (2, 1), (0, 0, 2)])
def test_requests_say_what_is_wanted(what):
    with ScriptedAllocator() as server:
        with allocated(server.name, what, owner="me", tags=["big"], keepalive_s=90):
            pass
        command, args, settings = server.asked[0]
    assert command == "create_job" and args == ([what] if isinstance(what, int) else list(what))
    assert settings["owner"] == "me" and settings["tags"] == ["big"]
    assert settings["keepalive"] == 90 and settings["machine"] is None
    assert settings["require_torus"] is False  # the server trips over None


def test_boards_that_no_machine_has_are_refused_with_what_there_is():
    with ScriptedAllocator(states=[4], reason="Cancelled: none") as server:
        with pytest.raises(ArgumentError) as caught:
            with allocated(server.name, 100, owner="me"):
                pass
        assert server.commands()[-1] == "destroy_job"
    assert "cannot give 100 boards (Cancelled: none)" in str(caught.value)
    assert "scripted with 5 boards" in str(caught.value)


def test_a_job_that_ends_while_boards_are_switched_on_is_lost():
    with ScriptedAllocator(states=[2, 4], reason="bad FPGA") as server:
        with pytest.raises(JobLost, match=r"job 7 while its boards were switched on \(bad FPGA\)"):
            with allocated(server.name, 1, owner="me"):
                pass


def test_a_job_that_ends_later_is_lost():
    with ScriptedAllocator(states=[3, 4], reason="stolen") as server:
        with allocated(server.name, 1, owner="me") as job:
            with pytest.raises(JobLost, match=r"has ended job 7 \(stolen\)"):
                job.check()


def test_what_the_server_refuses_is_said():
    with ScriptedAllocator() as server:
        with pytest.raises(ArgumentError, match="refuses: not you"):
            with allocated(server.name, 1, owner="refused"):
                pass


def test_a_server_that_is_away_is_named():
    with ScriptedAllocator() as server:
        name = server.name
    with pytest.raises(ServerAway, match=f"spalloc server {name} does not answer"):
        with allocated(name, 1, owner="me"):
            pass


def test_a_job_outlives_a_server_that_breaks_off_and_comes_back():
    with ScriptedAllocator() as server:
        port = server.port
        job = Job(server.name, 7, keepalive_s=0.15)
        until(lambda: server.commands().count("job_keepalive") > 2)
        server.drop()
        seen = len(server.asked)
        until(lambda: server.commands()[seen:].count("job_keepalive") > 2)
    with pytest.raises(ServerAway):
        job.check()
    with ScriptedAllocator(port=port) as server:
        until(lambda: server.commands().count("job_keepalive") > 2)
        job.release()
        assert server.commands()[-1] == "destroy_job"
        job.release()
        assert server.commands().count("destroy_job") == 1


def test_an_error_gives_the_boards_back():
    with ScriptedAllocator() as server:
        with pytest.raises(ZeroDivisionError):
            with allocated(server.name, 1, owner="me"):
                raise ZeroDivisionError
        assert server.commands()[-1] == "destroy_job"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_kill_gives_the_boards_back(number):
    with ScriptedAllocator() as server:
        with pytest.raises(SystemExit) as caught:
            with allocated(server.name, 1, owner="me"):
                os.kill(os.getpid(), number)
                time.sleep(20)
        assert caught.value.code == 128 + number
        assert server.commands()[-1] == "destroy_job"
    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"boards": 0}, "boards is 0"),
        ({"boards": (1, 0)}, "triads as"),
        ({"boards": (0, -1, 0)}, "board"),
        ({"boards": (1, 1, 1, 1)}, "boards is"),
        ({"machine": "a", "tags": ["b"]}, "one of the two"),
        ({"owner": ""}, "owner is empty"),
        ({"keepalive_s": 0}, "keepalive_s is 0"),
        ({"server": "host:0"}, "HOST:PORT"),
    ],
)
def test_requests_that_make_no_sense_are_refused(settings, message):
    arguments = {"server": "127.0.0.1:9", "boards": 1, "owner": "me"} | settings
    with pytest.raises(ArgumentError, match=message):
        with allocated(**arguments):
            pass


def test_names_of_servers():
    assert host_and_port("spalloc.example") == ("spalloc.example", 22244)
    assert host_and_port("127.0.0.1:22299") == ("127.0.0.1", 22299)
    for wrong in ("", ":1", "host:", "host:x", "host:65536"):
        with pytest.raises(ArgumentError, match="port 1 to 65535"):
            host_and_port(wrong)


def test_what_a_server_has_can_be_listed():
    with ScriptedAllocator(queue=[4]) as server, ServerLink(server.name) as link:
        (job,) = link.jobs()
        assert (job.number, job.owner, job.machine, job.boards) == (4, "x", None, ())
        (machine,) = link.machines()
        assert (machine.name, machine.tags, machine.n_boards) == ("scripted", ("default",), 5)
