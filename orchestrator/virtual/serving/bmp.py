"""The board management processor of a frame: power, LEDs, measurements, FPGA registers.

References
----------
BC&MP ``bmp_cmd.c`` as spinnman 7.4.1 and spalloc_server 1!7.0.0 use it.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Final

from orchestrator.virtual.monitor.answers import BAD, OK, Answer
from orchestrator.virtual.monitor.commands import switch_leds
from orchestrator.virtual.serving.board import BoardState, VirtualBoard
from orchestrator.wire.answers import (
    Measurements,
    Version,
    encode_measurements,
    encode_version,
)
from orchestrator.wire.datagrams import (
    REPLY_EXPECTED,
    ScpReply,
    ScpRequest,
    decode_request,
    decode_sdp,
    encode_reply,
    encode_sdp,
    sequence_of,
)
from orchestrator.wire.numbers import MAX_SCP_DATA, BmpCommand, Result

VERSION: Final = "2.1.2"
"""Major version 2: spalloc_server then checks the FPGAs after each power-on."""

_BUILT: Final = 1459423520
_MEASUREMENTS: Final = 3
_FPGAS: Final = 3

IDLE: Final = Measurements(
    voltages=(0, 1966, 1966, 1966, 2949, 0, 3604, 3277),  # 1.2 V three times, 1.8, 3.3, 12 V
    temperatures=(25.0, 26.0, 0.0, 0.0),
    external_temperatures=(None, None, 0.0, 0.0),
    fans=(None, None, 0, 0),
)
"""What a board measures without power to its chips."""

_WARMER_WITH_POWER: Final = 12.0


class Frame:
    """A BMP and the boards in its slots.

    Parameters
    ----------
    number
        Of the frame.
    slots
        Its boards.
    set_power
        Called for a board that is to go on (again) or off.
    """

    def __init__(
        self,
        number: int,
        slots: Mapping[int, VirtualBoard],
        set_power: Callable[[VirtualBoard, bool], None],
    ):
        self._number = number
        self._slots = slots
        self._set_power = set_power

    def handle(self, datagram: bytes) -> bytes | None:
        """Return the answer to a datagram, None if there is none."""
        message = decode_sdp(datagram)
        if isinstance(message, Result):
            return None
        request = decode_request(message.data)
        if isinstance(request, Result):
            result, data = request, b""
        else:
            result, data = self._answer(message.destination.core, request)
        if not message.flags & REPLY_EXPECTED:
            return None
        reply = encode_reply(ScpReply(result, sequence_of(message.data), data))
        return encode_sdp(message.answered(reply, message.tag))

    def _answer(self, slot: int, request: ScpRequest) -> Answer:
        if request.command == BmpCommand.VERSION:
            version = Version(
                slot, slot, self._number & 0xFF, 0, "BC&MP/Spin5-BMP", VERSION, _BUILT
            )
            return Result.OK, encode_version(version)
        if request.command == BmpCommand.POWER:
            return self._power(request)
        if request.command == BmpCommand.LED:
            for number, lit in self._slots.items():
                if request.arg2 >> number & 1:
                    lit.leds = switch_leds(lit.leds, request.arg1)
            return OK
        board = self._slots.get(slot)
        if board is None:
            return Result.CPU, b""
        if request.command == BmpCommand.INFO:
            if request.arg1 != _MEASUREMENTS:
                return BAD
            return Result.OK, encode_measurements(_measured(board))
        if request.command in (BmpCommand.FPGA_READ, BmpCommand.FPGA_WRITE):
            return _fpga(board, request)
        return Result.COMMAND, b""

    def _power(self, request: ScpRequest) -> Answer:
        on = request.arg1 & 0xFF
        if on > 1:
            return BAD
        for number, board in self._slots.items():
            if request.arg2 >> number & 1:
                self._set_power(board, bool(on))
        return OK


def _measured(board: VirtualBoard) -> Measurements:
    if board.state is BoardState.OFF:
        return IDLE
    warm = tuple(t and t + _WARMER_WITH_POWER for t in IDLE.temperatures)
    return IDLE._replace(temperatures=warm)


def _fpga(board: VirtualBoard, request: ScpRequest) -> Answer:
    """Read or write registers: arg1 the first, arg2 bytes, arg3 the FPGA."""
    register, size, fpga = request.arg1, request.arg2, request.arg3
    if size > MAX_SCP_DATA or size % 4 or register % 4 or fpga >= _FPGAS:
        return BAD
    registers = range(register, register + size, 4)
    if request.command == BmpCommand.FPGA_READ:
        words = [board.fpga_word(fpga, each) for each in registers]
        return Result.OK, struct.pack(f"<{len(words)}I", *words)
    if size > len(request.data):
        return Result.LENGTH, b""
    values = struct.unpack_from(f"<{size // 4}I", request.data)
    stored = [
        board.set_fpga_word(fpga, each, value)
        for each, value in zip(registers, values, strict=True)
    ]
    return OK if all(stored) else BAD
