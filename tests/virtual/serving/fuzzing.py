"""Malformed datagrams, from a seed: into the packet handlers, or through sockets.

Run as a program, fuzzing.py COUNT SEED sends COUNT datagrams into the handlers of a 4-chip board,
its boot ROM and its BMP, and says what came of them.
"""

import random
import struct
import sys
import time
from collections import Counter

from orchestrator.virtual.monitor.cores import StateCores
from orchestrator.virtual.monitor.tags import HostAddress
from orchestrator.virtual.serving.bmp import Frame
from orchestrator.virtual.serving.board import BoardState
from orchestrator.virtual.serving.configuration import VirtualMachineConfig
from orchestrator.virtual.serving.faults import NO_FAULTS_ON_DEMAND
from orchestrator.virtual.serving.installation import Installation
from orchestrator.wire.boot import BootMessage, encode_boot
from orchestrator.wire.datagrams import (
    FLAGS,
    HOST,
    REPLY_EXPECTED,
    ScpRequest,
    SdpAddress,
    SdpMessage,
    decode_reply,
    decode_sdp,
    encode_request,
    encode_sdp,
)
from orchestrator.wire.numbers import BmpCommand, Command, Result

ADDRESSES = [
    *(0, 0x400000, 0x50000000, 0x60000000, 0x60240000, 0x67800000, 0x67FFFFF0, 0x68000000),
    *(0x70300000, 0xE1000000, 0xE100002C, 0xE1010000, 0xE1017FF0, 0xE5000000, 0xE5007FF0),
    *(0xF5007F00, 0xF5007FF0, 0xF5008000, 0xE2000000, 0xE2000FF8, 0xFFFFFFFF),
]
EXTREMES = [0, 1, 2, 3, 4, 5, 7, 255, 256, 257, 0x8000, 0xFFFF, 1 << 31, 0xFFFFFFFF, *ADDRESSES]
TARGETS = ["scp", "scp", "scp", "scp", "scp", "scp", "boot", "bmp"]


class Datagrams:
    """An endless sequence of datagrams, each with where to send it: scp, boot, bmp or reverse."""

    def __init__(self, seed, power=True):
        self.random = random.Random(seed)
        self.power = power

    def __iter__(self):
        while True:
            target = self.random.choice(TARGETS)
            yield target, self._damage(getattr(self, f"_{target}")())

    def _damage(self, datagram):
        """Leave a datagram as it is, or cut, lengthen or flip it."""
        kind = self.random.randrange(10)
        if kind == 0:
            return datagram[: self.random.randrange(len(datagram) + 1)]
        if kind == 1:
            return datagram + self.random.randbytes(self.random.randrange(300))
        if kind == 2:
            damaged = bytearray(datagram)
            for _ in range(self.random.randrange(1, 5)):
                damaged[self.random.randrange(len(damaged))] ^= 1 << self.random.randrange(8)
            return bytes(damaged)
        if kind == 3:
            return self.random.randbytes(self.random.randrange(400))
        return datagram

    def _word(self):
        kind = self.random.randrange(4)
        if kind == 0:
            return self.random.getrandbits(32)
        if kind == 1:
            return self.random.randrange(64)
        value = self.random.choice(EXTREMES)
        return value + self.random.randrange(-4, 5) & 0xFFFFFFFF if kind == 2 else value

    def _request(self, commands):
        number = self.random.choice([*commands, self.random.randrange(65536)])
        args = [self._word() for _ in range(3)]
        if number == Command.IP_TAG or number in (Command.ALLOCATE, Command.ROUTER):
            args[0] = self.random.randrange(9) << (16 if number == Command.IP_TAG else 0)
            args[0] |= self.random.choice([0, 3, 0x2000, 0x10000000, 0x20000000, 0x60000000])
        if number == Command.FILL and self.random.random() < 0.99:
            args[2] %= 4096
        data = self.random.randbytes(self.random.choice([0, 4, 16, 255, 256]))
        return encode_request(ScpRequest(number, self.random.randrange(65536), *args, data))

    def _message(self, data):
        place = self.random.choice(
            [(0, 0), (1, 1), (0, 1), (0, 0), (255, 255), (255, 255), (200, 9)]
        )
        core = self.random.choice([0, 0, 0, 0, 0, 0, 0, 1, 17, 18])
        port = self.random.choice([0, 0, 0, 0, 0, 0, 0, 1, 7])
        source = HOST if self.random.random() < 0.8 else SdpAddress(1, 1, core, port)
        flags = self.random.choice([FLAGS, FLAGS | REPLY_EXPECTED, FLAGS | REPLY_EXPECTED, 0xFF])
        tag = self.random.choice([0xFF, 0xFF, 0, 3, 15, 16])
        return encode_sdp(SdpMessage(SdpAddress(*place, core, port), source, data, flags, tag))

    def _scp(self):
        return self._message(self._request(list(Command)))

    def _bmp(self):
        commands = [c for c in BmpCommand if self.power or c != BmpCommand.POWER]
        data = self._request(commands)
        if not self.power and data[:2] == struct.pack("<H", BmpCommand.POWER):
            data = bytes(16)
        slot = SdpAddress(0, 0, self.random.choice([0, 0, 0, 1, 31]))
        return encode_sdp(SdpMessage(slot, HOST, data, FLAGS | REPLY_EXPECTED))

    def _boot(self):
        message = BootMessage(
            self.random.choice([1, 3, 5, 0x41, self._word()]),
            self.random.choice([0xFF00, 0xFF01, 1, self._word()]),
            self._word(),
            self.random.choice([0, 1, 29, self._word()]),
            self.random.randbytes(self.random.choice([0, 172, 1024])),
        )
        return encode_boot(message)


class Nowhere:
    """Outside of an installation without sockets: ports open, time stands still."""

    def send(self, address, port, datagram, host):
        assert len(datagram) <= 300

    def listen(self, board, port, on):
        return on and port > 0

    def after(self, seconds, call):
        call()


def changes(chip):
    """Return what a refused datagram must leave alone: registers, tables, heads of the heaps."""
    space = chip.space
    parts = [bytes(chip.memory.state)]
    for address, size in ((0x60240000, 64), (0x67800000, 64), (0x67840000, 64)):
        parts.append(space.read(address, size))
    return parts


def fuzz_handlers(count, seed, open_cores=StateCores):
    """Send datagrams into the handlers of a board and its BMP; return results and how often each.

    Refused datagrams must change nothing: that is looked at for every 16th, unless cores run, which
    they do for a millisecond after each datagram.
    """
    config = VirtualMachineConfig(shape="spinn3", booted=True)
    installation = Installation(config, open_cores, Nowhere(), NO_FAULTS_ON_DEMAND, lambda _: None)
    (board,) = installation.boards.values()
    frame = Frame(0, {0: board}, installation.set_power)
    host = HostAddress("127.0.0.1", 40000)
    outcomes = Counter()
    stream = iter(Datagrams(seed))
    for number in range(count):
        if board.state is not BoardState.BOOTED:
            installation.set_power(board, True)
            installation.boot_all()
            outcomes["boots"] += 1
        for machine in installation.machines:
            machine.cores.poll(0.001)
        target, datagram = next(stream)
        look = target == "scp" and number % 16 == 0 and open_cores is StateCores
        chips = list(board.machine.chips()) if look else []
        before = [changes(chip) for chip in chips]
        if target == "boot":
            installation.boot_datagram(board, datagram)
            continue
        if target == "bmp":
            answer = frame.handle(datagram)
        else:
            answer = installation.answer(board, datagram, host)
            if number % 64 == 1:  # not one that is looked at: it may carry a command of its own
                installation.reverse(board, number % 65536, datagram, host)
        result = "no answer"
        if answer is not None:
            assert len(answer) <= 300
            reply = decode_reply(decode_sdp(answer).data)
            result = Result(reply.result).name
        outcomes[target, result] += 1
        if look and result not in ("OK", "no answer"):
            assert [changes(chip) for chip in chips] == before, datagram.hex()
    check_answers(installation, board, host)
    installation.close()
    return outcomes


def check_answers(installation, board, host):
    """Check that every chip of the board still answers as it should, from a fresh boot too."""
    for _ in range(2):
        if board.state is BoardState.BOOTED:
            for x, y in ((0, 0), (1, 0), (0, 1), (1, 1)):
                request = encode_request(ScpRequest(Command.VERSION, 9, 0, 0, 0))
                message = SdpMessage(SdpAddress(x, y, 0), HOST, request, FLAGS | REPLY_EXPECTED)
                answer = decode_sdp(installation.answer(board, encode_sdp(message), host))
                reply = decode_reply(answer.data)
                assert reply.result == Result.OK and reply.sequence == 9
                assert reply.data[2:4] == bytes([y, x])
        installation.set_power(board, True)
        installation.boot_all()


if __name__ == "__main__":
    started = time.process_time()
    found = fuzz_handlers(int(sys.argv[1]), int(sys.argv[2]))
    for outcome, times in sorted(found.items(), key=str):
        print(outcome, times)
    print(f"{time.process_time() - started:.0f} s of CPU time")
