"""One booted machine: memory, programs, tapes.

Memory goes over our own connections, one a board; loading and signals go through spinnman. A
process controls one machine at a time.
"""

import contextlib
import dataclasses
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from orchestrator.boards.hardware.bmp import BmpLink
from orchestrator.boards.hardware.boards import Boards
from orchestrator.boards.hardware.discovery import Discovered
from orchestrator.boards.hardware.failures import BoardDead, CoreFailed, MachineTimeout
from orchestrator.boards.hardware.image import loadable
from orchestrator.boards.hardware.memory import MachineMemory
from orchestrator.boards.hardware.pieces import Piece, Write
from orchestrator.boards.hardware.reports import FAILED, CoreId, CoreReport
from orchestrator.boards.hardware.spinnman_session import SpinnmanSession
from orchestrator.errors import ArgumentError
from orchestrator.machine.machine import Faults, Machine
from orchestrator.wire.numbers import CoreState, Signal

APP_ID: Final = 16
"""The application of our cores: the first number that is not the system software's."""

LOAD_S: Final = 10.0
LOAD_S_PER_CORE: Final = 0.1
"""Time for loaded cores to start, seconds: emulated cores of one computer start one by one."""

WAKE: Final = Signal.USER0
"""Makes the system software interrupt our cores, which then look for a new tape."""

LOADED: Final = frozenset(
    {
        *(CoreState.READY, CoreState.C_MAIN, CoreState.RUNNING, CoreState.SYNC0),
        *(CoreState.SYNC1, CoreState.PAUSED, CoreState.FINISHED),
    }
)
"""States of a core that has started its program."""

_LAST_TAG: Final = 255
_WORD: Final = 4
_FIRST_POLL_S: Final = 0.005
_LONGEST_POLL_S: Final = 0.1
_NAMED: Final = 5
"""Parts that an error names at most."""


class Holder(Protocol):
    """What holds the boards for us."""

    def check(self) -> None:
        """Raise JobLost or ServerAway if it does so no more."""


class MachineControl(MachineMemory):
    """A booted machine; `open_machine` makes one.

    Parameters
    ----------
    boards
        As `open_machine` was given.
    session
        spinnman's side.
    discovered
        What the machine consists of.
    job
        What holds the boards.
    patience_s
        How long a board may be silent, seconds.

    Attributes
    ----------
    boards
        As given.
    """

    def __init__(
        self,
        boards: Boards,
        session: SpinnmanSession,
        discovered: Discovered,
        job: Holder | None,
        patience_s: float,
    ):
        super().__init__(discovered.ethernet, discovered.board_of, patience_s=patience_s)
        self.boards = boards
        self._session = session
        self._discovered = discovered
        self._job = job
        self._sequence = 0
        self._given: dict[CoreId, int] = {}
        self._taken: dict[tuple[int, int], int] = {}

    def carry_out(self, pieces: Sequence[Piece]) -> list[Any]:
        """Carry out pieces in any order, boards at the same time; see `exchange` for results."""
        with self._explained():
            return super().carry_out(pieces)

    @property
    def machine(self) -> Machine:
        """The working parts."""
        return self._discovered.machine

    @property
    def dead(self) -> Faults:
        """Parts that machines of this shape have and this one lacks."""
        return self._discovered.dead

    @property
    def cores(self) -> tuple[CoreId, ...]:
        """All application cores, by chip and number."""
        return self._discovered.cores

    @property
    def ethernet(self) -> Mapping[tuple[int, int], str]:
        """Address of each board by the coordinates of its Ethernet chip."""
        return self._discovered.ethernet

    def take(self, x: int, y: int, size: int) -> int:
        """Return the address, a multiple of 8, of new SDRAM of a chip, which `stop` gives back.

        At most 255 blocks a chip between two calls of `stop`.

        Raises
        ------
        Refused
            The chip has no such block.
        """
        tag = self._taken.get((x, y), 0) + 1
        if tag > _LAST_TAG:
            raise ArgumentError(
                f"{_LAST_TAG} blocks of chip ({x}, {y}) were taken: stop() gives them back"
            )
        address = self.allocate(x, y, size + _WORD, APP_ID, tag)  # a multiple of 4
        self._taken[x, y] = tag
        return address + address % (2 * _WORD)

    # ---- cores ---------------------------------------------------------------------------------

    def load(
        self,
        image: bytes,
        cores: Collection[CoreId] | None = None,
        states: Collection[CoreState] = LOADED,
    ) -> None:
        """Load an image on cores, all of them by default, and wait until it runs there.

        Parameters
        ----------
        states
            Of loaded cores. With `FAILED` among them, cores that fail are left to the caller.

        Raises
        ------
        ArgumentError
            The image is too large, or there is no such core.
        CoreFailed
            It met an error on the way, and that is not waited for.
        MachineTimeout
            A core does not start.
        """
        chosen = self._chosen(cores)
        with self._explained():
            self._session.flood(loadable(image), APP_ID, chosen)
        self.wait(states, chosen, LOAD_S + LOAD_S_PER_CORE * len(chosen))

    def signal(self, signal: Signal) -> None:
        """Send a signal to all our cores."""
        with self._explained():
            self._session.signal(APP_ID, signal)

    def stop(self) -> None:
        """End the program on all cores, which are idle then; free its memory."""
        with self._explained():
            self._session.stop(APP_ID)
        self._given.clear()
        self._taken.clear()

    def reports(self, cores: Collection[CoreId] | None = None) -> list[CoreReport]:
        """Return what cores, all by default, say of themselves, in their order."""
        blocks = self.blocks(self._chosen(cores))
        texts = self.printed(blocks)
        return [
            dataclasses.replace(block.report, iobuf=texts[block.report.core]) for block in blocks
        ]

    def states(self, cores: Collection[CoreId] | None = None) -> dict[CoreId, CoreState]:
        """Return the states of cores, all by default."""
        blocks = self.blocks(self._chosen(cores))
        return {block.report.core: block.report.state for block in blocks}

    def iobuf(self, cores: Collection[CoreId] | None = None) -> dict[CoreId, str]:
        """Return what cores, all by default, have printed."""
        return {report.core: report.iobuf for report in self.reports(cores)}

    def wait(
        self,
        states: Collection[CoreState],
        cores: Collection[CoreId] | None = None,
        timeout: float = LOAD_S,
    ) -> None:
        """Wait until cores, all by default, are in one of some states.

        Raises
        ------
        CoreFailed
            A core met a run-time error or a watchdog, and that is not waited for.
        MachineTimeout
            They are not, after so many seconds.
        """
        wanted = frozenset(states)
        waiting = {core: CoreState.IDLE for core in self._chosen(cores)}
        for _ in _polls(timeout):
            waiting = {
                core: state for core, state in self.states(waiting).items() if state not in wanted
            }
            if not waiting:
                return
            self._raise_failed([core for core, state in waiting.items() if state in FAILED])
        names = ", ".join(sorted(state.name for state in wanted))
        raise MachineTimeout(
            f"{len(waiting)} cores are not in state {names} after {timeout:g} s: "
            + _listed([f"{core} is {state.name}" for core, state in waiting.items()])
        )

    def start_tapes(self, tapes: Mapping[CoreId, int]) -> int:
        """Give cores the addresses of their tapes, which lie in their chips' SDRAM, and wake them.

        Returns
        -------
        int
            The sequence number that the cores report when they are done.
        """
        self._chosen(tapes)
        self._sequence = self._sequence % 0xFFFFFFFF + 1
        number = self._sequence.to_bytes(4, "little")
        self.write_many(
            [
                Write(core.x, core.y, core.user, address.to_bytes(4, "little") + number)
                for core, address in tapes.items()
            ]
        )
        self._given.update(dict.fromkeys(tapes, self._sequence))
        self.signal(WAKE)
        return self._sequence

    def wait_tapes(self, cores: Collection[CoreId], timeout: float) -> dict[CoreId, CoreReport]:
        """Wait until cores have ended their last tapes or failed, at most so many seconds.

        A core whose program another host has ended is not waited for either.

        Returns
        -------
        dict
            Each core's report; ``finished`` tells whether its tape ended.
        """
        waiting = list(self._chosen(cores))
        found: dict[CoreId, CoreReport] = {}
        for _ in _polls(timeout):
            for report, _ in self.blocks(waiting):
                found[report.core] = self._of_tape(report)
            waiting = [c for c in waiting if not _is_over(found[c])]
            if not waiting:
                break
        unfinished = [core for core in found if not found[core].finished]
        for report in self.reports(unfinished) if unfinished else ():
            found[report.core] = self._of_tape(report)
        return found

    def run_tapes(self, tapes: Mapping[CoreId, int], timeout: float) -> dict[CoreId, CoreReport]:
        """Run a tape on each core and wait for all.

        Raises
        ------
        CoreFailed
            A core met a run-time error or a watchdog, or another host has ended its program.
        MachineTimeout
            A core is not done after so many seconds.
        """
        self.start_tapes(tapes)
        found = self.wait_tapes(list(tapes), timeout)
        self._raise_failed([core for core, report in found.items() if report.failed])
        taken = [str(core) for core, report in found.items() if report.taken_away]
        if taken:
            raise CoreFailed(
                f"{len(taken)} cores run our program no more, does another host use this machine? "
                + _listed(taken)
            )
        late = [report for report in found.values() if not report.finished]
        if late:
            raise MachineTimeout(
                f"{len(late)} cores have not ended their tapes after {timeout:g} s: "
                + _listed([f"{r.core} is at task {r.tasks_done}" for r in late])
            )
        return found

    def temperatures(self) -> dict[int, float]:
        """Return the temperature of each board with a known BMP slot, degrees Celsius.

        The higher of the board's two sensors; empty where no BMP was given.
        """
        bmp = self.boards.bmp
        if bmp is None:
            return {}
        with BmpLink(bmp.host) as link:
            return {slot: max(link.measurements(slot).temperatures[:2]) for slot in bmp.slots}

    # ---- parts ---------------------------------------------------------------------------------

    def _chosen(self, cores: Iterable[CoreId] | None) -> tuple[CoreId, ...]:
        if cores is None:
            return self.cores
        chosen = tuple(cores)
        for core in set(chosen) - set(self.cores):
            raise ArgumentError(f"{core} is none of the machine's {len(self.cores)} that work")
        return chosen

    def _of_tape(self, report: CoreReport) -> CoreReport:
        return dataclasses.replace(report, sequence=self._given.get(report.core, 0))

    def _raise_failed(self, failed: Sequence[CoreId]) -> None:
        if not failed:
            return
        first = self.reports(failed[:1])[0]
        others = [str(core) for core in failed[1:]]
        more = f"\nand {len(others)} more: {_listed(others)}" if others else ""
        raise CoreFailed(f"{first}{more}")

    def _explained(self) -> contextlib.AbstractContextManager[None]:
        return explained(self._job)


@contextlib.contextmanager
def explained(job: Holder | None) -> Iterator[None]:
    """Say of a silent board that its job was lost, if it was."""
    try:
        yield
    except BoardDead:
        if job is not None:
            job.check()
        raise


def _is_over(report: CoreReport) -> bool:
    return report.finished or report.failed or report.taken_away


def _polls(timeout: float) -> Iterator[None]:
    """Come back at growing intervals until so many seconds are over, at least twice."""
    end, pause = time.monotonic() + timeout, _FIRST_POLL_S
    yield
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_POLL_S)
        yield


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
