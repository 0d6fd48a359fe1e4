"""Tapes on the cores of a virtual machine that run our image, loaded by unmodified spinnman."""

import time

import pytest

from orchestrator.boards.hardware import CoreId, given_host, open_machine
from orchestrator.boards.hardware import control as hardware_control
from orchestrator.boards.hardware.failures import CoreFailed, MachineTimeout
from orchestrator.errors import ArgumentError, MissingToolError
from orchestrator.virtual.image import build_image
from orchestrator.virtual.running.cores import RunningCores
from orchestrator.virtual.tasks import Copy, Sync, tape
from orchestrator.wire.layout import Vcpu
from orchestrator.wire.numbers import CoreState, Signal

pytest.importorskip("spinnman", reason="spinnman is not installed: pip install SpiNNMan")

SIZE = 4096


@pytest.fixture
def control(virtual_machine):
    """A SpiNN-3 board whose cores can run code."""
    try:
        image = build_image()
    except MissingToolError as error:
        pytest.skip(str(error))
    virtual_machine(third=100, shape="spinn3", booted=True, open_cores=RunningCores)
    with open_machine(given_host("127.0.100.1")) as opened:
        opened.image = image
        yield opened


def put_tapes(control, cores, tasks_of):
    """Write a tape for each core; return their addresses."""
    tapes = {}
    for core in cores:
        text = tape(tasks_of(core))
        tapes[core] = control.take(core.x, core.y, len(text))
        control.write(core.x, core.y, tapes[core], text)
    return tapes


def test_tapes_run_once_on_each_core_and_again(control):
    cores = [CoreId(0, 0, 1), CoreId(0, 0, 17), CoreId(1, 1, 3)]
    control.load(control.image.binary, cores)
    areas = {core: control.take(core.x, core.y, 3 * SIZE) for core in cores}
    for core, area in areas.items():
        control.write(core.x, core.y, area, bytes([core.p]) * SIZE)

    def copies(core):
        start = areas[core]
        return [
            Copy(source=start, target=start + SIZE, bytes=SIZE),
            Copy(source=start + SIZE, target=start + 2 * SIZE, bytes=SIZE),
        ]

    tapes = put_tapes(control, cores, copies)
    for _ in range(2):
        reports = control.run_tapes(tapes, timeout=20)
        assert all(report.finished and report.tasks_done == 2 for report in reports.values())
        for core, area in areas.items():
            found = control.read(core.x, core.y, area + 2 * SIZE, SIZE)
            assert found == bytes([core.p]) * SIZE
            control.write(core.x, core.y, area + 2 * SIZE, bytes(SIZE))


def test_tapes_started_one_after_the_other_end_each_by_its_own_number(control):
    one, two = cores = [CoreId(0, 0, 1), CoreId(0, 0, 2)]
    control.load(control.image.binary, cores)
    tapes = put_tapes(control, cores, lambda core: [Sync()] if core == one else [])
    control.start_tapes({one: tapes[one]})
    control.start_tapes({two: tapes[two]})
    assert control.wait_tapes([two], timeout=20)[two].finished
    assert not control.wait_tapes([one], timeout=0)[one].finished
    control.signal(Signal.SYNC0)
    assert control.wait_tapes([one], timeout=20)[one].finished


def test_a_core_that_fails_is_shown_and_the_others_finish(control):
    good, bad = cores = [CoreId(0, 0, 1), CoreId(0, 1, 2)]
    control.load(control.image.binary, cores)

    def tasks_of(core):
        task = Copy(source=0x60000000, target=0x60001000, bytes=8)
        if core == bad:
            task.header = task.header & ~0xFFFF | 0xFF  # no kernel of this kind
        return [task]

    tapes = put_tapes(control, cores, tasks_of)
    with pytest.raises(CoreFailed) as caught:
        control.run_tapes(tapes, timeout=20)
    for part in ("core (0, 1, 2): RUN_TIME_ERROR", "13 (software error)", "own code 0x102"):
        assert part in str(caught.value)
    assert "printed:" in str(caught.value)
    reports = {report.core: report for report in control.reports(cores)}
    assert reports[good].state is CoreState.RUNNING and reports[good].done == 1


def test_a_core_that_is_late_is_named_with_its_task(control):
    core = CoreId(1, 0, 4)
    control.load(control.image.binary, [core])
    tapes = put_tapes(control, [core], lambda _: [Sync()])
    with pytest.raises(MachineTimeout, match=r"core \(1, 0, 4\) is at task 0"):
        control.run_tapes(tapes, timeout=0.2)
    control.signal(Signal.SYNC0)
    assert control.wait_tapes([core], timeout=20)[core].finished


def test_a_core_whose_program_another_host_has_ended_is_not_waited_for(control, monkeypatch):
    core = CoreId(1, 0, 4)
    control.load(control.image.binary, [core])
    tapes = put_tapes(control, [core], lambda _: [Sync()])
    start = control.start_tapes

    def polls(_):
        for _ in range(500):
            yield
            time.sleep(0.01)
        pytest.fail("it is still waited for")

    def start_and_stop(given):
        start(given)
        control.signal(Signal.STOP)

    monkeypatch.setattr(hardware_control, "_polls", polls)
    monkeypatch.setattr(control, "start_tapes", start_and_stop)
    with pytest.raises(CoreFailed, match=r"another host use this machine.*core \(1, 0, 4\)"):
        control.run_tapes(tapes, timeout=20)


def test_a_spoilt_iobuf_does_not_hide_the_others(control):
    good, long, bad = cores = [CoreId(0, 0, 1), CoreId(0, 0, 2), CoreId(0, 0, 3)]
    control.load(control.image.binary, cores)
    for core, used in ((good, 5), (long, 0xFFFFFFF0)):
        at = control.take(0, 0, 1 << 17)
        control.fill(0, 0, at, 0, 1 << 17)
        control.write(0, 0, at, bytes(12) + used.to_bytes(4, "little") + b"words")
        control.write(0, 0, core.vcpu + Vcpu.IOBUF, at.to_bytes(4, "little"))
    control.write(0, 0, bad.vcpu + Vcpu.IOBUF, 0x50000001.to_bytes(4, "little"))
    texts = control.iobuf(cores)
    assert texts[good] == "words"
    assert texts[long].startswith("words") and len(texts[long]) == 1 << 16
    assert texts[bad] == ""


def test_tapes_for_cores_that_are_not_there_are_refused(control):
    with pytest.raises(ArgumentError, match=r"core \(5, 5, 1\)"):
        control.start_tapes({CoreId(5, 5, 1): 0x60240000})
