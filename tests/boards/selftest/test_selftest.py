"""The self-test on chips in this process: all is well, and planted faults are found and named."""

import dataclasses
import json
import struct
from collections.abc import Callable

import numpy as np
import pytest
from in_process import InProcess, flip

from orchestrator.boards.hardware.failures import BoardDead, CoreFailed, JobLost, ServerAway
from orchestrator.boards.hardware.reports import CoreId
from orchestrator.boards.hardware.selftest import Fault, Finding, SelfTestReport, run_selftest
from orchestrator.errors import ArgumentError, RunError
from orchestrator.machine import Faults, Link
from orchestrator.virtual.core import Core
from orchestrator.wire.numbers import CoreState

UNDEFINED, RETURN = 0xE7F000F0, 0xE12FFF1E
CHIP = ((0, 0),)


def selftest(door: InProcess, **options) -> SelfTestReport:
    image = next(iter(door.running.values())).image
    return run_selftest(door, image.symbols, **options)


def only(report: SelfTestReport) -> Finding:
    assert len(report.findings) == 1, report.findings
    return report.findings[0]


def overwrite(core: Core, symbol: str, word: int) -> None:
    """Put an instruction in place of a function's first."""
    at = core.image.symbols[symbol]
    core.itcm[at : at + 4] = np.frombuffer(struct.pack("<I", word), np.uint8)


def test_a_machine_that_is_well(open_door: Callable[..., InProcess]) -> None:
    report = selftest(open_door(cores=(1, 17)))
    assert report.findings == ()
    assert report.well
    assert (report.chips, report.cores, report.links) == (4, 8, 16)
    assert report.cases > 100


def test_a_wrong_bit_in_one_cores_dtcm(open_door: Callable[..., InProcess]) -> None:
    door = open_door(cores=(1, 2, 3))
    flip(door.running[CoreId(0, 1, 2)], "bk__exponential", offset=4, bit=23)
    finding = only(selftest(door))
    assert finding.part == "core 2 of chip (0, 1)"
    assert finding.fault is Fault.WRONG
    assert finding.test.startswith("softmax_loss")
    assert finding.text.startswith(("e[", "result 0 is"))
    assert "should be" in finding.text
    assert "of softmax_loss" in finding.text


def test_a_wrong_bit_in_an_instruction(open_door: Callable[..., InProcess]) -> None:
    door = open_door()
    core = door.running[CoreId(1, 1, 1)]
    flip(core, "run_kernel_bits", offset=0, bit=22)
    finding = only(selftest(door, timeout=30.0))
    assert finding.part == "core 1 of chip (1, 1)"
    assert finding.fault in (Fault.WRONG, Fault.STOPPED, Fault.LATE)
    assert finding.test.startswith(("bits_i32", "dtcm"))


def test_a_core_that_traps(open_door: Callable[..., InProcess]) -> None:
    door = open_door(cores=(1, 2))
    overwrite(door.running[CoreId(1, 0, 2)], "run_kernel_normalise", UNDEFINED)
    finding = only(selftest(door))
    assert finding.part == "core 2 of chip (1, 0)"
    assert finding.fault is Fault.STOPPED
    assert finding.test == "normalise 2x5x7x1, random"
    assert "undefined instruction" in finding.text
    assert "near run_kernel_normalise" in finding.text
    assert "r0 0x" in finding.detail


def test_a_kernel_that_does_nothing_has_no_result_right(
    open_door: Callable[..., InProcess],
) -> None:
    """Results that were never written must not pass, whatever was in memory before."""
    door = open_door()
    assert selftest(door, chips=CHIP).well  # leaves right results in memory
    door.rewind()
    overwrite(door.running[CoreId(0, 0, 1)], "run_kernel_softmax", RETURN)
    finding = only(selftest(door, chips=CHIP))
    assert "8 cases wrong: 4 of softmax_loss, 4 of evaluate_logits" in finding.text


def test_a_core_that_does_not_finish(open_door: Callable[..., InProcess]) -> None:
    finding = only(selftest(open_door(), chips=CHIP, timeout=1.0))
    assert finding.part == "core 1 of chip (0, 0)"
    assert finding.fault is Fault.LATE
    assert "after 1 s" in finding.text


@pytest.mark.parametrize("end", [(0, 0, Link.NORTH), (0, 1, Link.SOUTH)])
def test_a_dead_link(open_door: Callable[..., InProcess], end: tuple[int, int, Link]) -> None:
    door = open_door()
    door.broken.add(end)
    finding = only(selftest(door))
    names = {
        Link.NORTH: "link 2 (north) of chip (0, 0)",
        Link.SOUTH: "link 5 (south) of chip (0, 1)",
    }
    assert finding.part == names[end[2]]
    assert "no answer" in finding.text


def test_a_link_that_leads_elsewhere(open_door: Callable[..., InProcess]) -> None:
    door = open_door()
    door.crossed[1, 1, Link.NORTH] = (0, 0)
    finding = only(selftest(door))
    assert finding.part == "link 2 (north) of chip (1, 1)"
    assert finding.text == "it leads to chip (0, 0), should lead to (1, 0)"


def test_a_link_that_turns_bits(open_door: Callable[..., InProcess]) -> None:
    door = open_door()
    door.corrupting.add((1, 0, Link.SOUTH))
    finding = only(selftest(door))
    assert finding.part == "link 5 (south) of chip (1, 0)"
    assert finding.text == "byte 100 of 256 came back as 0x54, was sent as 0x55"


def test_a_chip_that_does_not_answer(open_door: Callable[..., InProcess]) -> None:
    door = open_door()
    door.silent.add((1, 1))
    report = selftest(door)
    parts = {f.part: f.fault for f in report.findings}
    assert parts["chip (1, 1)"] is Fault.SILENT
    links = [name for name in parts if name.startswith("link")]
    assert len(links) == 8  # its own, and those of its neighbours that lead to it
    assert len(parts) == 9
    assert dict(report.counts()) == {"core": 0, "chip": 1, "link": 8}


@pytest.mark.parametrize("moment", ["start_tapes", "wait_tapes", "read_many"])
def test_a_chip_that_dies_meanwhile(
    open_door: Callable[..., InProcess], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    door = open_door()
    method = getattr(door, moment)

    def die(*arguments, **options):
        door.silent.add((0, 1))
        return method(*arguments, **options)

    monkeypatch.setattr(door, moment, die)
    finding = only(selftest(door))
    assert finding.part == "chip (0, 1)"
    assert finding.fault is Fault.SILENT
    assert "does not answer" in finding.text


@pytest.mark.parametrize("moment", ["link_read", "take", "wait_tapes", "read_many"])
def test_a_board_that_dies_is_not_asked_for_every_chip(
    open_door: Callable[..., InProcess], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    door = open_door()
    method = getattr(door, moment)

    def die(*arguments, **options):
        if door.lost is None:
            door.lost, door.asked = BoardDead("board 127.1.0.1 has not answered for 10 s"), 0
        return method(*arguments, **options)

    monkeypatch.setattr(door, moment, die)
    finding = only(selftest(door))
    assert finding.part == "chip (0, 0)"
    assert finding.text.endswith("for 10 s; the rest of its board is left out")
    assert door.asked <= 2  # all of them, then the first alone


@pytest.mark.parametrize("moment", ["link_read", "take", "start_tapes", "read_many"])
@pytest.mark.parametrize("error", [JobLost, ServerAway])
def test_boards_that_are_no_longer_ours_end_the_test(
    open_door: Callable[..., InProcess],
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    error: type[RunError],
) -> None:
    def end(*_: object, **__: object) -> None:
        raise error("job 7 is over")

    door = open_door()
    monkeypatch.setattr(door, moment, end)
    with pytest.raises(error, match="job 7 is over"):
        selftest(door)


@pytest.mark.parametrize("lost", [1, 4])
def test_cores_that_lose_the_program(
    open_door: Callable[..., InProcess], monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    """Of all cores another host has ended it, of one alone it is the core's fault."""
    door = open_door()
    wait = door.wait_tapes

    def end(cores, timeout):
        idle = {"state": CoreState.IDLE, "done": 0}
        reports = wait(cores, timeout)
        return {
            core: dataclasses.replace(report, **idle) if core in door.cores[:lost] else report
            for core, report in reports.items()
        }

    monkeypatch.setattr(door, "wait_tapes", end)
    if lost == len(door.cores):
        with pytest.raises(CoreFailed, match="another host has ended"):
            selftest(door)
    else:
        finding = only(selftest(door))
        assert finding.part == "core 1 of chip (0, 0)"
        assert (finding.fault, finding.text) == (Fault.STOPPED, "it runs no program")


def test_parts_that_the_machine_reports_as_dead(open_door: Callable[..., InProcess]) -> None:
    link = frozenset({(0, 0, Link.EAST), (1, 0, Link.WEST)})
    dead = Faults(chips=frozenset({(3, 4)}), cores=frozenset({(1, 1, 9)}), links=link)
    report = selftest(open_door(dead=dead))
    assert [(f.part, f.fault) for f in report.findings] == [
        ("chip (3, 4)", Fault.MISSING),
        ("core 9 of chip (1, 1)", Fault.MISSING),
        ("link 0 (east) of chip (0, 0)", Fault.MISSING),
    ]
    assert not report.well
    assert selftest(open_door(dead=dead), chips=[(0, 1)]).well
    east_end = only(selftest(open_door(dead=dead), chips=[(1, 0)]))
    assert east_end.part == "link 3 (west) of chip (1, 0)"


def test_one_chip_is_tested_alone(open_door: Callable[..., InProcess]) -> None:
    door = open_door()
    flip(door.running[CoreId(0, 1, 1)], "bk__exponential", offset=4, bit=23)
    report = selftest(door, chips=CHIP)
    assert report.well
    assert (report.chips, report.cores, report.links) == (1, 1, 4)


def test_a_chip_that_is_not_there_is_refused(open_door: Callable[..., InProcess]) -> None:
    with pytest.raises(ArgumentError, match=r"no working chip \(4, 4\) among 4 in a box of 2 x 2"):
        selftest(open_door(), chips=[(4, 4)])


def test_operands_are_written_once_for_a_chip(open_door: Callable[..., InProcess]) -> None:
    one, two = open_door(cores=(1,)), open_door(cores=(1, 2))
    for door in (one, two):
        selftest(door, chips=CHIP)
    assert two.written - one.written < 20_000 < one.written  # a second core needs only its tape


def test_a_report_is_json(open_door: Callable[..., InProcess]) -> None:
    door = open_door()
    door.broken.add((0, 0, Link.NORTH))
    found = json.loads(json.dumps(selftest(door).as_json()))
    assert found["sick"] == {"cores": 0, "chips": 0, "links": 1}
    assert found["findings"][0]["part"] == "link 2 (north) of chip (0, 0)"
    assert found["findings"][0]["link"] == 2
