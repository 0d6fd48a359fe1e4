"""Runs the recorded kernels on every application core and compares what they leave."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from orchestrator.boards.hardware.failures import CoreFailed
from orchestrator.boards.hardware.pieces import Read, Write
from orchestrator.boards.hardware.reports import CoreId, CoreReport
from orchestrator.boards.hardware.selftest.compare import Comparison, Difference, summary
from orchestrator.boards.hardware.selftest.door import Door
from orchestrator.boards.hardware.selftest.recording import Recording
from orchestrator.boards.hardware.selftest.report import Fault, Finding, count
from orchestrator.boards.hardware.selftest.silence import Silence
from orchestrator.errors import RunError
from orchestrator.machine.machine import Chip

_UNWRITTEN: Final = 0x5A5AA5A5
"""Where a core writes no result, this stays: zeros would pass for some results."""

Note = Callable[[str], None]
_Wave = dict[Chip, Sequence[CoreId]]


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
    silence : what is known not to answer; more is added.
    note : told what is being done.
    """

    def __init__(self, door: Door, recording: Recording, silence: Silence, note: Note) -> None:
        self._door = door
        self._recording = recording
        self._comparison = Comparison(recording)
        self._silence = silence
        self._note = note
        self._findings: list[Finding] = []

    def run(self, cores: Sequence[CoreId], timeout: float) -> list[Finding]:
        """Return what is wrong with cores; chips that do not answer are noted.

        Parameters
        ----------
        cores : to test; each runs all cases.
        timeout : seconds that all cores together may take.

        Raises
        ------
        CoreFailed
            Another host has ended the program.
        """
        self._note(f"writing operands and tapes to {count(len(_by_chip(cores)), 'chip')}")
        areas: dict[Chip, _Area] = {}
        for wave in self._waves(_by_chip(cores)):
            areas |= self._load(wave)
        tapes = {core: area.tapes[core] for area in areas.values() for core in area.tapes}
        if tapes:
            self._note(f"running {len(self._recording.cases)} cases on {count(len(tapes), 'core')}")
            reports = self._reports(tapes, timeout)
            self._check_ours(reports)
            ended = [core for core in reports if self._has_ended(core, reports[core], timeout)]
            self._note(f"comparing the results of {count(len(ended), 'core')} with the oracle")
            for wave in self._waves(_by_chip(ended)):
                self._compare({c: areas[chip].own[c] for chip in wave for c in wave[chip]})
        return sorted(self._findings, key=lambda f: (f.x, f.y, f.core or 0))

    def _waves(self, chips: Mapping[Chip, Sequence[CoreId]]) -> Iterator[_Wave]:
        """Yield chips in lots of at most one a board, so that boards move bytes side by side.

        Boards that have fallen silent since the last lot are left out.
        """
        boards: dict[int, list[Chip]] = {}
        for chip in chips:
            boards.setdefault(int(self._door.machine.board_at[chip]), []).append(chip)
        for wave in zip_longest(*boards.values()):
            asked = [chip for chip in wave if chip is not None and not self._silence.covers(chip)]
            if asked:
                yield {chip: chips[chip] for chip in asked}

    # ---- before ----

    def _load(self, wave: _Wave) -> dict[Chip, _Area]:
        """Write operands and tapes; return where, without chips that do not answer."""
        areas: dict[Chip, _Area] = {}
        for chip, cores in wave.items():
            try:
                areas[chip] = self._divide(chip, cores)
            except RunError as error:
                self._silence.note(chip, "taking memory", error)
        writes = {chip: self._writes(chip, area) for chip, area in areas.items()}
        try:
            self._door.write_many([write for part in writes.values() for write in part])
        except RunError:
            for chip, part in writes.items():  # one by one tells which chip it was
                try:
                    self._door.write_many(part)
                except RunError as error:
                    self._silence.note(chip, "writing operands", error)
                    del areas[chip]
        return areas

    def _divide(self, chip: Chip, cores: Sequence[CoreId]) -> _Area:
        recording = self._recording
        own_bytes, operand_bytes = _aligned(recording.own_bytes), _aligned(len(recording.operands))
        each = own_bytes + _aligned(recording.tape_bytes)
        shared = self._door.take(*chip, operand_bytes + len(cores) * each)
        first = shared + operand_bytes
        own = {core: first + i * each for i, core in enumerate(cores)}
        self._door.fill(*chip, first, _UNWRITTEN, len(cores) * each)
        return _Area(shared, own, {core: address + own_bytes for core, address in own.items()})

    def _writes(self, chip: Chip, area: _Area) -> list[Write]:
        recording = self._recording
        writes = [Write(*chip, area.shared, recording.operands)]
        for core, address in area.tapes.items():
            writes.append(Write(*chip, address, recording.tape(area.shared, area.own[core])))
        return writes

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
            if self._silence.covers(chip):
                continue
            try:
                self._door.start_tapes({core: tapes[core] for core in cores})
                found |= self._door.wait_tapes(cores, timeout)
            except RunError as error:
                self._silence.note(chip, "running cases", error)
        return found

    def _check_ours(self, reports: Mapping[CoreId, CoreReport]) -> None:
        """Raise CoreFailed if all cores have lost the program: some alone may never have had it."""
        taken = [core for core, report in reports.items() if report.taken_away]
        ended = tuple(core for core, report in reports.items() if report.finished)
        if not taken:
            return
        now = self._door.wait_tapes(ended, 0.0).values() if ended else ()
        if all(report.taken_away for report in now):
            raise CoreFailed(
                "another host has ended the test's program on all cores: one at a time can use a "
                "machine; nothing is known of its parts"
            )

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
        elif report.taken_away:
            fault = Fault.STOPPED
            text = "it runs no program"
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
        """Read what cores of a wave left, and note those that are wrong."""
        for core, data in self._read(results).items():
            differences = self._comparison.differences(data)
            if differences:
                self._findings.append(_wrong(core, differences))

    def _read(self, results: Mapping[CoreId, int]) -> dict[CoreId, bytes]:
        """Return cores' results, without those of chips that do not answer."""
        size = self._recording.results_bytes
        reads = {core: Read(core.x, core.y, at, size) for core, at in results.items()}
        try:
            found = self._door.read_many(list(reads.values()))
            return dict(zip(reads, map(bytes, found), strict=True))
        except RunError:
            pass  # chip by chip, below, tells which it was
        read: dict[CoreId, bytes] = {}
        for chip, cores in _by_chip(reads).items():
            try:
                found = self._door.read_many([reads[core] for core in cores])
                read |= zip(cores, map(bytes, found), strict=True)
            except RunError as error:
                self._silence.note(chip, "reading results", error)
        return read


def _wrong(core: CoreId, differences: tuple[Difference, ...]) -> Finding:
    first = differences[0]
    text = first.text
    if len(differences) > 1:
        kernels = ", ".join(f"{n} of {kernel}" for kernel, n in summary(differences).items())
        text += f"; {len(differences)} cases wrong: {kernels}"
    return Finding(
        x=core.x, y=core.y, core=core.p, fault=Fault.WRONG, test=first.case.name, text=text
    )


def _by_chip(cores: Iterable[CoreId]) -> dict[Chip, list[CoreId]]:
    found: dict[Chip, list[CoreId]] = {}
    for core in cores:
        found.setdefault((core.x, core.y), []).append(core)
    return found


def _aligned(size: int) -> int:
    """Return a size with the room that keeps what follows aligned, and a gap."""
    return -(-size // 64) * 64 + 64
