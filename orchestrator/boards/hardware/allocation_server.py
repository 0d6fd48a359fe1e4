"""Talks to an allocation server (spalloc) through the public client, unmodified.

Its ``ProtocolClient`` is used, not its ``Job``, because of two faults of the latter (release
1!7.4.1). ``Job`` asks the server's version and accepts none of the servers that are published
today: 1!7.0.0 is no version to it. And the process it starts to keep a job alive ends at the first
broken connection, as it does not expect the error that the client raises then.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from orchestrator.boards.hardware.failures import ServerAway
from orchestrator.boards.hardware.packages import load
from orchestrator.errors import ArgumentError

PORT: Final = 22244
"""TCP port of servers that name none."""

ANSWER_S: Final = 10.0
"""How long a server may take to answer, seconds."""

Triad = tuple[int, int, int]


class JobState(IntEnum):
    """The life of a job (spalloc_server ``job_state.py``)."""

    UNKNOWN = 0
    QUEUED = 1
    POWER = 2
    READY = 3
    DESTROYED = 4


@dataclass(frozen=True, kw_only=True)
class ServerJob:
    """A job that a server knows of.

    Attributes
    ----------
    number
        The server's.
    owner
        Who asked for it.
    state
        Where it is in its life.
    machine
        The machine it has boards of, None while it waits.
    boards
        Coordinates (x, y, z) of its boards.
    """

    number: int
    owner: str
    state: JobState
    machine: str | None
    boards: tuple[Triad, ...]


@dataclass(frozen=True, kw_only=True)
class ServerMachine:
    """A machine that a server allocates boards of.

    Attributes
    ----------
    name, tags
        What requests can name it by.
    width, height
        Triads.
    dead_boards
        Coordinates (x, y, z) of boards it does not give out.
    """

    name: str
    tags: tuple[str, ...]
    width: int
    height: int
    dead_boards: tuple[Triad, ...]

    @property
    def n_boards(self) -> int:
        """Boards that can be allocated."""
        return 3 * self.width * self.height - len(self.dead_boards)


class ServerLink:
    """One connection to a server; each thread needs its own.

    Parameters
    ----------
    server
        Host name, or ``host:port``.

    Raises
    ------
    ArgumentError
        The port is no number.
    ServerAway
        The server does not answer.
    MissingToolError
        The client is not installed.
    """

    def __init__(self, server: str):
        self.server = server
        host, port = host_and_port(server)
        self._package = load("spalloc_client.protocol_client")
        self._client = self._package.ProtocolClient(host, port)
        try:
            self.connect()
        except ServerAway:
            self.close()
            raise

    def connect(self) -> None:
        """Connect, again if need be.

        Raises
        ------
        ServerAway
            It cannot.
        """
        with self._translated():
            self._client.close()
            self._client.connect(ANSWER_S)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> "ServerLink":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def create_job(self, what: Sequence[int], settings: Mapping[str, Any]) -> int:
        """Ask for boards; return the job's number.

        Raises
        ------
        ArgumentError
            The server refuses the request.
        ServerAway
            The server does not answer.
        """
        return int(self._call("create_job", *what, **settings))

    def state(self, job: int) -> tuple[JobState, str]:
        """Return a job's state and, once it is destroyed, the reason."""
        answer = self._call("get_job_state", job)
        return JobState(answer["state"]), answer["reason"] or "no reason given"

    def machine(self, job: int) -> Mapping[str, Any]:
        """Return width and height in chips, connections, machine name and boards of a job."""
        answer: Mapping[str, Any] = self._call("get_job_machine_info", job)
        return answer

    def keep_alive(self, job: int) -> None:
        """Tell the server that a job is still wanted."""
        self._call("job_keepalive", job)

    def destroy(self, job: int, reason: str) -> None:
        """End a job: its boards are switched off and given to others."""
        self._call("destroy_job", job, reason=reason)

    def jobs(self) -> list[ServerJob]:
        """Return the server's jobs, waiting ones in the order of the queue."""
        return [
            ServerJob(
                number=job["job_id"],
                owner=job["owner"],
                state=JobState(job["state"]),
                machine=job["allocated_machine_name"],
                boards=_triads(job["boards"]),
            )
            for job in self._call("list_jobs")
        ]

    def machines(self) -> list[ServerMachine]:
        """Return the server's machines."""
        return [
            ServerMachine(
                name=machine["name"],
                tags=tuple(machine["tags"]),
                width=machine["width"],
                height=machine["height"],
                dead_boards=_triads(machine["dead_boards"]),
            )
            for machine in self._call("list_machines")
        ]

    def _call(self, command: str, *args: Any, **settings: Any) -> Any:
        with self._translated():
            return self._client.call(command, ANSWER_S, *args, **settings)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        package = self._package
        try:
            yield
        except package.SpallocServerException as error:
            text = str(error) or "no reason given"
            raise ArgumentError(f"spalloc server {self.server} refuses: {text}") from error
        except (package.ProtocolError, package.ProtocolTimeoutError, OSError) as error:
            raise ServerAway(
                f"spalloc server {self.server} does not answer ({error}); check its name and port, "
                "and whether it runs"
            ) from error


def host_and_port(server: str) -> tuple[str, int]:
    """Return the two parts of ``host`` or ``host:port``.

    Raises
    ------
    ArgumentError
        There is no host, or the port is no number from 1 to 65535.
    """
    host, colon, port = server.partition(":")
    number = PORT if not colon else int(port) if port.isascii() and port.isdigit() else 0
    if not host or not 0 < number < 65536:
        raise ArgumentError(f"spalloc server {server!r}: HOST or HOST:PORT, port 1 to 65535")
    return host, number


def _triads(boards: Sequence[Sequence[int]] | None) -> tuple[Triad, ...]:
    return tuple((x, y, z) for x, y, z in boards or ())
