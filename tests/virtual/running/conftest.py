"""A machine of a few chips around cores that run code, without a monitor and without sockets."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from programs import assemble_program

from orchestrator.machine import Link
from orchestrator.virtual.chip import SYSTEM_VARIABLES, ChipMemory
from orchestrator.virtual.image import aplx
from orchestrator.virtual.monitor.heap import Heap
from orchestrator.virtual.monitor.memory import AddressSpace
from orchestrator.virtual.running import RunningCores
from orchestrator.wire.datagrams import SdpMessage
from orchestrator.wire.layout import LOAD_AREA, SDRAM_END, SYSTEM_HEAP, Sv, Vcpu
from orchestrator.wire.numbers import CoreState, Result

Chip = tuple[int, int]
PHYSICAL = (2, 0, 1, *range(3, 18))
"""The monitor is on physical core 2, so that virtual and physical numbers differ."""


class Row:
    """Chips in a row, (0, 0), (1, 0) ..., linked east and west; what the cores ask of a machine."""

    def __init__(self, n_chips: int) -> None:
        self.chips = {(x, 0): ChipMemory(physical_cores=PHYSICAL) for x in range(n_chips)}
        self.dead_links: set[tuple[int, int, Link]] = set()
        self.losses: dict[tuple[int, int, Link], float] = {}
        self.sent: list[tuple[Chip, SdpMessage]] = []
        self.states: dict[tuple[Chip, int], list[CoreState]] = {}
        self.time = 0.0
        for memory in self.chips.values():
            heap = Heap(AddressSpace(memory), SYSTEM_HEAP)
            heap.create(SDRAM_END)
            memory.write_word(SYSTEM_VARIABLES + Sv.SYSTEM_HEAP, SYSTEM_HEAP)
            memory.write_word(SYSTEM_VARIABLES + Sv.IOBUF_BYTES, 24)

    def memory(self, x: int, y: int) -> ChipMemory:
        return self.chips[x, y]

    def neighbour(self, x: int, y: int, link: Link) -> Chip | None:
        there = x + link.step[0], y + link.step[1]
        return there if there in self.chips and (x, y, link) not in self.dead_links else None

    def loss(self, x: int, y: int, link: Link) -> float:
        return self.losses.get((x, y, link), 0.0)

    def send(self, x: int, y: int, message: SdpMessage) -> Result:
        self.sent.append(((x, y), message))
        return Result.OK

    def changed(self, x: int, y: int, core: int, state: CoreState) -> None:
        self.states.setdefault(((x, y), core), []).append(state)


class Bench:
    """Loads programs on cores of a `Row`, as a monitor does, and looks at them."""

    def __init__(self, n_chips: int, seed: int) -> None:
        self.row = Row(n_chips)
        self.cores = RunningCores(self.row, seed, clock=lambda: self.row.time)

    def load(
        self, program: bytes, *cores: int, chip: Chip = (0, 0), app_id: int = 30, wait: bool = False
    ) -> None:
        memory = self.row.chips[chip]
        memory.write(LOAD_AREA, program)
        for core in cores:
            block = bytearray(128)
            block[Vcpu.PHYSICAL_CORE] = memory.physical_cores[core]
            block[Vcpu.STATE] = CoreState.INITIALISING
            block[Vcpu.APP_ID] = app_id
            memory.write(memory.vcpu(core), block)
        self.cores.load(*chip, cores, app_id, wait=wait)

    def settle(self, seconds: float = 0.0) -> float | None:
        """Let the host's time go on, and cores run until nothing is left to do."""
        self.row.time += seconds
        for _ in range(10_000):
            pause = self.cores.poll(0.0)
            if pause != 0.0:
                return pause
        raise AssertionError("the cores never come to rest")

    def run(self, cycles: int) -> None:
        """Let cores run, round by round, for so many cycles of the machine's time."""
        until = self.cores.now + cycles
        while self.cores.now < until:
            assert self.cores.poll(0.0) == 0.0, "all cores sleep"

    def state(self, core: int, chip: Chip = (0, 0)) -> int:
        return self.vcpu(core, chip)[Vcpu.STATE]

    def vcpu(self, core: int, chip: Chip = (0, 0)) -> bytes:
        memory = self.row.chips[chip]
        return memory.read(memory.vcpu(core), 128)

    def words(self, address: int, count: int, chip: Chip = (0, 0)) -> list[int]:
        data = self.row.chips[chip].read(address, 4 * count)
        return [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]

    def iobuf(self, core: int, chip: Chip = (0, 0)) -> str:
        """Return a core's text, as a host reads it."""
        at, text = int.from_bytes(self.vcpu(core, chip)[Vcpu.IOBUF :][:4], "little"), b""
        while at:
            following, _, _, used = self.words(at, 4, chip)
            text += self.row.chips[chip].read(at + 16, used)
            at = following
        return text.decode("ascii")


@pytest.fixture
def benches() -> Iterator[Callable[..., Bench]]:
    """Make benches; their cores end with the test."""
    made: list[Bench] = []

    def make(n_chips: int = 1, seed: int = 0) -> Bench:
        made.append(Bench(n_chips, seed))
        return made[-1]

    yield make
    for bench in made:
        bench.cores.close()


@pytest.fixture
def bench(benches: Callable[..., Bench]) -> Bench:
    """One chip."""
    return benches()


@pytest.fixture
def build(tmp_path: Path) -> Callable[[str], bytes]:
    """Make an APLX file of assembly source."""
    count = iter(range(100))

    def make(source: str) -> bytes:
        folder = tmp_path / str(next(count))
        folder.mkdir()
        return aplx(assemble_program(source, folder).segments)

    return make
