"""How many bits turned in a core's instruction memory the self-test finds.

Usage: PYTHONPATH=. python tests/boards/selftest/turned_bits.py COUNT SEED
"""

import random
import sys
from collections import Counter

from orchestrator.boards.hardware.selftest.cases import every_case
from orchestrator.boards.hardware.selftest.compare import Comparison
from orchestrator.boards.hardware.selftest.recording import record
from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.core import Core, CoreStopped
from orchestrator.virtual.image import Image, build_image
from orchestrator.wire.layout import USER_HEAP

NUMBER, ROOM, CYCLES = 1, 2 << 20, 60_000_000
USER0, DONE = 112, 96


def turn_bits(image: Image, count: int, seed: int) -> Counter[str]:
    """Turn one bit of a core, run all cases, and so on with fresh cores; count how they end."""
    recording = record(every_case(), image.symbols)
    comparison = Comparison(recording)
    shared, own, tape = (USER_HEAP + i * ROOM for i in range(3))
    draw = random.Random(seed)
    ends: Counter[str] = Counter()
    for _ in range(count):
        chip = ChipMemory(16 << 20)
        core = Core(chip, NUMBER, image)
        core.boot()
        chip.write(shared, recording.operands)
        chip.write(own, b"\x5a" * recording.own_bytes)
        chip.write(tape, recording.tape(shared, own))
        core.itcm[draw.randrange(image.symbols["text_end"])] ^= 1 << draw.randrange(8)
        vcpu = chip.vcpu(NUMBER)
        chip.write_word(vcpu + USER0, tape)
        chip.write_word(vcpu + USER0 + 4, 1)
        core.interrupt()
        try:
            core.run(CYCLES)
        except CoreStopped:
            ends["stopped"] += 1
        else:
            if chip.read_word(vcpu + DONE) != 1:
                ends["not finished"] += 1
            elif comparison.differences(chip.read(own, recording.results_bytes)):
                ends["wrong result"] += 1
            else:
                ends["not found"] += 1
        core.close()
    return ends


if __name__ == "__main__":
    for end, found in turn_bits(build_image(), int(sys.argv[1]), int(sys.argv[2])).most_common():
        print(f"{found:5} {end}")
