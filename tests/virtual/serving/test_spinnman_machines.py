"""Unmodified spinnman on a 4-chip board, on three boards with dead parts, and at boot."""

import subprocess
import sys
from pathlib import Path

import pytest
from talking_cores import SUBJECTS, TalkingCores

from orchestrator.virtual.monitor.cores import StateCores
from orchestrator.virtual.serving.configuration import DeadConfig, VirtualMachineConfig
from orchestrator.virtual.serving.machine import VirtualMachine

DEAD = DeadConfig(
    chips=((3, 3), (9, 9)), links=((0, 0, 0), (7, 3, 0)), cores=((5, 5, 4), (5, 5, 9))
)


@pytest.fixture(scope="module")
def four_chips(spinnman):
    config = VirtualMachineConfig(shape="spinn3", base_address="127.0.166.0", booted=True)
    with VirtualMachine(config, open_cores=TalkingCores) as machine:
        place = machine.places[0]
        found = spinnman([*SUBJECTS, "bmp"], place.address, version=3, bmp=place.bmp_address)
        boards = machine.installation.boards.values()
        states = machine.call(lambda: [(board.state.value, board.leds) for board in boards])
        yield {**found, "boards": states}


def test_a_four_chip_board(four_chips):
    machine = four_chips["discovery"]
    assert machine["size"] == [2, 2] and len(machine["cores"]) == 4
    assert four_chips["memory"][:4] == [True, True, 0x12345678, True]
    assert four_chips["load"]["cores"] == 68 and four_chips["load"]["copied"]
    assert four_chips["stop"] == [[0, 0, 0], 68]


def test_bmp(four_chips):
    bmp = four_chips["bmp"]
    assert bmp["version"] == ["BC&MP", [2, 1, 2]]
    assert bmp["volts"] == [1.2, 1.8, 3.3] and bmp["supply"] == 12
    assert bmp["warm"] > 30
    assert bmp["fpga"] == [0, 1, 2] and bmp["stop"] == 1 and bmp["open again"] == 0
    # What spinnman 7.4.1 makes of the answers to power and FPGA writes, which were obeyed.
    assert bmp["POWER_OFF"] == bmp["POWER_ON"] == "TypeError"
    assert bmp["write"].startswith("TypeError")
    assert four_chips["boards"] == [("powered", 0b10000001)]


@pytest.fixture(scope="module")
def three_boards(spinnman):
    config = VirtualMachineConfig(
        shape="triads", base_address="127.0.167.0", booted=True, dead=DEAD
    )
    with VirtualMachine(config, open_cores=TalkingCores) as machine:
        place = machine.places[0]
        return spinnman([*SUBJECTS, "bmp"], place.address, bmp=place.bmp_address)


def test_dead_parts_of_three_boards_are_found(three_boards):
    found = three_boards["discovery"]
    assert found["size"] == [12, 12]
    assert found["ethernets"] == {
        "127.0.167.1": [0, 0],
        "127.0.167.9": [8, 4],
        "127.0.167.17": [4, 8],
    }
    assert len(found["cores"]) == 142
    assert "3,3" not in found["cores"] and "9,9" not in found["cores"]
    assert found["cores"]["5,5"] == 16
    links = {tuple(link) for link in found["links"]}
    for x, y, link in ((0, 0, 0), (1, 0, 3), (7, 3, 0), (8, 3, 3), (2, 2, 1), (4, 4, 4)):
        assert (x, y, link) not in links
    # Each dead chip had six links, and two more are dead: 432 were there, each with two ends.
    assert len(links) == 2 * (432 - 6 - 6 - 2)


def test_a_program_reaches_all_cores_of_three_boards(three_boards):
    load = three_boards["load"]
    assert load["copied"] and load["monitors"] == 142
    assert load["steps"][-1] == [0, 0, load["cores"]]
    assert three_boards["stop"] == [[0, 0, 0], load["cores"]]
    assert three_boards["odds_and_ends"]["p2p"]


@pytest.mark.parametrize("shape", ["four_chips", "three_boards"])
def test_all_machines_answer_as_a_board_does(shape, request):
    found = request.getfixturevalue(shape)
    assert found["version"] == ["SC&MP", [4, 0, 0], 1, 1, 0]
    assert found["memory"][:4] == [True, True, 0x12345678, True]  # of the last chip
    assert found["neighbour"] == [True, "over the link..."]
    assert found["allocation"]["after stop"]
    assert found["routes"]["same"] and found["routes"]["freed"] == 1023
    assert found["diagnostics"] == [100, 115, True, 0, None]
    assert found["load"]["iobuf"][0] == "core 3 of chip 0, 0 ?\n"
    assert found["tags"]["echoed"] == "by a reverse tag" and found["tags"]["from"]
    assert found["tags"]["stripped"] == "by a tag" and found["tags"]["left"] == []
    assert found["sdp"][0::2] == [[0, 0, 1], [1, 1, 16]]
    assert found["other_loads"] == [[0, 2, 0], [0, 2, 0], True]
    assert found["bmp"]["version"] == ["BC&MP", [2, 1, 2]]


def test_spinnman_boots_a_board(spinnman):
    config = VirtualMachineConfig(shape="spinn5", base_address="127.0.168.0", boot_ms=2500)
    events = []
    with VirtualMachine(config, open_cores=StateCores, report=events.append) as machine:
        found = spinnman(["version", "discovery"], machine.places[0].address)
        chip = machine.call(lambda: machine.installation.machines[0].chip((0, 0)))
        variables = chip.boot.variables
    assert found["version"][:2] == ["SC&MP", [4, 0, 0]]
    assert len(found["discovery"]["cores"]) == 48
    assert events == ["board (0, 0, 0) booted: 8 x 8, 48 chips, 1 board"]
    assert variables[0x0A] == 5  # the hardware version that spinnman put into the image


def test_twenty_four_boards_are_found(spinnman):
    config = VirtualMachineConfig(
        shape="triads", triads=(4, 2), base_address="127.0.175.0", booted=True
    )
    with VirtualMachine(config) as machine:
        found = spinnman(["discovery"], machine.places[0].address)["discovery"]
    assert found["size"] == [48, 24]
    assert len(found["cores"]) == 1152 and len(found["ethernets"]) == 24
    assert len(found["links"]) == 2 * 3 * 1152


MEMORY = """
import resource
from boards import Boards
from orchestrator.wire.numbers import Command
boards = Boards("{shape: triads, triads: [4, 2]}")
boards.installation.boot_all()
(machine,) = boards.installation.machines
for x, y in machine.plan.chips:
    result, _ = boards.ask((0, 0, 0), x, y, Command.INFO)
    assert result == 0x80
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_twenty_four_boards_take_less_than_2_gb():
    folder = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 2000
