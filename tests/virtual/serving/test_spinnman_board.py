"""Unmodified spinnman on one 48-chip board that is booted: every kind of request it makes."""

import pytest
from talking_cores import SUBJECTS, TalkingCores

from orchestrator.virtual.serving.configuration import VirtualMachineConfig
from orchestrator.virtual.serving.machine import VirtualMachine


@pytest.fixture(scope="module")
def found(spinnman):
    config = VirtualMachineConfig(shape="spinn5", base_address="127.0.165.0", booted=True)
    with VirtualMachine(config, open_cores=TalkingCores) as machine:
        yield {
            **spinnman(SUBJECTS, machine.places[0].address),
            "inside": machine.call(
                lambda: [
                    (booted.chip((0, 0)).leds, booted.sync)
                    for booted in machine.installation.machines
                ]
            ),
        }


def test_version(found):
    assert found["version"] == ["SC&MP", [4, 0, 0], 1, 1, 0]


def test_discovery(found):
    machine = found["discovery"]
    assert machine["size"] == [8, 8]
    assert len(machine["cores"]) == 48 and sum(machine["cores"].values()) == 856
    assert machine["ethernets"] == {"127.0.165.1": [0, 0]}
    assert machine["sdram"] == [123469792]
    assert len(machine["links"]) == 2 * 120


def test_memory(found):
    same, unbuffered, word, filled, nothing = found["memory"]
    assert same and unbuffered and filled and word == 0x12345678
    assert "RC_ARG" in nothing


def test_memory_over_a_link(found):
    assert found["neighbour"] == [True, "over the link..."]


def test_allocation(found):
    allocation = found["allocation"]
    first, tagged, again = allocation["addresses"]
    assert first == 0x60240018 and tagged == again == first + 1000 + 8
    assert allocation["used"] == [[30, 0, 1000], [30, 3, 2000]]
    assert allocation["largest"] == 123469792 - 1008 - 2008
    assert "Could not allocate" in allocation["other size"]
    assert "Could not allocate" in allocation["too large"]
    assert allocation["many"] == [0x60240018] * 3
    assert allocation["after stop"]


def test_routes(found):
    routes = found["routes"]
    assert routes["same"] and routes["of other"] == 0
    assert (routes["left"], routes["freed"]) == (1023 - 300, 1023)
    assert routes["too many"] is not None
    assert routes["cleared"] == 0
    assert routes["fixed"] == [[2], [0, 5]]


def test_diagnostics(found):
    assert found["diagnostics"] == [100, 115, True, 0, None]


def test_loading_signals_and_states(found):
    load = found["load"]
    cores = load["cores"]
    assert cores == 808 and load["monitors"] == 48
    assert load["steps"] == [[cores, 0, 0], [0, cores, 0], [0, 0, cores], [0, 0, 0], [0, 0, cores]]
    # The monitor of chip (1, 1) is on physical core 2, so its first application core is core 0.
    assert load["states"] == [["RUNNING", 30, 3], ["RUNNING", 30, 0]]
    assert load["copied"] and load["user"] == 77


def test_iobuf(found):
    short, long = found["load"]["iobuf"]
    assert short == "core 3 of chip 0, 0 ?\n"
    assert long == "core 1 of chip 1, 1 ?\n" * 900  # more than one block of 16 KiB


def test_tags(found):
    tags = found["tags"]
    assert tags["listed"] == [["IPTag", 2, tags["port"]], ["ReverseIPTag", 3, 31000]]
    assert tags["echoed"] == "by a reverse tag" and tags["from"]
    assert tags["stripped"] == "by a tag"
    assert tags["left"] == [] and tags["reprogrammed"]


def test_sdp(found):
    assert found["sdp"] == [[0, 0, 1], "00", [1, 1, 16], bytes(range(16)).hex()]


def test_stop(found):
    assert found["stop"] == [[0, 0, 0], 808]


def test_loading_one_chip_and_flooding_data(found):
    assert found["other_loads"] == [[0, 2, 0], [0, 2, 0], True]


def test_odds_and_ends(found):
    odds = found["odds_and_ends"]
    assert odds["drift"] == 0 and odds["p2p"]
    assert "RC_ROUTE" in odds["missing chip"]
    assert found["inside"] == [(0b1001, False)]
