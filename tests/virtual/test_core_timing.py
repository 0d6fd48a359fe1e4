"""Cycle counts of the emulated core against the timing rules, by block and by instruction."""

from pathlib import Path

import numpy as np
import pytest
from programs import assemble_program

from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.core import Core
from orchestrator.virtual.timing import markdown, timing_table

SETUP = """
start:  ldr     r0, =0x400100
        mov     r2, #3
        mov     r3, #5
        mov     r4, #0
        ldr     r8, =0x400200
        ldr     lr, =0x400300
        b       measured
        .ltorg
measured:
        nop
"""
END = "\n nop\n nop\nidle: sleep\n b idle\n .ltorg\n"


def count(program) -> tuple[int, int]:
    core = Core(ChipMemory(1 << 20), 1, program, check=True)
    core.boot()
    counts = core.cycles, core.checked_cycles
    core.close()
    return counts


@pytest.fixture(scope="module")
def empty(tmp_path_factory) -> tuple[int, int]:
    return count(assemble_program(SETUP + END, tmp_path_factory.mktemp("empty")))


@pytest.fixture
def cycles_of(assemble, empty):
    """The cycles that a piece of code adds, by both models."""

    def difference(code: str) -> tuple[int, int]:
        block, each = count(assemble(SETUP + code + END))
        return block - empty[0], each - empty[1]

    return difference


@pytest.mark.parametrize(
    ("code", "cycles"),
    [
        # issue cycles
        ("add r1, r2, r3", 1),
        ("add r1, r2, r3, lsl #4", 1),
        ("add r1, r2, r3, lsl r4", 2),
        ("clz r1, r2", 1),
        ("qadd r1, r2, r3", 1),
        ("ldr r1, [r0]", 1),
        ("ldr r1, [r0, r4]", 1),
        ("ldr r1, [r0, r4, lsl #2]", 2),
        ("ldrb r1, [r0]", 1),
        ("ldrd r6, [r0]", 2),
        ("ldmia r0, {r1}", 2),
        ("ldmia r0, {r1, r5-r7}", 4),
        ("str r1, [r0]", 1),
        ("str r1, [r0, r4, lsl #2]", 2),
        ("strd r6, [r0]", 2),
        ("stmia r0, {r1}", 2),
        ("stmia r0, {r1, r5-r7}", 4),
        ("smlabb r1, r2, r3, r1", 1),
        ("smulwb r1, r2, r3", 1),
        ("smlalbb r6, r7, r2, r3", 2),
        ("mul r1, r2, r3", 2),
        ("mla r1, r2, r3, r4", 2),
        ("muls r1, r2, r3", 4),
        ("smull r6, r7, r2, r3", 3),
        ("umlals r6, r7, r2, r3", 5),
        ("mrs r1, cpsr", 2),
        ("msr cpsr_f, r2", 1),
        ("msr cpsr_c, #0xdf", 3),
        ("swp r1, r2, [r0]", 2),
        # a branch refills; a called block ends with its return
        ("b 1f\n1:", 1),  # to the next instruction: nothing to refill
        ("b 1f\n nop\n1:", 3),
        ("bl 1f\n b 2f\n1: bx lr\n2:", 3 + 3 + 3),
        ("adr r5, 1f\n ldr pc, [r8, #-0x100]\n1:", None),
        ("adr r5, 1f\n mov pc, r5\n nop\n1:", 1 + 4),
        ("adr r5, 1f\n add pc, r5, #0\n nop\n1:", 1 + 3),
        # results used by the next instruction
        ("ldr r1, [r0]\n add r5, r1, r1", 1 + 1 + 1),
        ("ldr r1, [r0]\n nop\n add r5, r1, r1", 3),
        ("ldrb r1, [r0]\n add r5, r1, r1", 1 + 2 + 1),
        ("ldrsh r1, [r0]\n nop\n add r5, r1, r1", 1 + 1 + 1 + 1),
        ("ldr r1, [r0]\n str r1, [r0, #4]", 1 + 1 + 1),
        ("ldrh r1, [r0]\n strh r1, [r0, #4]", 1 + 1 + 1),
        ("ldr r1, [r0]\n smlabb r1, r2, r3, r1", 1 + 1 + 1),
        ("ldrd r6, [r0]\n add r5, r6, r2", 2 + 1),
        ("ldrd r6, [r0]\n add r5, r7, r2", 2 + 1 + 1),
        ("ldmia r0, {r1, r5-r7}\n add r1, r1, r6", 4 + 1),
        ("ldmia r0, {r1, r5-r7}\n add r1, r1, r7", 4 + 1 + 1),
        ("smulbb r1, r2, r3\n add r5, r1, r1", 1 + 1 + 1),
        ("smulbb r1, r2, r3\n smlabb r5, r2, r3, r1", 1 + 1),
        ("smulbb r1, r2, r3\n smlabb r5, r1, r3, r2", 1 + 1 + 1),
        ("smulbb r1, r2, r3\n str r1, [r0]", 1 + 1 + 1),
        ("mul r1, r2, r3\n add r5, r1, r1", 2 + 1 + 1),
        ("mul r1, r2, r3\n mla r5, r2, r3, r1", 2 + 2),
        ("smull r6, r7, r2, r3\n add r5, r7, r1", 3 + 1 + 1),
        ("qadd r1, r2, r3\n add r5, r1, r1", 1 + 1 + 1),
        ("ldr r1, [r0], #4\n str r2, [r0]", 1 + 1),  # the new base is there at once
        ("add r1, r2, r3\n str r1, [r0]", 1 + 1),
        # stores of a list take one register a cycle: the second may come a cycle later
        ("ldr r5, [r0]\n stmia r8, {r2, r5}", 1 + 2),
        ("ldr r2, [r0]\n stmia r8, {r2, r5}", 1 + 1 + 2),
    ],
)
def test_both_models_follow_the_rules(cycles_of, code, cycles):
    if cycles is None:  # LDR to the program counter, through a word put in place before
        code = "adr r5, 1f\n str r5, [r8]\n ldr pc, [r8]\n nop\n1:"
        cycles = 1 + 1 + 5
    assert cycles_of(code) == (cycles, cycles)


@pytest.mark.parametrize(
    ("code", "block", "each"),
    [
        ("cmp r2, #9\n muleq r1, r2, r3", 1 + 2, 1 + 1),
        ("cmp r2, #9\n beq 1f\n nop\n1:", 1 + 1 + 1, 1 + 1 + 1),
        ("cmp r2, #9\n ldmiaeq r0, {r1, r5-r7}", 1 + 4, 1 + 1),
    ],
)
def test_failed_conditions_cost_a_cycle_where_every_instruction_is_seen(
    cycles_of, code, block, each
):
    assert cycles_of(code) == (block, each)


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("ldr r5, =0x30000000\n nop\n ldr r1, [r5, #20]", 3),
        ("ldr r5, =0x11000000\n nop\n str r2, [r5]", 3),
        ("ldr r5, =0x60000000\n nop\n ldr r1, [r5]", 20),
        ("ldr r5, =0xe5000000\n nop\n strb r1, [r5]", 4),
    ],
)
def test_the_bus_adds_its_cycles(cycles_of, code, extra):
    assert cycles_of(code) == (3 + extra, 3 + extra)


DOT = """
        @ r0 x, r1 w, r2 pairs: sum of 2 * pairs products in r3, as an inner product is made
dot:    mov     r3, #0
        mov     r4, #0
1:      ldm     r0!, {r5, r6}
        ldm     r1!, {r7, r8}
        smlabb  r3, r5, r7, r3
        smlatt  r4, r5, r7, r4
        smlabb  r3, r6, r8, r3
        smlatt  r4, r6, r8, r4
        subs    r2, r2, #2
        bne     1b
        add     r3, r3, r4
        bx      lr
"""

KERNELS = {
    "inner product": f"""
start:  mov     r9, #20
2:      ldr     r0, =0x400000
        ldr     r1, =0x404000
        mov     r2, #144
        bl      dot
        subs    r9, r9, #1
        bne     2b
        b       idle
{DOT}""",
    "element by element": """
start:  ldr     r0, =0x400000
        ldr     r1, =4000
1:      ldrsh   r2, [r0]
        add     r3, r2, r2, asr #3
        cmp     r3, #4096
        movge   r3, #4096
        bic     r3, r3, r3, asr #31
        strh    r3, [r0], #2
        subs    r1, r1, #1
        bne     1b
""",
}


@pytest.mark.parametrize("name", list(KERNELS))
def test_block_counts_are_within_half_a_percent(boot, name):
    core = boot(KERNELS[name] + END, check=True)
    assert core.checked_cycles > 5000
    assert abs(core.cycles - core.checked_cycles) <= 0.005 * core.checked_cycles


def test_counting_does_not_depend_on_where_a_run_is_cut(assemble):
    program = assemble(KERNELS["inner product"] + END)
    counts = []
    for step in (None, 997, 50):
        core = Core(ChipMemory(1 << 20), 1, program)
        core.boot(max_cycles=step)
        while core.cycles < 10**9 and core.run(max_cycles=step).name == "CYCLES":
            pass
        counts.append((core.cycles, core.instructions))
        core.close()
    assert len(set(counts)) == 1


def test_a_run_is_the_same_every_time(boot):
    cores = [boot(KERNELS["element by element"] + END) for _ in range(2)]
    assert cores[0].cycles == cores[1].cycles
    assert np.array_equal(cores[0].dtcm, cores[1].dtcm)


def test_the_page_has_the_table():
    page = Path(__file__).parents[2] / "docs" / "emulator.md"
    assert markdown() in page.read_text(encoding="utf-8")


def test_every_row_has_its_source_and_status():
    rows = timing_table()
    assert {row.status for row in rows} == {"stated", "derived", "recalled"}
    for row in rows:
        assert row.name and (row.source or row.status != "stated")
