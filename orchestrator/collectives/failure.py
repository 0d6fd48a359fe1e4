"""Ending all ranks, once and with the cause, when one of them fails.

A rank that fails tells every other rank and listens for a moment. When all of them failed (bad
input fails everywhere alike), each different message is printed once and the ranks end by
themselves. Otherwise the others are computing or waiting: the failing rank prints its cause and
aborts the job.
"""

import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from orchestrator.collectives.base import under_mpi
from orchestrator.errors import RegattaError

LISTEN_S = 2.0
_FAILURE_TAG = 32_000
_LONGEST_MESSAGE = 2_000

Failure = tuple[int, str]


@contextmanager
def guarded(report: Callable[[str], None] | None = None) -> Iterator[None]:
    """Turn an exception inside into one message and the command's exit code, on every rank.

    Put it around the whole command, before the collective is opened. Without MPI it prints the
    message and raises SystemExit.

    Parameters
    ----------
    report
        Prints a message for the user; by default to standard error.
    """
    report = report or _to_stderr
    try:
        yield
    except RegattaError as error:
        _end(error.exit_code, str(error), report)
    except KeyboardInterrupt:
        _end(3, "interrupted", report)
    except Exception as error:
        trace = "".join(traceback.format_exception(error)).rstrip()
        _end(3, f"unexpected {type(error).__name__}: {error}\n{trace}", report)


def _to_stderr(message: str) -> None:
    print(f"regatta: {message}", file=sys.stderr, flush=True)


def _end(code: int, message: str, report: Callable[[str], None]) -> None:
    """Report the failure and leave: by SystemExit alone or when all ranks failed, else by abort."""
    if not under_mpi():
        report(message)
        raise SystemExit(code)
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    failures = _exchange(comm, (code, message[-_LONGEST_MESSAGE:]))
    for rank, text in messages_of(failures, comm.size):
        if rank == comm.rank:
            report(text)
    if len(failures) == comm.size:
        _wait_for_printing(comm)
        raise SystemExit(code)
    sys.stdout.flush()
    time.sleep(0.2)  # the others that failed print as well
    comm.Abort(code)


def messages_of(failures: dict[int, Failure], size: int) -> list[tuple[int, str]]:
    """Return which rank prints what: every different failure once, by its lowest rank.

    Examples
    --------
    >>> messages_of({0: (2, "no such file"), 1: (2, "no such file")}, 2)
    [(0, 'no such file')]
    >>> messages_of({1: (3, "disk full")}, 2)
    [(1, 'rank 1: disk full')]
    """
    first: dict[Failure, int] = {}
    for rank in sorted(failures):
        first.setdefault(failures[rank], rank)
    alike = len(first) == 1 and len(failures) == size
    return [(rank, text if alike else f"rank {rank}: {text}") for (_, text), rank in first.items()]


def _exchange(comm: Any, failure: Failure) -> dict[int, Failure]:
    """Tell all ranks of this failure; return all failures heard of within a moment."""
    failures = {comm.rank: failure}
    others = [rank for rank in range(comm.size) if rank != comm.rank]
    requests = [comm.isend(failure, dest=rank, tag=_FAILURE_TAG) for rank in others]
    end = time.monotonic() + LISTEN_S
    while len(failures) < comm.size and time.monotonic() < end:
        for rank in others:
            if rank not in failures and comm.iprobe(source=rank, tag=_FAILURE_TAG):
                failures[rank] = comm.recv(source=rank, tag=_FAILURE_TAG)
        time.sleep(2e-3)
    for request in requests:
        request.Test()
    return failures


def _wait_for_printing(comm: Any) -> None:
    """Wait until every rank has printed: the first to exit makes mpirun end the others."""
    barrier = comm.Ibarrier()
    end = time.monotonic() + LISTEN_S
    while not barrier.Test() and time.monotonic() < end:
        time.sleep(2e-3)
