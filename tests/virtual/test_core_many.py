"""Four chips of emulated cores in one process: right results, little memory."""

from pathlib import Path

import numpy as np
import pytest

from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.core import Core, Stop

SOURCE = """
start:  ldr     r0, =0x30000014
        ldr     r0, [r0]
        mov     r4, r0, lsr #24         @ physical number
        ldr     r5, =0xf2000000
        ldr     r6, =0x60000000
        add     r6, r6, r4, lsl #12     @ a page of SDRAM of its own
        mov     r7, #0x400000
        ldr     r0, =0x30000000
        ldr     r3, =1 << 24 | 4 << 21 | 4096
        stmib   r0, {r6, r7}
        str     r3, [r0, #12]
1:      ldr     r1, [r0, #20]
        tst     r1, #1 << 10
        beq     1b
        mov     r1, #8
        str     r1, [r0, #16]
        add     r2, r7, #4096
2:      ldr     r1, [r7]
        add     r1, r1, r4
        str     r1, [r7], #4
        cmp     r7, r2
        blo     2b
        sub     r7, r7, #4096
        orr     r3, r3, #1 << 19
        stmib   r0, {r6, r7}
        str     r3, [r0, #12]
3:      ldr     r1, [r0, #20]
        tst     r1, #1 << 10
        beq     3b
idle:   sleep
        b       idle
"""

CHIPS = 4
CORES = 17


def resident_bytes() -> int:
    path = Path("/proc/self/statm")
    if not path.exists():
        pytest.skip("the memory test reads /proc/self/statm, which this system lacks")
    return int(path.read_text().split()[1]) * 4096


def test_four_chips_of_cores_work_and_stay_small(assemble):
    program = assemble(SOURCE)
    chips = [ChipMemory() for _ in range(CHIPS)]
    for chip in chips:
        chip.sdram[: 18 * 4096].view("<u4")[:] = np.arange(18 * 1024)
    before = resident_bytes()
    cores = [Core(chip, 1 + i, program) for chip in chips for i in range(CORES)]
    assert all(core.boot() == Stop.SLEEPING for core in cores)
    used = (resident_bytes() - before) / len(cores)
    for core in cores:
        core.close()
    owner = np.arange(18 * 1024, dtype=np.uint32) // 1024
    for chip in chips:
        expected = np.arange(18 * 1024, dtype=np.uint32) + owner
        assert np.array_equal(chip.sdram[: 18 * 4096].view("<u4"), expected)
    assert used < 8 << 20  # a chip's SDRAM is 128 MiB, of which the cores touch 72 KiB
