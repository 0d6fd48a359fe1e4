"""Records calls of kernels as a tape that any core runs, and reads their results from its bytes.

Kernels put operands, take room for results, run tasks and get results. Here nothing runs: a call is
made once to lay out its memory and write down its tasks, and again, over the bytes that a core left
behind, to turn them into the call's results.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from orchestrator.boards.hardware.selftest.cases import Case
from orchestrator.errors import RunError
from orchestrator.virtual.arm_kernels import TaskKernels
from orchestrator.virtual.arm_kernels.runner import TaskDoor
from orchestrator.virtual.tasks import Copy, Task, tape
from orchestrator.virtual.tasks_element import Add, Bits

Array = NDArray[Any]
Number = TypeVar("Number", bound=np.generic)

_ALIGNMENT: Final = 8


@dataclass(frozen=True)
class Places:
    """Where a call's memory begins, or how much there is of each kind.

    Attributes
    ----------
    shared : operands, which no task writes: one copy for all cores of a chip.
    results : what is read back; each core has its own.
    scratch : what else a core writes; nothing in it survives a case.
    """

    shared: int = 0
    results: int = 0
    scratch: int = 0

    def __add__(self, other: "Places") -> "Places":
        """Return the sum of each."""
        return Places(
            self.shared + other.shared,
            self.results + other.results,
            self.scratch + other.scratch,
        )


_ORIGIN: Final = Places(0x10000000, 0x20000000, 0x30000000)
"""Addresses while recording: so far apart that each tells of which kind it is."""


class _Layout(TaskDoor):
    """Hands out addresses and notes tasks and operands.

    Parameters
    ----------
    symbols : of the image that will run the tasks.
    places : where each kind of memory begins.
    fetched : which of the arrays, in the order in which they were placed, are results.
    operands : those that earlier calls have placed, and where; this call's are added.
    results : what a core left at `places.results`; None: nothing yet, results are zeros.
    """

    def __init__(
        self,
        symbols: Mapping[str, int],
        places: Places,
        fetched: frozenset[int],
        operands: dict[bytes, int],
        results: bytes | None = None,
    ) -> None:
        self._symbols = symbols
        self._first = places
        self._shared, self._own = places.shared, {True: places.results, False: places.scratch}
        self._fetched = fetched
        self._operands = operands
        self._results = results
        self._arrays: list[int] = []
        self.got: set[int] = set()
        self.tasks: list[Task] = []

    @property
    def symbols(self) -> Mapping[str, int]:
        """Addresses in the image."""
        return self._symbols

    @property
    def taken(self) -> Places:
        """How many bytes of each kind the calls so far need."""
        first = self._first
        return Places(
            self._shared - first.shared,
            self._own[True] - first.results,
            self._own[False] - first.scratch,
        )

    def clear(self) -> None:
        """Go on: a recorded call keeps its memory until its results are read."""

    def take(self, size: int) -> int:
        """Return the address of so many bytes of a core's own."""
        is_result = len(self._arrays) in self._fetched
        address = self._own[is_result]
        self._own[is_result] += -(-size // _ALIGNMENT) * _ALIGNMENT
        self._arrays.append(address)
        return address

    def put(self, array: Array) -> int:
        """Return where an operand will be; one that is also a result is copied for each core."""
        data = np.ascontiguousarray(array).tobytes()
        data += bytes(-len(data) % _ALIGNMENT)
        source = self._operands.get(data)
        if source is None:
            source = self._operands[data] = self._shared
            self._shared += len(data)
        if len(self._arrays) not in self._fetched:
            self._arrays.append(source)
            return source
        target = self.take(len(data))
        self.tasks.append(Copy(source=source, target=target, bytes=len(data)))
        return target

    def get(self, address: int, dtype: type[Number], shape: tuple[int, ...]) -> NDArray[Number]:
        """Return a result."""
        self.got.add(max((a, i) for i, a in enumerate(self._arrays) if a <= address)[1])
        if self._results is None:
            return np.zeros(shape, dtype)
        start = address - self._first.results
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return np.frombuffer(self._results[start : start + size], dtype).reshape(shape).copy()

    def run(self, *tasks: Task) -> None:
        """Note tasks."""
        self.tasks += tasks


@dataclass(frozen=True)
class Called:
    """What a kernel returned, and its arguments afterwards."""

    returned: Any
    arguments: tuple[Any, ...]


def copies(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a call's arguments with copies of its arrays."""
    return tuple(a.copy() if isinstance(a, np.ndarray) else a for a in arguments)


class SelfTestKernels(_Layout, TaskKernels):
    """All kernels of a replica, and those that only move and add."""

    def copy(self, source: Array, target: Array) -> None:
        """Copy bytes, a multiple of 8 of them."""
        task = Copy(source=self.put(source), target=self.take(source.nbytes), bytes=source.nbytes)
        self.run(task)
        target[...] = self.get(task.target, np.uint8, target.shape)

    def add(self, total: Array, parts: Array) -> None:
        """Add int32 parts [n, stride] to the total."""
        n, stride = parts.shape
        task = Add(
            total=self.put(total), addend=self.put(parts), count=total.size, parts=n, stride=stride
        )
        self.run(task)
        total[...] = self.get(task.total, np.int32, total.shape)

    def dtcm(self, pattern: Array) -> int:
        """Return which bits of the data memory were wrong for a pattern or its complement.

        A copy takes its data through the whole of the workspace. A word and its complement add up
        to -1, whose bits t ^ (t >> 31) are 0, so the OR of those names every bit that fails.
        """
        copies = [
            Copy(source=self.put(p), target=self.take(p.nbytes), bytes=p.nbytes)
            for p in (pattern, ~pattern)
        ]
        total, addend = (task.target for task in copies)
        add = Add(total=total, addend=addend, count=pattern.size, parts=1, stride=pattern.size)
        bits = Bits(t=total, count=pattern.size, report=self.take(16))
        self.run(*copies, add, bits)
        return self.report(bits.report)[0]


@dataclass(frozen=True)
class RecordedCase:
    """A case, its tasks' place on the tape and its results' place in what is read back.

    Attributes
    ----------
    case : the call.
    first_task, tasks : index of its first task on the tape, and how many it has.
    first_byte, size : of its results.
    fetched : which of its arrays are results.
    """

    case: Case
    first_task: int
    tasks: int
    first_byte: int
    size: int
    fetched: frozenset[int]

    def part(self, results: bytes) -> bytes:
        """Return this case's part of a core's results."""
        return results[self.first_byte : self.first_byte + self.size]

    def read(self, symbols: Mapping[str, int], part: bytes) -> Called:
        """Return what the kernel gave, from this case's part of a core's results."""
        return _call(SelfTestKernels(symbols, _ORIGIN, self.fetched, {}, part), self.case)


@dataclass(frozen=True)
class Recording:
    """All cases as one tape.

    Attributes
    ----------
    symbols : of the image that runs it.
    cases : in the tape's order.
    operands : the bytes that all cores of a chip share.
    results_bytes : read back from each core.
    own_bytes : of each core's own memory; the results come first.
    """

    symbols: Mapping[str, int]
    cases: tuple[RecordedCase, ...]
    operands: bytes
    results_bytes: int
    own_bytes: int
    _words: NDArray[np.uint32]
    _moving: Mapping[str, NDArray[np.bool_]]

    @property
    def tape_bytes(self) -> int:
        """Length of a core's tape with its end, and what the core reads beyond it."""
        return self._words.nbytes

    def tape(self, shared: int, own: int) -> bytes:
        """Return the tape of a core: operands at one address, its own memory at another."""
        words = self._words.copy()
        target = Places(shared, own, own + self.results_bytes)
        for kind, moving in self._moving.items():
            distance = (getattr(target, kind) - getattr(_ORIGIN, kind)) & 0xFFFFFFFF
            words[moving] += np.uint32(distance)
        return words.astype("<u4").tobytes()

    def case_of_task(self, task: int) -> Case:
        """Return the case that the task of an index belongs to; the last one's for a larger."""
        reached = [r for r in self.cases if r.first_task <= task]
        return reached[-1].case


def record(cases: Sequence[Case], symbols: Mapping[str, int]) -> Recording:
    """Return cases as one tape.

    Addresses among a tape's words are found by laying it out anew with one kind of memory moved.
    """
    first = _Layouts(cases, symbols, _ORIGIN)
    words = first.words()
    moving = {}
    for kind in ("shared", "results", "scratch"):
        moved = _Layouts(cases, symbols, _ORIGIN + Places(**{kind: _ALIGNMENT})).words() - words
        if not np.isin(moved, (0, _ALIGNMENT)).all():
            raise RunError("the self-test's tape changes with its place beyond its addresses")
        moving[kind] = moved > 0
    return Recording(
        symbols=symbols,
        cases=tuple(first.recorded),
        operands=b"".join(first.operands),
        results_bytes=first.results_bytes,
        own_bytes=first.results_bytes + first.scratch_bytes,
        _words=words,
        _moving=moving,
    )


class _Layouts:
    """All cases laid out from some place on."""

    def __init__(self, cases: Sequence[Case], symbols: Mapping[str, int], origin: Places) -> None:
        self.recorded: list[RecordedCase] = []
        self.operands: dict[bytes, int] = {}
        self.results_bytes = self.scratch_bytes = 0
        self._tasks: list[Task] = []
        place = origin
        for case in cases:
            probe = SelfTestKernels(symbols, origin, frozenset(), {})
            _call(probe, case)
            fetched = frozenset(probe.got)
            kernels = SelfTestKernels(symbols, place, fetched, self.operands)
            _call(kernels, case)
            taken = kernels.taken
            self.recorded.append(
                RecordedCase(
                    case=case,
                    first_task=len(self._tasks),
                    tasks=len(kernels.tasks),
                    first_byte=self.results_bytes,
                    size=taken.results,
                    fetched=fetched,
                )
            )
            self._tasks += kernels.tasks
            self.results_bytes += taken.results
            self.scratch_bytes = max(self.scratch_bytes, taken.scratch)
            place += Places(taken.shared, taken.results)

    def words(self) -> NDArray[np.uint32]:
        """Return the tape with its end."""
        return np.frombuffer(tape(self._tasks), "<u4").astype(np.uint32)


def _call(kernels: SelfTestKernels, case: Case) -> Called:
    """Call a case's kernel on copies of its arguments."""
    arguments = copies(case.arguments)
    return Called(getattr(kernels, case.kernel)(*arguments), arguments)
