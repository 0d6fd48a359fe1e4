"""Boards of a shared machine: asked for, kept, given back.

A thread tells the server every few seconds that the job is still wanted. When this process ends,
however it ends, that stops, and the server takes the boards back.
"""

import atexit
import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from orchestrator.boards.hardware.allocation_server import JobState, ServerLink
from orchestrator.boards.hardware.boards import Boards
from orchestrator.boards.hardware.failures import JobLost, ServerAway
from orchestrator.boards.hardware.signals import ended_in_order
from orchestrator.errors import ArgumentError

KEEPALIVE_S: Final = 60.0
"""How long the server waits for a sign of life, seconds; as spalloc's own client asks for."""

SQUARENESS: Final = 0.333
"""Height over width, or its inverse, that an allocation has at least; as spalloc asks for."""

_BEATS: Final = 3
"""Signs of life in that time, so that two may be lost."""

_POLL_S: Final = 0.5
_ENDED: Final = frozenset({JobState.DESTROYED, JobState.UNKNOWN})

Show = Callable[[str], None]


def silent(text: str) -> None:
    """Show nothing."""


class Job:
    """Boards that a server has given us; `allocated` makes one.

    Attributes
    ----------
    number
        The server's.
    boards
        How to reach them: each is on, and not booted.
    keepalive_s
        How long the server waits for a sign of life, seconds.
    """

    def __init__(self, server: str, number: int, keepalive_s: float):
        self.number = number
        self.boards = Boards(host="")
        self._server = server
        self.keepalive_s = keepalive_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="keep-alive", daemon=True)
        self._thread.start()
        atexit.register(self.release)

    def check(self) -> None:
        """Return if the boards are still ours.

        Raises
        ------
        JobLost
            The server has ended the job.
        ServerAway
            It does not answer.
        """
        with ServerLink(self._server) as server:
            state, reason = server.state(self.number)
        if state in _ENDED:
            raise JobLost(
                f"spalloc server {self._server} has ended job {self.number} ({reason}): its boards "
                "are no longer ours; start again from the last checkpoint"
            )

    def release(self) -> None:
        """Give the boards back; the server switches them off."""
        atexit.unregister(self.release)
        if self._over.is_set():
            return
        self._over.set()
        self._thread.join()
        # Without an answer the job ends by itself when no sign of life comes.
        with contextlib.suppress(ServerAway), ServerLink(self._server) as server:
            server.destroy(self.number, "given back")

    def _keep(self) -> None:
        """Tell the server that the job is wanted, connecting again if it was away."""
        server = None
        while not self._over.wait(self.keepalive_s / _BEATS if server else 0):
            try:
                server = server or ServerLink(self._server)
                server.keep_alive(self.number)
            except (ServerAway, ArgumentError):
                if server:
                    server.close()
                server = None
                self._over.wait(self.keepalive_s / _BEATS)
        if server:
            server.close()


@contextlib.contextmanager
def allocated(
    server: str,
    boards: int | tuple[int, int] | tuple[int, int, int],
    *,
    owner: str,
    machine: str | None = None,
    tags: Sequence[str] | None = None,
    keepalive_s: float = KEEPALIVE_S,
    on_state: Show = silent,
) -> Iterator[Job]:
    """Wait for boards of a server's machines, and give them back at the end.

    They are given back when the block is left, when the program exits, on SIGTERM and SIGHUP, and
    ``keepalive_s`` after a crash.

    Parameters
    ----------
    server
        Host name, or ``host:port``.
    boards
        How many, or width and height in triads, or a certain board (x, y, z).
    owner
        Who asks, by custom an e-mail address.
    machine, tags
        One machine, or what it has to be tagged; at most one of the two.
    keepalive_s
        How long the server waits for a sign of life, seconds.
    on_state
        Is shown each change: the place in the queue, power, ready.

    Raises
    ------
    ArgumentError
        The server has no such boards at all, or does not understand the request.
    ServerAway, JobLost
        The server does not answer, or ends the job before it is ready.
    MissingToolError
        The spalloc client is not installed.
    """
    what = _checked(boards, machine, tags, owner, keepalive_s)
    settings = {
        "owner": owner,
        "keepalive": keepalive_s,
        "machine": machine,
        "tags": None if tags is None else list(tags),
        "min_ratio": SQUARENESS,
        "max_dead_boards": 0,
        "max_dead_links": None,
        "require_torus": False,
    }
    with ended_in_order(), ServerLink(server) as link:
        job = Job(server, link.create_job(what, settings), keepalive_s)
        try:
            _wait(link, job, what, on_state)
            yield job
        finally:
            job.release()


def _checked(
    boards: int | tuple[int, ...],
    machine: str | None,
    tags: Sequence[str] | None,
    owner: str,
    keepalive_s: float,
) -> tuple[int, ...]:
    what = (boards,) if isinstance(boards, int) else tuple(boards)
    least = 1 if len(what) < 3 else 0
    if not 1 <= len(what) <= 3 or min(what) < least:
        raise ArgumentError(
            f"boards is {boards}: a number of boards, triads as (width, height), or a board (x, y, "
            "z)"
        )
    if machine is not None and tags is not None:
        raise ArgumentError(f"machine {machine!r} and tags {list(tags)}: name one of the two")
    if not owner:
        raise ArgumentError("owner is empty: say who asks for the boards, such as an address")
    if not keepalive_s > 0:
        raise ArgumentError(f"keepalive_s is {keepalive_s}: above 0 seconds")
    return what


def _wait(link: ServerLink, job: Job, what: tuple[int, ...], on_state: Show) -> None:
    """Wait until a job is ready; say how to reach its boards."""
    shown = ""
    seen = set()
    while True:
        state, reason = _state(link, job, on_state)
        seen.add(state)
        if state is JobState.READY:
            break
        if state in _ENDED:
            raise _ended(link, job, what, reason, JobState.POWER in seen)
        text = f"job {job.number}: boards are being switched on"
        if state is JobState.QUEUED:
            text = f"job {job.number}: place {_place(link, job.number)} in the queue"
        if text != shown:
            on_state(text)
            shown = text
        time.sleep(_POLL_S)
    info = link.machine(job.number)
    connections = {(x, y): host for (x, y), host in info["connections"]}
    job.boards = Boards(
        host=connections[0, 0],
        version=5,
        connections=connections,
        size=(info["width"], info["height"]),
    )
    n = len(connections)
    on_state(
        f"job {job.number}: {n} board{'s' if n > 1 else ''} of {info['machine_name']} "
        f"{'are' if n > 1 else 'is'} ready, "
        f"{info['width']} x {info['height']} chips, the first at {job.boards.host}"
    )


def _state(link: ServerLink, job: Job, on_state: Show) -> tuple[JobState, str]:
    """Return a job's state; ask again while the server is away for less than the job lives."""
    end = time.monotonic() + job.keepalive_s
    while True:
        try:
            return link.state(job.number)
        except ServerAway:
            if time.monotonic() > end:
                raise
            on_state(f"job {job.number}: the server is away, asking again")
            time.sleep(_POLL_S)
            with contextlib.suppress(ServerAway):
                link.connect()


def _place(link: ServerLink, number: int) -> int:
    """Return a job's place among the jobs that wait, 1 for the next."""
    waiting = [job.number for job in link.jobs() if job.state is JobState.QUEUED]
    return 1 + sum(other < number for other in waiting)


def _ended(
    link: ServerLink, job: Job, what: tuple[int, ...], reason: str, had_boards: bool
) -> Exception:
    if had_boards:
        return JobLost(
            f"spalloc server {link.server} ended job {job.number} while its boards were switched "
            f"on ({reason}): a board or its BMP may be dead; ask again"
        )
    wanted = {1: "{} boards", 2: "{} x {} triads", 3: "board ({}, {}, {})"}[len(what)]
    there = ", ".join(f"{m.name} with {m.n_boards} boards" for m in link.machines()) or "none"
    return ArgumentError(
        f"spalloc server {link.server} cannot give {wanted.format(*what)} ({reason}); its machines "
        f"are: {there}"
    )
