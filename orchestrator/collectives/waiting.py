"""Waiting for other ranks: cheaply, and not for ever.

A rank that waits asks "are they all here?" again and again: without a pause for the first 200 us,
then with growing pauses, so that ranks that share a core do not keep it from those they wait for.

After `timeout_s` it asks every other rank where it is. Ranks that wait as well look for such
questions and answer; those that do not answer have not come, and are named. Nothing is sent while
all goes well, so the watch costs nothing.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

PAUSE_AFTER_S = 200e-6
LONGEST_PAUSE_S = 2e-3
LISTEN_EVERY_S = 50e-3
ANSWER_TIME_S = 2.0

_QUESTION, _ANSWER = 1, 2


class Watch:
    """Waits on behalf of one rank, and ends the job when others do not come.

    Parameters
    ----------
    comm
        A communicator of all ranks that nothing else uses.
    timeout_s
        Seconds to wait before the missing ranks are named and the job ends with code 3.
    """

    def __init__(self, comm: Any, timeout_s: float) -> None:
        self.exchange = 0
        self._comm = comm
        self._timeout_s = timeout_s
        self._what = ""
        self._sent: list[Any] = []

    def enter(self, what: str) -> None:
        """Count one more exchange and remember what it is, for messages."""
        self.exchange += 1
        self._what = what

    def wait(self, done: Callable[[], bool]) -> None:
        """Return when done() is true; end the job after the time-out."""
        start = time.monotonic()
        while time.monotonic() - start < PAUSE_AFTER_S:
            if done():
                return
            os.sched_yield()
        pause = PAUSE_AFTER_S / 2
        listened = start
        while not done():
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE_S)
            now = time.monotonic()
            if now - listened > LISTEN_EVERY_S:
                listened = now
                self._listen({})
            if now - start > self._timeout_s and not self._came_late(done):
                self._report_and_abort()

    def _place(self) -> str:
        return f"exchange {self.exchange} ({self._what})"

    def _send(self, rank: int, kind: int) -> None:
        self._sent = [request for request in self._sent if not request.Test()]
        self._sent.append(self._comm.isend((kind, self._place()), dest=rank))

    def _listen(self, places: dict[int, str]) -> None:
        """Answer the questions that have come in; add what others say of themselves to places."""
        while self._comm.iprobe():
            status = _status()
            kind, place = self._comm.recv(status=status)
            places[status.Get_source()] = place
            if kind == _QUESTION:
                self._send(status.Get_source(), _ANSWER)

    def _came_late(self, done: Callable[[], bool]) -> bool:
        """Ask all ranks where they are; return True when the exchange ended meanwhile."""
        self._places = {self._comm.rank: self._place()}
        for rank in range(self._comm.size):
            if rank != self._comm.rank:
                self._send(rank, _QUESTION)
        end = time.monotonic() + ANSWER_TIME_S
        while time.monotonic() < end:
            if done():
                return True
            self._listen(self._places)
            time.sleep(LONGEST_PAUSE_S)
        return False

    def _report_and_abort(self) -> None:
        if min(self._places) == self._comm.rank:
            print(f"regatta: {self._report()}", file=sys.stderr, flush=True)
        else:
            time.sleep(2 * ANSWER_TIME_S)
        self._comm.Abort(3)

    def _report(self) -> str:
        ranks = range(self._comm.size)
        missing = [rank for rank in ranks if rank not in self._places]
        if missing:
            verb = "rank {} has" if len(missing) == 1 else "ranks {} have"
            named = verb.format(", ".join(map(str, missing)))
            waiting = ", ".join(str(rank) for rank in sorted(self._places))
            return (
                f"{named} not reached {self._place()} for {self._timeout_s:g} s "
                f"(collective.timeout_s); waiting there: {waiting}"
            )
        places = "; ".join(f"rank {rank} at {self._places[rank]}" for rank in ranks)
        return f"no exchange ended for {self._timeout_s:g} s (collective.timeout_s): {places}"


def _status() -> Any:
    from mpi4py import MPI

    return MPI.Status()
