"""Jobs through the real spalloc_server, whose BMPs and boards are virtual."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.boards.hardware import allocated, open_machine
from orchestrator.boards.hardware.allocation_server import JobState, ServerLink
from orchestrator.boards.hardware.failures import ServerAway
from orchestrator.errors import ArgumentError
from orchestrator.virtual.serving.board import BoardState
from orchestrator.virtual.serving.configuration import parse_virtual_machine
from orchestrator.virtual.serving.machine import VirtualMachine

pytest.importorskip("spalloc_client", reason="spalloc is not installed: pip install spalloc")
pytest.importorskip("spinnman", reason="spinnman is not installed: pip install SpiNNMan")

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "launch" / "spalloc_server.sh"
INSTALLED = ROOT / ".venv-spalloc" / "bin" / "spalloc-server"

SIX_BOARDS = """
shape: triads
triads: [2, 1]
base_address: 127.0.104.0
boards_per_frame: 3
powered: false
"""

HOLDER = """
import sys, time
from orchestrator.boards.hardware import allocated
with allocated(sys.argv[1], 1, owner="crash", keepalive_s=2.0):
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def machine():
    """Six boards of 48 chips that are off, in two frames."""
    with VirtualMachine(parse_virtual_machine(SIX_BOARDS)) as started:
        yield started


@pytest.fixture(scope="module")
def server(machine, tmp_path_factory):
    """The real server's name."""
    if not INSTALLED.exists():
        pytest.skip(f"spalloc_server is not installed: launch/{SCRIPT.name} --install")
    folder = tmp_path_factory.mktemp("spalloc")
    config = folder / "six.yaml"
    config.write_text(SIX_BOARDS)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    python = Path(sys.executable).parent
    environment = {
        **os.environ,
        "REGATTA_CACHE": str(folder),
        "PATH": f"{python}{os.pathsep}{os.environ['PATH']}",
    }
    log = (folder / "log").open("w")
    process = subprocess.Popen(
        [SCRIPT, config, "--port", str(port)], env=environment, stdout=log, stderr=log
    )
    name = f"127.0.0.1:{port}"
    try:
        end = time.monotonic() + 60
        while True:
            try:
                with ServerLink(name):
                    break
            except ServerAway:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < end
                time.sleep(0.1)
        yield name
    finally:
        process.terminate()
        process.wait()
        log.close()


def powered(machine):
    """Return which boards are not off."""
    found = machine.call(
        lambda: {place: board.state for place, board in machine.installation.boards.items()}
    )
    return {board for board, state in found.items() if state is not BoardState.OFF}


def until(condition):
    """Wait for something that the server does."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("n_boards", "size", "n_chips"), [(1, (8, 8), 48), (3, (16, 12), 144), (6, (24, 12), 288)]
)
def test_boards_are_switched_on_boot_and_are_given_back(machine, server, n_boards, size, n_chips):
    assert powered(machine) == set()
    with allocated(server, n_boards, owner="test") as job:
        assert len(powered(machine)) == n_boards
        assert job.boards.size == size and len(job.boards.connections) == n_boards
        with open_machine(job.boards, job=job) as control:
            assert (control.machine.width, control.machine.height) == size
            assert control.machine.n_chips == n_chips and control.machine.n_boards == n_boards
            assert not control.dead.links and not control.dead.chips and not control.dead.cores
            x, y, _ = control.cores[-1]
            control.write(x, y, 0x61000000, b"far away")
            assert control.read(x, y, 0x61000000, 8) == b"far away"
    until(lambda: powered(machine) == set())


def test_a_job_waits_in_the_queue_until_boards_are_free(machine, server):
    shown = []
    with ServerLink(server) as link:
        all_boards = link.create_job((2, 1), {"owner": "first", "keepalive": None})
        until(lambda: link.state(all_boards)[0] is JobState.READY)

        def show(text):
            shown.append(text)
            if "place 1 in the queue" in text:
                link.destroy(all_boards, "make room")

        with allocated(server, 1, owner="second", on_state=show) as job:
            assert [text.partition(": ")[2] for text in shown][:2] == [
                "place 1 in the queue",
                "boards are being switched on",
            ]
            owners = {(found.number, found.owner) for found in link.jobs()}
            assert owners == {(job.number, "second")}


def test_boards_of_a_process_that_crashes_are_given_back(machine, server):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, server],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process, ServerLink(server) as link:
        assert process.stdout.readline() == "ready\n"
        assert [job.owner for job in link.jobs()] == ["crash"]
        assert len(powered(machine)) == 1
        process.send_signal(signal.SIGKILL)
        until(lambda: link.jobs() == [])
    until(lambda: powered(machine) == set())


def test_more_boards_than_there_are_cannot_be_had(server):
    with pytest.raises(ArgumentError, match=r"cannot give 7 boards.*six with 6 boards"):
        with allocated(server, 7, owner="test"):
            pass
