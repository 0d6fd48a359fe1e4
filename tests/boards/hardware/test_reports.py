import struct
from dataclasses import replace

from orchestrator.boards.hardware.reports import CoreId, read_block
from orchestrator.wire.numbers import CoreState

CORE = CoreId(3, 4, 5)


def block(state, error=0, done=0):
    registers = struct.pack("<11I", *range(1, 12))
    numbers = struct.pack("<4B", error, 7, state, 16)
    rest = bytes(24) + b"regatta".ljust(16, b"\0") + struct.pack("<3I", 0x67900000, 0, done)
    found = registers + numbers + rest + bytes(12) + struct.pack("<4I", 21, 22, 23, 24)
    assert len(found) == 128
    return found


def test_a_block_is_read_field_by_field():
    report, iobuf_at = read_block(CORE, block(7, done=9))
    assert iobuf_at == 0x67900000
    assert report.core == CORE and report.state is CoreState.RUNNING
    assert report.registers == (1, 2, 3, 4, 5, 6, 7, 8)
    assert (report.psr, report.sp, report.lr) == (9, 10, 11)
    assert (report.app_id, report.name, report.user) == (16, "regatta", (21, 22, 23, 24))
    assert report.done == 9 and report.tasks_done == 23
    assert not report.failed


def test_a_tape_has_ended_when_its_number_is_reported():
    report = read_block(CORE, block(7, done=9)).report
    assert not report.finished  # it was given none
    assert replace(report, sequence=9).finished
    assert not replace(report, sequence=10).finished
    assert not replace(read_block(CORE, block(2, done=9)).report, sequence=9).finished


def test_a_failed_core_shows_cause_registers_and_text():
    report = replace(read_block(CORE, block(2, error=5)).report, iobuf="one\ntwo\n")
    assert report.failed
    text = str(report)
    for part in (
        *("core (3, 4, 5): RUN_TIME_ERROR, application 16 regatta", "5 (data abort)"),
        *("own code 0x18", "at task 23", "r7 0x00000008", "at 0x0000000b, sp 0x0000000a"),
        "printed:\n  one\n  two",
    ):
        assert part in text


def test_a_state_without_a_name_counts_as_dead():
    assert read_block(CORE, block(13)).report.state is CoreState.DEAD


def test_addresses_of_a_core():
    assert CoreId(0, 0, 2).vcpu == 0xE5007100
    assert CoreId(0, 0, 2).user == 0xE5007170
