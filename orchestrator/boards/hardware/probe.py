"""Asks a board once who it is: before spinnman, which would boot one that is silent."""

import socket
from typing import Final

from orchestrator.boards.hardware.asking import ask
from orchestrator.boards.hardware.failures import BoardDead
from orchestrator.wire.answers import Version, decode_version
from orchestrator.wire.datagrams import ROOT, ScpReply, ScpRequest, SdpAddress
from orchestrator.wire.layout import SYSTEM_VARIABLES, Sv
from orchestrator.wire.numbers import SCP_UDP_PORT, Command, Result

TRIES: Final = 3
ANSWER_S: Final = 0.5
_HALF_WORDS: Final = 1


def who_answers(host: str) -> Version | None:
    """Return who answers for a board's root chip, None if nobody does: it is not booted, or off.

    Raises
    ------
    BoardDead
        There is a computer that has no board.
    """
    reply = _ask(host, ScpRequest(Command.VERSION, 0, 0, 0, 0))
    if reply is None:
        return None
    version = decode_version(reply.data)
    return None if isinstance(version, Result) else version


def machine_size(host: str) -> tuple[int, int] | None:
    """Return the chips in x and y of the machine a booted board is part of, None if it is silent.

    Raises
    ------
    BoardDead
        There is a computer that has no board.
    """
    address = SYSTEM_VARIABLES + Sv.P2P_DIMENSIONS
    reply = _ask(host, ScpRequest(Command.READ, 1, address, 2, _HALF_WORDS))
    if reply is None or len(reply.data) != 2:
        return None
    return reply.data[1], reply.data[0]


def _ask(host: str, request: ScpRequest) -> ScpReply | None:
    """Return the root chip's answer, whatever its result, or None."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        try:
            link.connect((host, SCP_UDP_PORT))
            return ask(link, SdpAddress(ROOT, ROOT, core=0), request, TRIES, ANSWER_S)
        except OSError as error:
            raise BoardDead(
                f"board {host}: {error.strerror}: nothing there takes SpiNNaker's datagrams (UDP "
                f"port {SCP_UDP_PORT}); check the address, or start the virtual machine"
            ) from error
