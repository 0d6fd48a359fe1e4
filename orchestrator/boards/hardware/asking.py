"""One question and its answer, for what needs no window: who is there, power, temperatures."""

import socket
import time
from typing import Final

from orchestrator.wire.datagrams import (
    FLAGS,
    HOST,
    REPLY_EXPECTED,
    ScpReply,
    ScpRequest,
    SdpAddress,
    SdpMessage,
    decode_reply,
    decode_sdp,
    encode_request,
    encode_sdp,
)
from orchestrator.wire.numbers import Result

_LONGEST: Final = 512


def ask(
    link: socket.socket, to: SdpAddress, request: ScpRequest, tries: int, wait_s: float
) -> ScpReply | None:
    """Return the answer to a request, whatever its result, or None if none comes.

    Parameters
    ----------
    link
        A connected UDP socket.
    to
        Who is asked.
    request
        Its sequence number must differ from those of earlier ones over this socket.
    tries, wait_s
        How often it is sent, and for how long each time an answer may take, seconds.

    Raises
    ------
    OSError
        Nobody takes datagrams at the other end.
    """
    datagram = encode_sdp(SdpMessage(to, HOST, encode_request(request), FLAGS | REPLY_EXPECTED))
    for _ in range(tries):
        link.send(datagram)
        end = time.monotonic() + wait_s
        while (left := end - time.monotonic()) > 0:
            link.settimeout(left)
            try:
                message = decode_sdp(link.recv(_LONGEST))
            except TimeoutError:
                break
            reply = message if isinstance(message, Result) else decode_reply(message.data)
            if isinstance(reply, ScpReply) and reply.sequence == request.sequence:
                return reply
    return None
