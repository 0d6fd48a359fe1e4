"""Asks board management processors: power, temperatures, who they are.

spinnman 7.4.1 sends the power command and then fails on the answer: its answer class cannot be
instantiated. So this is done here, with nothing of spinnman.
"""

import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Final

from orchestrator.boards.hardware.asking import ask
from orchestrator.boards.hardware.boards import check_host
from orchestrator.boards.hardware.failures import BoardDead, Refused
from orchestrator.wire.answers import Measurements, Version, decode_measurements, decode_version
from orchestrator.wire.datagrams import ScpReply, ScpRequest, SdpAddress
from orchestrator.wire.numbers import SCP_UDP_PORT, BmpCommand, Result

ANSWER_S: Final = 0.5
"""How long a BMP takes to answer at most (spinnman ``BMP_TIMEOUT``)."""

POWER_ON_S: Final = 10.0
"""The same for switching boards on (spinnman ``BMP_POWER_ON_TIMEOUT``)."""

TRIES: Final = 4
MEASUREMENTS: Final = 3
"""What to ask of ``BmpCommand.INFO`` for voltages and temperatures."""


class BmpLink:
    """A connection to the BMP of a frame, or of a single board.

    Parameters
    ----------
    host
        Its name or address.
    port
        Its UDP port for SCP.

    Raises
    ------
    ArgumentError
        There is no such host.
    """

    def __init__(self, host: str, port: int = SCP_UDP_PORT):
        check_host("BMP", host)
        self.host = host
        self._sequence = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect((host, port))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __enter__(self) -> "BmpLink":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def version(self, slot: int = 0) -> Version:
        """Return who answers for a slot.

        Raises
        ------
        BoardDead
            Nobody does.
        """
        version = decode_version(self._call(slot, BmpCommand.VERSION).data)
        if isinstance(version, Result):
            raise Refused(f"BMP {self.host} gives a version that cannot be read", version)
        return version

    def set_power(self, on: bool, slots: Sequence[int]) -> None:
        """Switch boards on or off, at once; switching on resets those that are on.

        Raises
        ------
        BoardDead
            The BMP does not answer.
        Refused
            It does not do it.
        """
        mask = sum(1 << slot for slot in set(slots))
        self._call(0, BmpCommand.POWER, int(on), mask, wait_s=POWER_ON_S if on else ANSWER_S)

    def measurements(self, slot: int) -> Measurements:
        """Return a board's voltages and temperatures.

        Raises
        ------
        BoardDead, Refused
            As for `set_power`.
        """
        data = self._call(slot, BmpCommand.INFO, MEASUREMENTS).data
        measured = decode_measurements(data)
        if isinstance(measured, Result):
            raise Refused(f"BMP {self.host} gives measurements that cannot be read", measured)
        return measured

    def _call(
        self, slot: int, command: BmpCommand, arg1: int = 0, arg2: int = 0, wait_s: float = ANSWER_S
    ) -> ScpReply:
        self._sequence = (self._sequence + 1) & 0xFFFF
        request = ScpRequest(command, self._sequence, arg1, arg2, 0)
        cause = f"{TRIES} tries of {wait_s:g} s"
        try:
            reply = ask(self._socket, SdpAddress(0, 0, core=slot), request, TRIES, wait_s)
        except OSError as error:
            reply, cause = None, str(error.strerror)
        if reply is None:
            raise BoardDead(
                f"BMP {self.host} does not answer ({command.name}, {cause}); check its address, "
                "power and network, or leave it out if the boards are on"
            )
        if reply.result != Result.OK:
            raise Refused(
                f"BMP {self.host} refuses {command.name} of slot {slot}: result 0x{reply.result:x}",
                None,
            )
        return reply
