"""A machine in this process for the self-test: chips with emulated cores, links between them."""

from collections.abc import Mapping, Sequence

import numpy as np

from orchestrator.boards.hardware.failures import LinkDead, Refused
from orchestrator.boards.hardware.pieces import Read, Write
from orchestrator.boards.hardware.reports import CoreId, CoreReport, read_block
from orchestrator.errors import RunError
from orchestrator.machine import Faults, Link, Machine
from orchestrator.machine.machine import Chip
from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.core import Core, CoreStopped
from orchestrator.virtual.image import Image
from orchestrator.wire.layout import DTCM, SYSTEM_VARIABLES, USER_HEAP, VCPU_BYTES
from orchestrator.wire.numbers import Result

SDRAM_BYTES = 16 << 20
APP_ID = 16


class InProcess:
    """A `Door` to chips in this process (see `orchestrator.boards.hardware.selftest.door`).

    Parameters
    ----------
    machine : its chips and links.
    image : what every core runs.
    cores : virtual cores of each chip.
    """

    def __init__(
        self,
        machine: Machine,
        image: Image,
        cores: Sequence[int],
        dead: Faults = Faults(),  # noqa: B008  (frozen)
    ) -> None:
        self.machine = machine
        self.dead = dead
        self.broken: set[tuple[int, int, Link]] = set()
        self.crossed: dict[tuple[int, int, Link], Chip] = {}
        self.corrupting: set[tuple[int, int, Link]] = set()
        self.silent: set[Chip] = set()
        self.lost: RunError | None = None
        self.asked = 0
        self.chips: dict[Chip, ChipMemory] = {}
        self.running: dict[CoreId, Core] = {}
        self.written = 0
        self._next: dict[Chip, int] = {}
        self._sequence = 0
        for x, y in np.argwhere(machine.cores > 0).tolist():
            memory = self.chips[x, y] = ChipMemory(SDRAM_BYTES)
            memory.write(SYSTEM_VARIABLES, bytes([y, x]))
            self._next[x, y] = USER_HEAP
            for p in cores:
                core = self.running[CoreId(x, y, p)] = Core(memory, p, image)
                core.boot(APP_ID)

    def close(self) -> None:
        """Free the cores."""
        for core in self.running.values():
            core.close()

    def rewind(self) -> None:
        """Take memory from the start again; cores boot anew."""
        self._next = dict.fromkeys(self._next, USER_HEAP)
        for core in self.running.values():
            core.boot(APP_ID)

    @property
    def cores(self) -> tuple[CoreId, ...]:
        return tuple(self.running)

    def _memory(self, x: int, y: int) -> ChipMemory:
        self.asked += 1
        if self.lost is not None:
            raise self.lost
        if (x, y) in self.silent:
            raise Refused(f"chip ({x}, {y}) does not answer", Result.ROUTE)
        return self.chips[x, y]

    def take(self, x: int, y: int, n_bytes: int) -> int:
        self._memory(x, y)
        address = self._next[x, y]
        self._next[x, y] += -(-n_bytes // 8) * 8
        return address

    def write(self, x: int, y: int, address: int, data: bytes) -> None:
        self.written += len(data)
        self._memory(x, y).write(address, data)

    def read(self, x: int, y: int, address: int, size: int) -> bytes:
        return self._memory(x, y).read(address, size)

    def write_many(self, writes: Sequence[Write]) -> None:
        for w in writes:
            self.write(w.x, w.y, w.address, bytes(w.data))

    def read_many(self, reads: Sequence[Read]) -> list[bytes]:
        return [self.read(r.x, r.y, r.address, r.size) for r in reads]

    def fill(self, x: int, y: int, address: int, word: int, n_bytes: int) -> None:
        self._memory(x, y).write(address, word.to_bytes(4, "little") * (n_bytes // 4))

    def start_tapes(self, tapes: Mapping[CoreId, int]) -> int:
        self._sequence += 1
        for core, address in tapes.items():
            memory = self._memory(core.x, core.y)
            memory.write_word(core.user, address)
            memory.write_word(core.user + 4, self._sequence)
        return self._sequence

    def wait_tapes(self, cores: Sequence[CoreId], timeout: float) -> dict[CoreId, CoreReport]:
        """Run each core; the time-out is a number of millions of cycles."""
        found = {}
        for name in cores:
            core = self.running[name]
            core.interrupt()
            try:
                core.run(int(timeout * 1e6))
            except CoreStopped:
                pass  # the image's own handler has left what the report reads
            block = self._memory(name.x, name.y).read(name.vcpu, VCPU_BYTES)
            report = read_block(name, block).report
            fields = {f: getattr(report, f) for f in report.__dataclass_fields__}
            found[name] = CoreReport(**fields | {"sequence": self._sequence})
        return found

    def _across(self, x: int, y: int, link: Link) -> Chip:
        self._memory(x, y)
        neighbour = self.crossed.get((x, y, link)) or self.machine.neighbour(x, y, link)
        if neighbour is None or (x, y, link) in self.broken or neighbour in self.silent:
            raise LinkDead(f"link {int(link)} of chip ({x}, {y}): no answer", Result.TIMEOUT)
        return neighbour

    def link_read(self, x: int, y: int, link: Link, address: int, size: int) -> bytes:
        return self.read(*self._across(x, y, link), address, size)

    def link_write(self, x: int, y: int, link: Link, address: int, data: bytes) -> None:
        if (x, y, link) in self.corrupting:
            data = data[:100] + bytes([data[100] & 0xFE]) + data[101:]
        self.write(*self._across(x, y, link), address, data)


def flip(core: Core, symbol: str, offset: int, bit: int) -> None:
    """Turn a bit around that lies so many bytes and bits behind a symbol of a core's image."""
    address = core.image.symbols[symbol] + offset + bit // 8
    memory, base = (core.itcm, 0) if address < DTCM else (core.dtcm, DTCM)
    memory[address - base] ^= 1 << bit % 8
