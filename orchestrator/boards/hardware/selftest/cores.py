"""Runs the recorded kernels on every application core and compares what they leave."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.boards.hardware.pieces import Read, Write
from orchestrator.boards.hardware.reports import CoreId, CoreReport
from orchestrator.boards.hardware.selftest.compare import Comparison, Difference, summary
from orchestrator.boards.hardware.selftest.door import Door
from orchestrator.boards.hardware.selftest.recording import Recording
from orchestrator.boards.hardware.selftest.report import Fault, Finding
from orchestrator.errors import RunError
from orchestrator.machine.machine import Chip

_UNWRITTEN: Final = 0x5A5AA5A5
"""Where a core writes no result, this stays: zeros would pass for some results."""

_BATCH: Final = 4 << 20
"""Bytes read at a time: a board's results need not lie in the host's memory at once."""

Note = Callable[[str], None]


@dataclass(frozen=True)
class _Area:
    """A chip's SDRAM of the self-test: operands, then each core's own memory and tape."""

    shared: int
    own: Mapping[CoreId, int]
    tapes: Mapping[CoreId, int]


class CoreTest:
    """The kernels' cases on cores of a machine.

    Parameters
    ----------
    door : to the machine.
    recording : of the cases.
    note : told what is being done.
    """

    def __init__(self, door: Door, recording: Recording, note: Note) -> None:
        self._door = door
        self._recording = recording
        self._comparison = Comparison(recording)
        self._note = note
        self._findings: list[Finding] = []

    def run(self, cores: Sequence[CoreId], timeout: float) -> list[Finding]:
        """Return what is wrong with cores and with chips that do not answer.

        Parameters
        ----------
        cores : to test; each runs all cases.
        timeout : seconds that all cores together may take.
        """
        areas = dict(self._load(_by_chip(cores)))
        ready = [core for core in cores if (core.x, core.y) in areas]
        tapes = {core: areas[core.x, core.y].tapes[core] for core in ready}
        if tapes:
            self._note(f"running {len(self._recording.cases)} cases on {len(tapes)} cores")
            reports = self._reports(tapes, timeout)
            ended = [core for core in reports if self._has_ended(core, reports[core], timeout)]
            self._compare({core: areas[core.x, core.y].own[core] for core in ended})
        return sorted(self._findings, key=lambda f: (f.x, f.y, f.core or 0))

    # ---- before ----

    def _load(self, chips: Mapping[Chip, Sequence[CoreId]]) -> Iterator[tuple[Chip, _Area]]:
        self._note(f"writing operands and tapes to {len(chips)} chips")
        for chip, cores in chips.items():
            try:
                yield chip, self._load_chip(chip, cores)
            except RunError as error:
                self._silent(chip, "writing operands", error)

    def _load_chip(self, chip: Chip, cores: Sequence[CoreId]) -> _Area:
        door, recording = self._door, self._recording
        own_bytes, tape_bytes = _aligned(recording.own_bytes), _aligned(recording.tape_bytes)
        operand_bytes = _aligned(len(recording.operands))
        each = own_bytes + tape_bytes
        shared = door.take(*chip, operand_bytes + len(cores) * each)
        first = shared + operand_bytes
        own = {core: first + i * each for i, core in enumerate(cores)}
        tapes = {core: address + own_bytes for core, address in own.items()}
        door.fill(*chip, first, _UNWRITTEN, len(cores) * each)
        writes = [Write(*chip, shared, recording.operands)]
        writes += [Write(*chip, tapes[c], recording.tape(shared, own[c])) for c in cores]
        door.write_many(writes)
        return _Area(shared, own, tapes)

    # ---- meanwhile ----

    def _reports(self, tapes: Mapping[CoreId, int], timeout: float) -> dict[CoreId, CoreReport]:
        """Run the tapes; leave out the cores of chips that fall silent."""
        try:
            self._door.start_tapes(tapes)
            return dict(self._door.wait_tapes(tuple(tapes), timeout))
        except RunError:
            pass  # chip by chip, below, tells which it was
        found: dict[CoreId, CoreReport] = {}
        for chip, cores in _by_chip(tapes).items():
            try:
                self._door.start_tapes({core: tapes[core] for core in cores})
                found |= self._door.wait_tapes(cores, timeout)
            except RunError as error:
                self._silent(chip, "running cases", error)
        return found

    # ---- after ----

    def _has_ended(self, core: CoreId, report: CoreReport, timeout: float) -> bool:
        if report.finished:
            return True
        case = self._recording.case_of_task(report.tasks_done)
        if report.failed:
            fault = Fault.STOPPED
            cause = str(report).splitlines()
            text = cause[1] if len(cause) > 1 else report.state.name
            text += f", near {self._symbol(report.lr)}"
        else:
            fault = Fault.LATE
            text = f"still at task {report.tasks_done} after {timeout:g} s, {report.state.name}"
        finding = Finding(
            x=core.x, y=core.y, core=core.p, fault=fault, test=case.name, text=text,
            detail=str(report),
        )  # fmt: skip
        self._findings.append(finding)
        return False

    def _symbol(self, address: int) -> str:
        """Return the function of the image at or below an address."""
        below = [(at, name) for name, at in self._recording.symbols.items() if at <= address]
        if not below:
            return f"0x{address:08x}"
        at, name = max(below)
        return f"{name}+0x{address - at:x}"

    def _compare(self, results: Mapping[CoreId, int]) -> None:
        size = self._recording.results_bytes
        reads = [Read(core.x, core.y, address, size) for core, address in results.items()]
        self._note(f"comparing results of {len(reads)} cores with the oracle")
        found = zip(results, self._read(reads), strict=True)
        for core, data in found:
            if data is None:
                continue
            differences = self._comparison.differences(data)
            if differences:
                self._findings.append(_wrong(core, differences))

    def _read(self, reads: Sequence[Read]) -> Iterator[bytes | None]:
        """Yield what is read; None for a chip that does not answer, which is noted once."""
        silent: set[Chip] = set()
        for batch in _batches(reads):
            try:
                yield from map(bytes, self._door.read_many(batch))
                continue
            except RunError:
                pass  # one by one, below, tells which chip it was
            for read in batch:
                chip = (read.x, read.y)
                try:
                    if chip in silent:
                        raise RunError
                    data = bytes(self._door.read(*chip, read.address, read.size))
                except RunError as error:
                    if chip not in silent:
                        self._silent(chip, "reading results", error)
                    silent.add(chip)
                    yield None
                else:
                    yield data

    def _silent(self, chip: Chip, doing: str, error: RunError) -> None:
        finding = Finding(x=chip[0], y=chip[1], fault=Fault.SILENT, test=doing, text=str(error))
        self._findings.append(finding)


def _wrong(core: CoreId, differences: tuple[Difference, ...]) -> Finding:
    first = differences[0]
    text = first.text
    if len(differences) > 1:
        kernels = ", ".join(f"{n} of {kernel}" for kernel, n in summary(differences).items())
        text += f"; {len(differences)} cases wrong: {kernels}"
    return Finding(
        x=core.x, y=core.y, core=core.p, fault=Fault.WRONG, test=first.case.name, text=text
    )


def _batches(reads: Sequence[Read]) -> Iterator[list[Read]]:
    """Yield reads in lists of about `_BATCH` bytes."""
    batch: list[Read] = []
    for read in reads:
        batch.append(read)
        if sum(r.size for r in batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _by_chip(cores: Iterable[CoreId]) -> dict[Chip, list[CoreId]]:
    found: dict[Chip, list[CoreId]] = {}
    for core in cores:
        found.setdefault((core.x, core.y), []).append(core)
    return found


def _aligned(size: int) -> int:
    """Return a size with the room that keeps what follows aligned, and a gap."""
    return -(-size // 64) * 64 + 64
