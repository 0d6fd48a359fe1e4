"""The self-test over UDP on virtual boards, whose cores were loaded by unmodified spinnman."""

import pytest

from orchestrator.boards.hardware import CoreId, MachineControl, given_host, open_machine
from orchestrator.boards.hardware.selftest import Fault, SelfTestReport, run_selftest
from orchestrator.machine import Link
from orchestrator.virtual.image import Image
from orchestrator.virtual.running import RunningCores
from orchestrator.virtual.serving.configuration import VirtualMachineConfig
from orchestrator.virtual.serving.machine import VirtualMachine
from orchestrator.wire.layout import DTCM

pytest.importorskip("spinnman", reason="spinnman is not installed: pip install SpiNNMan")


def machine(third: int, **settings) -> VirtualMachine:
    """Serve a booted machine at 127.1.THIRD.0 and up."""
    config = VirtualMachineConfig(base_address=f"127.1.{third}.0", booted=True, **settings)
    return VirtualMachine(config, open_cores=RunningCores)


def examine(control: MachineControl, image: Image, **options) -> SelfTestReport:
    """Load the image everywhere and test."""
    control.load(image.binary)
    return run_selftest(control, image.symbols, **options)


def test_all_cores_of_a_small_board_are_well(image: Image) -> None:
    with machine(0, shape="spinn3"), open_machine(given_host("127.1.0.1")) as control:
        report = examine(control, image)
    assert report.findings == ()
    assert (report.chips, report.cores, report.links) == (4, 68, 16)


def test_faults_on_a_board_are_found_and_named(image: Image) -> None:
    """A wrong bit in a core's data memory, a core that traps, a link that dies."""
    with machine(1, shape="spinn3") as served, open_machine(given_host("127.1.1.1")) as control:
        control.load(image.binary)

        def flip_a_bit() -> None:
            cores = served.installation.machines[0].cores
            _, dtcm = cores.memories(0, 1, 3)
            dtcm[image.symbols["bk__logarithm"] - DTCM + 64 * 4 + 2] ^= 1 << 5

        served.call(flip_a_bit)
        served.trap(0, 1, 7)
        served.kill_link(0, 1, Link.SOUTH)
        report = run_selftest(control, image.symbols, chips=[(0, 1)])
    found = {finding.part: finding for finding in report.findings}
    assert set(found) == {
        "core 3 of chip (0, 1)",
        "core 7 of chip (0, 1)",
        "link 5 (south) of chip (0, 1)",
    }
    wrong, stopped = found["core 3 of chip (0, 1)"], found["core 7 of chip (0, 1)"]
    assert wrong.fault is Fault.WRONG
    assert wrong.test.startswith("softmax_loss")
    assert stopped.fault is Fault.STOPPED
    assert "RUN_TIME_ERROR" in stopped.detail
    assert "r0 0x" in stopped.detail


def test_a_chip_of_each_of_three_boards_is_well(image: Image) -> None:
    chips = [(0, 3), (8, 4), (7, 10)]
    with machine(2, shape="triads") as served, open_machine(given_host("127.1.2.1")) as control:
        boards = {control.machine.board_at[chip] for chip in chips}
        assert len(boards) == len(served.places) == 3
        cores = [core for core in control.cores if (core.x, core.y) in chips]
        control.load(image.binary, cores)
        report = run_selftest(control, image.symbols, chips=chips)
    assert report.findings == ()
    assert (report.chips, report.cores, report.links) == (3, len(cores), 18)
    assert CoreId(7, 10, 1) in cores
