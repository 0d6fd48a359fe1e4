"""What is asked of chips, and the datagrams it takes: ranges of memory in pieces of 256 bytes."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from orchestrator.errors import ArgumentError
from orchestrator.wire.datagrams import (
    FLAGS,
    HOST,
    REPLY_EXPECTED,
    SdpAddress,
    SdpMessage,
    encode_sdp,
)
from orchestrator.wire.numbers import MAX_SCP_DATA, Command

_BYTES: Final = 0
_WORDS: Final = 2
_ADDRESSES: Final = 1 << 32

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes for a chip's memory, as its monitor sees it; any length and alignment."""

    x: int
    y: int
    address: int
    data: Buffer

    def __str__(self) -> str:
        return f"write of {memoryview(self.data).nbytes} bytes at 0x{self.address:08x}"


@dataclass(frozen=True, slots=True)
class Read:
    """A range of a chip's memory, as its monitor sees it; any length and alignment."""

    x: int
    y: int
    address: int
    size: int

    def __str__(self) -> str:
        return f"read of {self.size} bytes at 0x{self.address:08x}"


@dataclass(frozen=True, slots=True)
class Call:
    """One command of a chip's monitor; it may be carried out twice if its answer is lost."""

    x: int
    y: int
    command: Command
    arg1: int = 0
    arg2: int = 0
    arg3: int = 0
    data: bytes = b""

    def __str__(self) -> str:
        words = f"0x{self.arg1:x}, 0x{self.arg2:x}, 0x{self.arg3:x}"
        return f"command {self.command.name} ({words})"


Piece = Write | Read | Call


class Request(NamedTuple):
    """One datagram to be sent, and where its answer goes.

    Attributes
    ----------
    piece
        What it is part of.
    header
        The datagram up to the command.
    command, arg1, arg2, arg3
        The words of the request.
    data
        What follows them.
    into
        Takes the answer's data: a view of exactly as many bytes, or a list to append to.
    """

    piece: Piece
    header: bytes
    command: int
    arg1: int
    arg2: int
    arg3: int
    data: Buffer
    into: Any


_pack: Final = struct.Struct("<10s2H3I").pack


def datagram_head(request: Request, sequence: int) -> bytes:
    """Return a request's datagram without its data."""
    _, header, command, arg1, arg2, arg3, _, _ = request
    return _pack(header, command, sequence, arg1, arg2, arg3)


def requests_of(piece: Piece, result: Any) -> Iterator[Request]:
    """Yield the datagrams of a piece.

    Parameters
    ----------
    result
        What `result_of` gave for this piece.
    """
    chip = SdpAddress(piece.x, piece.y, core=0)
    header = encode_sdp(SdpMessage(chip, HOST, b"", FLAGS | REPLY_EXPECTED))
    if isinstance(piece, Call):
        words = piece.arg1, piece.arg2, piece.arg3
        yield Request(piece, header, piece.command, *words, piece.data, result)
        return
    if isinstance(piece, Write):
        data, command = memoryview(piece.data).cast("B"), int(Command.WRITE)
        size = data.nbytes
    else:
        view, command = memoryview(result), int(Command.READ)
        size = piece.size
    if not 0 <= piece.address <= piece.address + size <= _ADDRESSES:
        raise ArgumentError(f"{piece}: addresses are 0 to 0x{_ADDRESSES - 1:08x}")
    for offset, length, unit in spans(piece.address, size):
        words = piece.address + offset, length, unit
        end = offset + length
        if isinstance(piece, Write):
            yield Request(piece, header, command, *words, data[offset:end], None)
        else:
            yield Request(piece, header, command, *words, b"", view[offset:end])


def result_of(piece: Piece) -> Any:
    """Return what the answers to a piece are gathered in: nothing, bytes to fill, or a list."""
    if isinstance(piece, Write):
        return None
    if isinstance(piece, Read):
        if piece.size < 0:
            raise ArgumentError(f"{piece}: a size is at least 0")
        return bytearray(piece.size)
    return []


def spans(address: int, size: int) -> Iterator[tuple[int, int, int]]:
    """Yield how a range is moved: offset, length (at most 256) and unit of each request.

    The unit is 2, whole words, wherever a span is aligned: SC&MP then copies faster, and devices
    take nothing else. A range that starts off a word's boundary has one span of single bytes up to
    a multiple of 256, so that the rest is aligned; what is left over at the end is bytes as well.

    Examples
    --------
    >>> list(spans(0x60000002, 600))
    [(0, 254, 0), (254, 256, 2), (510, 90, 0)]
    """
    offset = 0
    while offset < size:
        here = address + offset
        room = MAX_SCP_DATA - (here % MAX_SCP_DATA if here % 4 else 0)
        length = min(room, size - offset)
        aligned = here % 4 == 0 and length % 4 == 0
        yield offset, length, _WORDS if aligned else _BYTES
        offset += length
