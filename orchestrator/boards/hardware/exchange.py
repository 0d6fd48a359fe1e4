"""Moves requests and answers between this host and boards: many under way at once, on many boards.

One UDP socket a board, all served by one loop. It takes every answer that has come before it sends
again, so that one wake-up serves several datagrams.
"""

import select
import socket
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Final

from orchestrator.boards.hardware.failures import BoardDead, LinkDead, Refused
from orchestrator.boards.hardware.pieces import (
    Call,
    Piece,
    Read,
    Request,
    datagram_head,
    requests_of,
    result_of,
)
from orchestrator.boards.hardware.window import Window
from orchestrator.errors import ArgumentError
from orchestrator.wire.numbers import MAX_SCP_DATA, REPEATED, SCP_UDP_PORT, Command, Result

PATIENCE_S: Final = 10.0
"""A board that has not answered anything for so long is dead."""

WINDOW: Final = 32
"""Requests under way to a board at most: more gain nothing, as a board answers in order."""

REFUSALS: Final = 5
"""Times that a chip may refuse a request for the moment before that counts as its answer."""

_RESULT_AT: Final = 10
_DATA_AT: Final = 14


class BoardLink:
    """A connection to a board's Ethernet chip, beside those that spinnman has.

    Parameters
    ----------
    host
        The board's name or address.
    port
        Its UDP port for SCP.
    patience_s
        How long the board may be silent.

    Raises
    ------
    ArgumentError
        There is no such host.
    """

    def __init__(
        self,
        host: str,
        port: int = SCP_UDP_PORT,
        patience_s: float = PATIENCE_S,
    ):
        self.host = host
        self.patience_s = patience_s
        self.window = Window(WINDOW)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.socket.connect((host, port))
        except OSError as error:
            self.socket.close()
            raise ArgumentError(f"board {host}: {error.strerror}") from error
        self.socket.setblocking(False)

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def __enter__(self) -> "BoardLink":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def exchange(work: Sequence[tuple[BoardLink, Sequence[Piece]]]) -> list[list[Any]]:
    """Carry out pieces on boards, all boards at once; each board's pieces in any order.

    Parameters
    ----------
    work
        Connections, each once, and what is asked over them. Pieces of one call must not touch the
        same memory, as their datagrams may overtake each other.

    Returns
    -------
    list
        For each connection and each of its pieces: None for a `Write`, a bytearray for a `Read`,
        the answer's bytes for a `Call`. When it returns, no copy of a write is under way any more
        that could undo a later one.

    Raises
    ------
    BoardDead
        A board is silent.
    Refused, LinkDead
        A chip does not do what is asked.
    ArgumentError
        A range outside the address space.
    """
    streams = [_Stream(link, pieces) for link, pieces in work]
    try:
        _serve(streams)
        _settle(streams)
    finally:
        for stream in streams:
            stream.window.abandon()
    return [stream.results() for stream in streams]


class _Stream:
    """What goes over one connection."""

    def __init__(self, link: BoardLink, pieces: Sequence[Piece]):
        self.link = link
        self.window = link.window
        self.pieces = pieces
        self._gathered = [result_of(piece) for piece in pieces]
        self._requests = self._all_requests()
        self._next = next(self._requests, None)
        self._buffer = bytearray(_DATA_AT + MAX_SCP_DATA + 1)
        self._refused_by_host = False
        self.writes = any(not isinstance(piece, Read) for piece in pieces)

    def _all_requests(self) -> Iterator[Request]:
        for piece, result in zip(self.pieces, self._gathered, strict=True):
            yield from requests_of(piece, result)

    @property
    def busy(self) -> bool:
        return self._next is not None or len(self.window) > 0

    def results(self) -> list[Any]:
        return [
            gathered[0] if isinstance(piece, Call) else gathered
            for piece, gathered in zip(self.pieces, self._gathered, strict=True)
        ]

    def send(self, now: float) -> None:
        """Send again what is lost, then as much more as may be under way."""
        window = self.window
        for sequence, flight in window.lost(now):
            if not self._transmit(flight.request, sequence):
                return
        room = window.room
        while room > 0 and self._next is not None:
            request = self._next
            sequence = window.send(request, now)
            self._next = next(self._requests, None)
            room -= 1
            if not self._transmit(request, sequence):
                return
        if now - window.heard_at > self.link.patience_s and len(window):
            raise BoardDead(self._silence())

    def _transmit(self, request: Request, sequence: int) -> bool:
        """Send one datagram; False if the host's buffers are full: then it counts as lost."""
        try:
            # Joined: quicker than to have the kernel gather two parts.
            self.link.socket.send(datagram_head(request, sequence) + request.data)
        except BlockingIOError:
            return False
        except OSError:  # an earlier datagram found nobody: the board may still come
            self._refused_by_host = True
        return True

    def receive(self, now: float) -> None:
        """Take every answer that has come."""
        receive, buffer, window = self.link.socket.recv_into, self._buffer, self.window
        while True:
            try:
                size = receive(buffer)
            except BlockingIOError:
                return
            except OSError:
                self._refused_by_host = True
                return
            if size < _DATA_AT:
                continue
            result = buffer[_RESULT_AT] | buffer[_RESULT_AT + 1] << 8
            sequence = buffer[_RESULT_AT + 2] | buffer[_RESULT_AT + 3] << 8
            if result in REPEATED:
                refusals = window.refused(sequence, now)
                if refusals <= REFUSALS:
                    continue
            request = window.answered(sequence, now)
            if request is not None:
                self._take(request, result, size)

    def _take(self, request: Request, result: int, size: int) -> None:
        if result != Result.OK:
            raise _refusal(self.link.host, request, result)
        into = request.into
        if into is None:
            return
        if isinstance(into, list):
            into.append(bytes(self._buffer[_DATA_AT:size]))
            return
        if size - _DATA_AT != len(into):
            raise Refused(
                f"chip ({request.piece.x}, {request.piece.y}) on board {self.link.host}: "
                f"{len(into)} bytes at 0x{request.arg1:08x} were asked for, {size - _DATA_AT} came",
                None,
            )
        into[:] = self._buffer[_DATA_AT:size]

    def _silence(self) -> str:
        how = "nothing takes its datagrams" if self._refused_by_host else "it is silent"
        return (
            f"board {self.link.host} has not answered for {self.link.patience_s:g} s ({how}): "
            f"{self.pieces[0]} on chip ({self.pieces[0].x}, {self.pieces[0].y}) is not done; "
            "check its power and network, or take another board"
        )


def _serve(streams: Sequence[_Stream]) -> None:
    """Serve all connections until everything is answered."""
    poll = select.poll()
    by_descriptor = {}
    for stream in streams:
        by_descriptor[stream.link.socket.fileno()] = stream
        poll.register(stream.link.socket, select.POLLIN)
    now = time.monotonic()
    for stream in streams:
        stream.send(now)
    while busy := [stream for stream in streams if stream.busy]:
        due = min(
            min(stream.window.deadline(), stream.window.heard_at + stream.link.patience_s)
            for stream in busy
        )
        ready = poll.poll(max(0.0, due - time.monotonic()) * 1000 + 1)
        now = time.monotonic()
        for descriptor, _ in ready:
            by_descriptor[descriptor].receive(now)
        for stream in busy:
            stream.send(now)


def _settle(streams: Sequence[_Stream]) -> None:
    """Wait until no doubled write is under way."""
    for stream in streams:
        while stream.writes:
            now = time.monotonic()
            left = stream.window.settled_at(now) - now
            if left <= 0:
                stream.window.settle()
                break
            if select.select([stream.link.socket], [], [], left)[0]:
                stream.receive(time.monotonic())


def _refusal(host: str, request: Request, code: int) -> Refused:
    piece = request.piece
    try:
        result = Result(code)
        name = result.name
    except ValueError:
        result, name = None, f"code 0x{code:x}"
    where = f"chip ({piece.x}, {piece.y}) on board {host}"
    if request.command in (Command.LINK_READ, Command.LINK_WRITE) and result is Result.TIMEOUT:
        return LinkDead(
            f"{where} cannot reach its neighbour over link {request.arg3}: the link or that chip "
            "is dead",
            result,
        )
    if isinstance(piece, Call):
        return Refused(f"{where} refuses {piece}: {name}", result)
    return Refused(
        f"{where} refuses the {piece}: {name} at 0x{request.arg1:08x}, {request.arg2} bytes",
        result,
    )
