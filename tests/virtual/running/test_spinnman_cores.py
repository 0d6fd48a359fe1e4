"""Unmodified spinnman loads programs on a virtual 4-chip board, and they run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from programs import assemble_program
from test_packets import receiver, sender

from orchestrator.virtual.image import Image, aplx
from orchestrator.virtual.running import RunningCores
from orchestrator.virtual.serving.configuration import VirtualMachineConfig
from orchestrator.virtual.serving.machine import VirtualMachine
from orchestrator.virtual.tasks import Copy, tape

CLIENT = Path(__file__).with_name("spinnman_cores.py")


@pytest.fixture(scope="module")
def found(image: Image, tmp_path_factory: pytest.TempPathFactory) -> dict:
    pytest.importorskip("spinnman", reason="spinnman is not installed: pip install SpiNNMan")
    folder = tmp_path_factory.mktemp("programs")
    (folder / "image.aplx").write_bytes(image.binary)
    (folder / "tape.bin").write_bytes(tape([Copy(source=0x60320000, target=0x60330000, bytes=16)]))
    for name, source in (("sender", sender(10)), ("receiver", receiver())):
        work = tmp_path_factory.mktemp(name)
        (folder / f"{name}.aplx").write_bytes(aplx(assemble_program(source, work).segments))
    config = VirtualMachineConfig(shape="spinn3", base_address="127.0.80.0", booted=True)
    with VirtualMachine(config, open_cores=RunningCores) as machine:
        done = subprocess.run(
            [sys.executable, CLIENT, machine.places[0].address, folder],
            capture_output=True,
            text=True,
            timeout=240,
            cwd=folder,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    results: dict = json.loads(done.stdout.splitlines()[-1])
    return results


def test_all_cores_follow_the_signals(found: dict) -> None:
    n = found["cores"]
    assert 64 <= n <= 68
    assert found["states"] == [[n, 0, 0, 0], [0, n, 0, 0], [0, 0, n, 0], [0, n, 0, 0]]


def test_tapes_run_where_they_are_given(found: dict) -> None:
    assert found["tapes"] == ["chip 0, 0!!     ", "chip 1, 1!!     "]


def test_messages_come_back_from_cores(found: dict) -> None:
    assert found["sdp"] == [[[0, 0, 1], "core 1"], [[1, 0, 16], "core 16"]]


def test_an_error_is_shown_with_registers_and_text(found: dict) -> None:
    name, register, code, text, others = found["error"]
    assert name == "SWERR"
    assert register == code == 0x102
    assert text.startswith("error 0x00000102 at 0x0000") and text.endswith("\n")
    assert others == found["cores"] - 1


def test_exit_and_stop(found: dict) -> None:
    ended, idle = found["stop"]
    assert ended == [0, 0, 0, found["cores"] - 1]
    assert idle == found["cores"]


def test_packets_cross_chips_by_the_tables_that_spinnman_loads(found: dict) -> None:
    words, sent, got = found["multicast"]
    assert words == [w for i in range(10) for w in (0x42000000 + i, 0x42000007 + i)]
    assert sent == got == 10


def test_an_image_that_does_not_fit_is_shown(found: dict) -> None:
    name, registers = found["bad_image"]
    assert name == "DABT"
    assert registers[0] == 2 and registers[3] == 0x8000
