"""What stops an emulated core, and what its report says."""

import struct
import sys

import numpy as np
import pytest
from programs import Program

from orchestrator.errors import ArgumentError, MissingToolError, RunError
from orchestrator.virtual import emulator_library
from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.core import Core
from orchestrator.virtual.core_fault import CoreStopped, FaultKind
from orchestrator.virtual.elf import Segment

LOOP = "\nidle: sleep\n b idle\n .ltorg\n"


def stopped(boot, source, **options):
    with pytest.raises(CoreStopped) as error:
        boot(source + LOOP, **options)
    return error.value.report


@pytest.mark.parametrize(
    ("instruction", "kind", "address"),
    [
        ("str r1, [r0, #8]", FaultKind.STORE, 0x00500008),
        ("str r1, [r0], #4", FaultKind.STORE, 0x00500000),
        ("strh r1, [r0, #-2]", FaultKind.STORE, 0x004FFFFE),
        ("strd r2, [r0, #16]", FaultKind.STORE, 0x00500010),
        ("stmdb r0!, {r1-r4}", FaultKind.STORE, 0x004FFFF0),
        ("stmia r0, {r1-r4}", FaultKind.STORE, 0x00500000),
        ("ldr r1, [r0, r2, lsl #2]", FaultKind.LOAD, 0x0050000C),
        ("ldr r1, [r0, -r2]", FaultKind.LOAD, 0x004FFFFD),
        ("ldrsb r1, [r0, r2]", FaultKind.LOAD, 0x00500003),
        ("ldmib r0, {r1-r4}", FaultKind.LOAD, 0x00500004),
        ("ldmda r0, {r1-r4}", FaultKind.LOAD, 0x004FFFF4),
        (".word 0xe7f000f0", FaultKind.UNDEFINED, None),
        ("movw r1, #1", FaultKind.UNDEFINED, None),
        ("bx r0", FaultKind.FETCH, 0x00500000),
    ],
)
def test_faults_are_reported_where_they_are(boot, instruction, kind, address):
    arch = " .arch armv7-a\n" if "movw" in instruction else ""
    report = stopped(
        boot, f"{arch}start: ldr r0, =0x500000\n mov r2, #3\n mov r3, #7\nhere: {instruction}"
    )
    assert report.kind == kind
    assert report.registers[0] == 0x500000
    assert report.registers[2:4] == (3, 7)
    if kind == FaultKind.FETCH:
        assert report.pc == address
        return
    assert report.symbol == "here"
    assert report.registers[15] == report.pc
    if address is not None:
        assert f"0x{address:08x}" in report.text


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        (0x00008000, FaultKind.STORE),  # behind the ITCM
        (0x00410000, FaultKind.STORE),  # behind the DTCM
        (0x003FFFFC, FaultKind.STORE),  # before it
        (0x60100000, FaultKind.STORE),  # behind this chip's SDRAM
        (0x50000000, FaultKind.STORE),  # where substituted routines store
        (0xE4000000, FaultKind.STORE),
    ],
)
def test_memory_ends_where_the_chip_says(boot, address, kind):
    report = stopped(boot, f"start: ldr r0, ={address}\n str r0, [r0]")
    assert report.kind == kind
    assert f"0x{address:08x}" in report.text


def test_the_words_next_to_the_edges_are_memory(boot):
    words = [0x7FFC, 0x400000, 0x40FFFC, 0x60000000, 0x600FFFFC, 0x700FFFFC, 0xE5007FFC]
    stores = "".join(f" ldr r0, ={address}\n str r0, [r0]\n ldr r1, [r0]\n" for address in words)
    core = boot(f"start:\n{stores}\n{LOOP}")
    assert core.chip.read_word(0x600FFFFC) == 0x700FFFFC


def test_the_report_names_task_and_symbol_and_registers(boot):
    chip = ChipMemory(1 << 20)
    report = stopped(
        boot,
        "start: ldr r0, =0xe5007000 + 3 * 128\n mov r1, #7\n str r1, [r0, #120]\n nop\n"
        "kernel_of_mine: nop\n nop\n .word 0xe7f000f0",
        chip=chip,
        number=3,
    )
    text = str(report)
    assert report.core == 3 and report.task == 7
    assert report.symbol == "kernel_of_mine+0x8"
    assert "core 3 stopped at task 7: undefined instruction" in text
    assert "kernel_of_mine+0x8" in text and "r1  0x00000007" in text


def test_the_image_gets_the_fault_too(boot):
    chip = ChipMemory(1 << 20)
    source = """
start:  ldr     r0, =0x500000
here:   ldr     r0, [r0]
        .ltorg
data_handler:
        ldr     r1, =0x60000000
        sub     r2, lr, #8
        str     r2, [r1]
        ldr     r1, =0xe50070ac
        mov     r2, #5
        strb    r2, [r1]
"""
    report = stopped(boot, source, chip=chip)
    assert report.kind == FaultKind.LOAD
    assert chip.read_word(0x60000000) == report.pc
    assert report.rt_code == 5


def test_a_stopped_core_stays_stopped_until_booted_again(assemble):
    chip = ChipMemory(1 << 20)
    core = Core(
        chip, 1, assemble(f"start: ldr r0, =0x60000000\n ldr r0, [r0]\n ldr r0, [r0]{LOOP}")
    )
    chip.write_word(0x60000000, 0x500000)
    with pytest.raises(CoreStopped):
        core.boot()
    with pytest.raises(CoreStopped):
        core.run()
    chip.write_word(0x60000000, 0x400000)
    core.boot()
    core.run()
    core.close()


def test_supervisor_calls_are_the_images_own(boot):
    source = """
start:  mov     r0, #5
        svc     0
after:  sleep
        b       after
supervisor_handler:
        ldr     r1, =0x60000000
        stm     r1, {r0, lr}
        movs    pc, lr
"""
    core = boot(source + LOOP)
    code, back = struct.unpack("<II", core.chip.read(0x60000000, 8))
    assert code == 5
    assert back == core.image.symbols["after"]


def test_an_error_state_in_the_vcpu_block_is_a_stop(boot):
    source = """
start:  ldr     r0, =0xe5007080
        mov     r1, #2
        strb    r1, [r0, #46]           @ cpu_state: run-time error
        mov     r1, #13
        strb    r1, [r0, #44]
        ldr     r1, =0x105
        str     r1, [r0, #124]          @ user3
        adr     r1, start
        str     r1, [r0, #40]
"""
    report = stopped(boot, source)
    assert report.kind == FaultKind.RUN_TIME_ERROR
    assert report.rt_code == 13
    assert "0x105" in report.text
    assert report.symbol == "start"


def test_thumb_code_is_refused(boot):
    report = stopped(boot, "start: adr r0, thumb + 1\n bx r0\n .thumb\nthumb: nop\n nop\n .arm")
    assert report.kind == FaultKind.THUMB


@pytest.mark.parametrize(
    ("instruction", "wanted"),
    [
        ("ldr r1, [r0, #2]", 4),
        ("str r1, [r0, #1]", 4),
        ("ldrh r1, [r0, #1]", 2),
        ("strh r1, [r0, #3]", 2),
        ("ldrd r2, [r0, #4]", 8),
        ("strd r2, [r0, #4]", 8),
        ("ldm r0, {r1, r2}", None),
        ("ldrb r1, [r0, #1]", None),
        ("ldrd r2, [r0]\n ldrd r2, [r0, #8]", None),
        ("ldrh r1, [r0, #2]", None),
    ],
)
def test_checking_mode_stops_at_unaligned_accesses(boot, instruction, wanted):
    source = f"start: ldr r0, =0x400100\nhere: {instruction}"
    if wanted is None:
        boot(source + LOOP, check=True)
        return
    report = stopped(boot, source, check=True)
    assert report.kind == FaultKind.UNALIGNED
    assert report.symbol == "here"
    assert f"multiple of {wanted}" in report.text
    boot(source + LOOP)  # without checking it runs


@pytest.mark.parametrize("piece", [Segment(0x7FFC, bytes(8), 8), Segment(0x60000000, bytes(4), 4)])
def test_an_image_outside_the_tcms_is_refused(piece):
    with pytest.raises(ArgumentError, match="ITCM"):
        Core(ChipMemory(1 << 20), 1, Program((piece,), {}))


@pytest.mark.parametrize("number", [-1, 18])
def test_a_core_the_chip_lacks_is_refused(number):
    with pytest.raises(ArgumentError, match="core number"):
        Core(ChipMemory(1 << 20), number, Program((), {}))


@pytest.mark.parametrize("bandwidth", [0.0, -1.0, float("inf"), float("nan")])
def test_a_bandwidth_without_sense_is_refused(bandwidth):
    with pytest.raises(ArgumentError, match="dma_bytes_per_cycle"):
        Core(ChipMemory(1 << 20), 1, Program((), {}), dma_bytes_per_cycle=bandwidth)


@pytest.mark.parametrize("size", [0, 100, (128 << 20) + 4096])
def test_an_sdram_of_odd_size_is_refused(size):
    with pytest.raises(ArgumentError, match="sdram_bytes"):
        ChipMemory(size)


@pytest.mark.parametrize("cores", [[], [1, 1], [18]])
def test_core_numbers_are_checked(cores):
    with pytest.raises(ArgumentError, match="physical_cores"):
        ChipMemory(4096, cores)


def test_host_reads_outside_memory_are_refused():
    chip = ChipMemory(4096)
    chip.write(0x70000FFC, b"abcd")
    assert chip.read(0x60000FFC, 4) == b"abcd"
    assert np.array_equal(chip.memory(0xF5000000, 4), chip.memory(0xE5000000, 4))
    with pytest.raises(ArgumentError, match="0x60000ffd"):
        chip.read(0x60000FFD, 4)


def test_a_closed_core_runs_no_more_but_can_be_read(boot):
    core = boot("start: mov r0, #0x400000\n str r0, [r0]" + LOOP)
    core.close()
    core.close()
    assert core.dtcm[2] == 0x40 and core.cycles > 0
    with pytest.raises(RunError, match="closed"):
        core.run()


def test_a_negative_number_of_cycles_is_refused(boot):
    with pytest.raises(ArgumentError, match="max_cycles is -1"):
        boot("start:" + LOOP).run(-1)


def test_a_missing_library_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(emulator_library, "__file__", str(tmp_path / "emulator_library.py"))
    with pytest.raises(MissingToolError, match="build_ext --inplace"):
        emulator_library.emulator_library.__wrapped__()


def test_a_missing_unicorn_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "unicorn.unicorn_py3.unicorn", None)
    with pytest.raises(MissingToolError, match="pip install unicorn"):
        emulator_library.unicorn_functions.__wrapped__()
