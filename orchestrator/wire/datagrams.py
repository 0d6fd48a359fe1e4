"""SDP and SCP datagrams: values to bytes and back.

Decoding is total: any bytes give either the value or the result code that refuses them. Numbers
are little-endian. In front of the header a datagram has two bytes of padding, which align it on
the board and mean nothing.

References
----------
SpiNNaker application notes 4 (SDP) and 5 (SCP); spinnaker_tools ``sark.h``, ``sdp_msg_t``.
"""

import struct
from typing import Final, NamedTuple

from orchestrator.wire.numbers import MAX_SCP_DATA, Result

REPLY_EXPECTED: Final = 0x80
"""Bit of the flags: the sender waits for an answer."""

NO_ROUTE: Final = 0x20
"""Bit of the flags: the chip with the Ethernet socket is meant, whatever the address."""

FLAGS: Final = 0x07
"""Flags of a message without an answer."""

TRANSIENT_TAG: Final = 0xFF
"""Tag of a message from the host: the answer goes back to its sender."""

HOST_PORT: Final = 7
HOST_CORE: Final = 31
"""Port and core by which a chip with an Ethernet socket names the host's side."""

ROOT: Final = 255
"""As x and y: the chip at (0, 0) of the booted machine."""

MAX_SDP_DATA: Final = 16 + MAX_SCP_DATA
"""Bytes behind an SDP header at most: an SCP header and its data."""

_SDP: Final = struct.Struct("<2x8B")
_SCP: Final = struct.Struct("<2H3I")
_RESULT: Final = struct.Struct("<2H")


class SdpAddress(NamedTuple):
    """A port of a core: chip x and y 0 to 255, core 0 to 31, port 0 to 7."""

    x: int
    y: int
    core: int
    port: int = 0


HOST: Final = SdpAddress(ROOT, ROOT, HOST_CORE, HOST_PORT)
"""The sender that a host names: a board puts its own Ethernet chip in place of x and y."""


class SdpMessage(NamedTuple):
    """One message.

    Attributes
    ----------
    destination, source
        Where it goes and where answers go.
    data
        0 to 272 bytes.
    flags
        `FLAGS` with or without `REPLY_EXPECTED` and `NO_ROUTE`.
    tag
        The IP tag that leads an answer, or the message itself, to a host.
    """

    destination: SdpAddress
    source: SdpAddress
    data: bytes
    flags: int = FLAGS
    tag: int = TRANSIENT_TAG

    def answered(self, data: bytes, tag: int) -> "SdpMessage":
        """Return the answer: back to the source, without a request for another answer."""
        return SdpMessage(self.source, self.destination, data, self.flags & ~REPLY_EXPECTED, tag)


class ScpRequest(NamedTuple):
    """A command, its sequence number (16 bits), three argument words, 0 to 256 bytes of data."""

    command: int
    sequence: int
    arg1: int
    arg2: int
    arg3: int
    data: bytes = b""


class ScpReply(NamedTuple):
    """The result of a command, the request's sequence number, 0 to 256 bytes of data."""

    result: int
    sequence: int
    data: bytes = b""


def encode_sdp(message: SdpMessage) -> bytes:
    """Return the datagram of a message.

    Raises
    ------
    struct.error
        A number that does not fit its field: a mistake of the caller.

    Examples
    --------
    >>> to = SdpAddress(2, 1, core=3, port=1)
    >>> encode_sdp(SdpMessage(to, HOST, b"!")).hex(" ")
    '00 00 07 ff 23 ff 01 02 ff ff 21'
    """
    to, source = message.destination, message.source
    header = _SDP.pack(
        message.flags,
        message.tag,
        to.port << 5 | to.core,
        source.port << 5 | source.core,
        to.y,
        to.x,
        source.y,
        source.x,
    )
    return header + message.data


def decode_sdp(datagram: bytes) -> SdpMessage | Result:
    """Return the message in a datagram, or `Result.LENGTH` if it is too short or too long."""
    if not _SDP.size <= len(datagram) <= _SDP.size + MAX_SDP_DATA:
        return Result.LENGTH
    flags, tag, to, source, to_y, to_x, source_y, source_x = _SDP.unpack_from(datagram)
    return SdpMessage(
        SdpAddress(to_x, to_y, to & 31, to >> 5),
        SdpAddress(source_x, source_y, source & 31, source >> 5),
        datagram[_SDP.size :],
        flags,
        tag,
    )


def encode_request(request: ScpRequest) -> bytes:
    """Return the data of the SDP message that carries a request.

    Raises
    ------
    struct.error
        A number that does not fit its field: a mistake of the caller.
    """
    return _SCP.pack(*request[:5]) + request.data


def decode_request(data: bytes) -> ScpRequest | Result:
    """Return the request in an SDP message's data, or `Result.LENGTH` if it is too short."""
    if not _SCP.size <= len(data) <= MAX_SDP_DATA:
        return Result.LENGTH
    command, sequence, arg1, arg2, arg3 = _SCP.unpack_from(data)
    return ScpRequest(command, sequence, arg1, arg2, arg3, data[_SCP.size :])


def sequence_of(data: bytes) -> int:
    """Return the sequence number of a request, 0 if it ends before that."""
    return int.from_bytes(data[2:4], "little")


def encode_reply(reply: ScpReply) -> bytes:
    """Return the data of the SDP message that carries a reply.

    Raises
    ------
    struct.error
        A number that does not fit its field: a mistake of the caller.
    """
    return _RESULT.pack(reply.result, reply.sequence) + reply.data


def decode_reply(data: bytes) -> ScpReply | Result:
    """Return the reply in an SDP message's data, or `Result.LENGTH` if it is too short."""
    if not _RESULT.size <= len(data) <= _RESULT.size + MAX_SCP_DATA:
        return Result.LENGTH
    result, sequence = _RESULT.unpack_from(data)
    return ScpReply(result, sequence, data[_RESULT.size :])
