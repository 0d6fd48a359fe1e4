"""`regatta machine`: served, shown and tested from the command line; mistakes in one message."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from orchestrator.boards.hardware.allocation_server import JobState, ServerJob, ServerMachine
from orchestrator.boards.hardware.look import look
from orchestrator.boards.hardware.selftest import run as selftest_run
from orchestrator.boards.hardware.selftest.cases import every_case
from orchestrator.cli import machine_show
from orchestrator.errors import MissingToolError
from orchestrator.virtual.image import find_compiler
from orchestrator.virtual.running import RunningCores
from orchestrator.virtual.serving.configuration import VirtualMachineConfig
from orchestrator.virtual.serving.machine import VirtualMachine

SMALL = "{shape: spinn3, booted: true, base_address: 127.1.16.0}"
DEAD = """
shape: spinn3
booted: true
base_address: 127.1.17.0
dead: {links: [[0, 0, 0]], cores: [[1, 1, 17]]}
"""


@pytest.fixture
def compiler() -> None:
    """The image's compiler, and spinnman."""
    pytest.importorskip("spinnman", reason="spinnman is not installed: pip install SpiNNMan")
    try:
        find_compiler()
    except MissingToolError as error:
        pytest.skip(str(error))


@pytest.fixture
def few_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """A self-test of copies only; all cases are tested in tests/boards/selftest."""
    monkeypatch.setattr(selftest_run, "every_case", lambda: every_case()[:3])


# ---- show ----


def test_a_configuration_is_shown_though_nobody_serves_it(regatta, tmp_path) -> None:
    Path("m.yaml").write_text(DEAD)
    ended = regatta("machine", "show", "m.yaml", "--plot", "m.png", "--json", "m.json")
    assert ended.code == 0, ended.err
    assert "m: 1 board, 4 chips, 67 application cores, 7 links" in ended.out
    assert "0,0 ○17×○17" in ended.out
    assert "dead links (x, y, link): (0, 0, 0)" in ended.out
    assert "dead cores (x, y, physical number): (1, 1, 17)" in ended.out
    assert Path("m.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads(Path("m.json").read_text())
    assert found["application_cores"] == 67
    assert found["boards"][0]["address"] == "127.1.17.1"


def test_a_live_machine_is_shown_with_its_temperature(regatta) -> None:
    config = VirtualMachineConfig(shape="triads", booted=True, base_address="127.1.18.0")
    with VirtualMachine(config):
        ended = regatta(
            "machine", "show", "--host", "127.1.18.1", "--bmp", "127.1.18.0", "--slots", "0,2",
            "--json", "m.json",
        )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "127.1.18.1: 3 boards, 144 chips, 2,424 application cores, 432 links" in ended.out
    assert "○ 144 idle" in ended.out
    boards = {b["address"]: b for b in json.loads(Path("m.json").read_text())["boards"]}
    assert {address: b["temperature"] is not None for address, b in boards.items()} == {
        "127.1.18.1": True,
        "127.1.18.9": False,
        "127.1.18.17": True,
    }


def test_a_board_that_is_off_says_how_to_go_on(regatta) -> None:
    config = VirtualMachineConfig(shape="spinn3", base_address="127.1.19.0")
    with VirtualMachine(config):
        message = regatta("machine", "show", "--host", "127.1.19.1").refused(3)
    assert "off or not booted" in message
    assert "selftest" in message


class Server:
    """An allocation server with two machines, one of them with a job."""

    def __init__(self, server: str) -> None:
        self.server = server

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def machines(self) -> list[ServerMachine]:
        dead = ((1, 0, 2),)
        return [
            ServerMachine(name="big", tags=(), width=2, height=1, dead_boards=dead),
            ServerMachine(name="small", tags=(), width=1, height=1, dead_boards=()),
        ]

    def jobs(self) -> list[ServerJob]:
        boards = ((0, 0, 0), (0, 0, 1))
        ready = {"owner": "ann@example.org", "state": JobState.READY, "machine": "big"}
        queued = {"owner": "bob@example.org", "state": JobState.QUEUED, "machine": None}
        return [
            ServerJob(number=7, boards=boards, **ready),
            ServerJob(number=8, boards=(), **queued),
        ]


def test_who_has_which_boards_of_a_server(regatta, monkeypatch) -> None:
    monkeypatch.setattr(machine_show, "ServerLink", Server)
    ended = regatta(
        "machine", "show", "--spalloc", "server", "--machine", "big", "--json", "m.json"
    )
    assert ended.code == 0, ended.err
    assert "A ann@example.org (job 7)" in ended.out
    owners = {
        tuple(b["board"]): b["owner"] for b in json.loads(Path("m.json").read_text())["boards"]
    }
    assert {board for board, owner in owners.items() if owner} == {(0, 0, 0), (0, 0, 1)}
    assert len(owners) == 6
    message = regatta("machine", "show", "--spalloc", "server").refused(2)
    assert message == "spalloc server server has the machines big, small; --machine says which"
    message = regatta("machine", "show", "--spalloc", "server", "--machine", "huge").refused(2)
    assert message.endswith("--machine: huge is none of them")


# ---- serve ----


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the command in a process of its own."""
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    environment = {"PYTHONPATH": path.rstrip(os.pathsep), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "machine", *arguments],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip


def lines_until(stream: IO[str], start: str) -> list[str]:
    """Read lines up to one that starts so."""
    lines = [stream.readline()]
    while lines[-1] and not lines[-1].startswith(start):
        lines.append(stream.readline())
    return lines


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_machine_is_served_until_it_is_told_to_stop(tmp_path: Path, number: int) -> None:
    (tmp_path / "m.yaml").write_text("{shape: spinn3, booted: true, base_address: 127.1.20.0}")
    (tmp_path / "faults.yaml").write_text("{dead_links: [[0, 1, 0]]}")
    with started(tmp_path, "serve", "m.yaml", "--faults", "faults.yaml") as server:
        try:
            lines = lines_until(server.stdout, "serving")
            sight = look("127.1.20.1")
        finally:
            server.send_signal(number)
        out, err = server.communicate(timeout=60)
    assert "board 0,0,0 at 127.1.20.1, BMP 127.1.20.0\n" in lines
    assert sight is not None
    assert (0, 1, 0) in sight.dead.links
    assert (server.returncode, err) == (0, "")
    assert out.endswith("ended\n")


# ---- selftest ----


def test_a_virtual_machine_is_well(regatta, compiler, few_cases) -> None:
    Path("m.yaml").write_text(SMALL)
    ended = regatta("machine", "selftest", "m.yaml", "--chips", "0,0 1,1", "--json", "m.json")
    assert ended.code == 0, ended.err
    assert "3 cases on 34 cores of 2 chips, and 8 link ends" in ended.out
    assert ended.out.rstrip().endswith("all well")
    found = json.loads(Path("m.json").read_text())
    assert (found["cores"], found["findings"]) == (34, [])


def test_sick_parts_are_listed_and_end_with_3(regatta, compiler, few_cases) -> None:
    Path("m.yaml").write_text(DEAD)
    ended = regatta("machine", "selftest", "m.yaml", "--json", "m.json")
    assert ended.refused(3) == "the machine is not well: 1 core, 1 link"
    assert "Sick parts" in ended.out
    assert "not all well" in ended.out
    parts = {f["part"]: f["fault"] for f in json.loads(Path("m.json").read_text())["findings"]}
    assert parts == {
        "link 0 (east) of chip (0, 0)": "missing",
        "core 17 of chip (1, 1)": "missing",
    }


def test_a_core_that_traps_when_it_is_loaded_is_listed(regatta, compiler, few_cases) -> None:
    config = VirtualMachineConfig(shape="spinn3", booted=True, base_address="127.1.22.0")
    with VirtualMachine(config, open_cores=RunningCores) as machine:
        machine.trap(0, 1, 5)
        ended = regatta(
            "machine", "selftest", "--host", "127.1.22.1", "--chips", "0,1", "--json", "m.json"
        )
    assert ended.refused(3) == "the machine is not well: 1 core"
    assert "3 cases on 17 cores of 1 chip" in ended.out
    parts = {f["part"]: f["fault"] for f in json.loads(Path("m.json").read_text())["findings"]}
    assert parts == {"core 5 of chip (0, 1)": "stopped"}


def test_ctrl_c_ends_a_self_test_in_order(tmp_path: Path, compiler) -> None:
    (tmp_path / "m.yaml").write_text("{shape: spinn3, booted: true, base_address: 127.1.21.0}")
    with started(tmp_path, "selftest", "m.yaml", "--chips", "0,0") as test:
        try:
            lines = lines_until(test.stderr, "running")
        finally:
            test.send_signal(signal.SIGINT)
        out, err = test.communicate(timeout=60)
    assert lines[-1].startswith("running")
    assert (test.returncode, out) == (3, "")
    assert err == "regatta: interrupted\n"


# ---- mistakes ----


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show"], "give one of CONFIG, --host and --spalloc, not nothing"),
        (["selftest", "m.yaml", "--host", "h"], "not CONFIG and --host"),
        (["show", "absent.yaml"], "absent.yaml"),
        (["serve", "absent.yaml"], "absent.yaml"),
        (["serve", "m.yaml", "--faults", "absent.yaml"], "absent.yaml"),
        (["serve", "typo.yaml"], "shap"),
        (["serve", "outside.yaml"], "only loopback addresses"),
        (["show", "m.yaml", "--plot", "m.jpeg"], "--plot m.jpeg"),
        (["show", "m.yaml", "--machine", "big"], "--machine big: goes with --spalloc"),
        (["show", "m.yaml", "--bmp", "127.1.16.0"], "goes with --host"),
        (["show", "--host", "no.such.host.invalid"], "no.such.host.invalid"),
        (["show", "--host", f"{'h' * 70}.invalid"], "this is no host name"),
        (["show", "--host", "127.1.16.1", "--bmp", "no.such.invalid"], "BMP no.such.invalid"),
        (["show", "--host", "127.0.0.1"], "machine of its own making"),
        (["show", "m.yaml", "--slots", "1"], "--slots 1: goes with --bmp"),
        (["show", "--host", "127.1.16.1", "--bmp", "b", "--slots", "24"], "none of 0 to 23"),
        (["show", "m.yaml", "--json", "nowhere/m.json"], "nowhere does not exist"),
        (["selftest", "m.yaml", "--chips", "0;0"], "is no chip x,y"),
        (["selftest", "m.yaml", "--chips", " "], "no chip is named"),
        (["selftest", "m.yaml", "--timeout", "0"], "above 0"),
        (["selftest", "m.yaml", "--boards", "3"], "--boards 3: goes with --spalloc"),
        (["selftest", "--spalloc", "s", "--bmp", "b"], "--bmp b: goes with --host"),
        (["selftest", "--spalloc", "localhost:1"], "give --owner"),
        (["selftest", "--spalloc", "a:b:c", "--owner", "me"], "HOST or HOST:PORT"),
    ],
)
def test_mistakes_are_told_in_one_message(regatta, compiler, arguments, message) -> None:
    Path("m.yaml").write_text(SMALL)
    Path("typo.yaml").write_text("{shap: spinn3}")
    Path("outside.yaml").write_text("{shape: spinn3, base_address: 192.0.2.0}")
    assert message in regatta("machine", *arguments).refused(2)


def test_a_server_that_is_away(regatta, compiler) -> None:
    message = regatta("machine", "show", "--spalloc", "127.1.16.1:1").refused(3)
    assert "does not answer" in message
