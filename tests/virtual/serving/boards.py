"""Boards without sockets: an installation, a clock that stands until it is moved, a host."""

from orchestrator.virtual.monitor.cores import StateCores
from orchestrator.virtual.monitor.tags import HostAddress
from orchestrator.virtual.serving.bmp import Frame
from orchestrator.virtual.serving.configuration import parse_virtual_machine
from orchestrator.virtual.serving.faults import NO_FAULTS_ON_DEMAND
from orchestrator.virtual.serving.installation import Installation
from orchestrator.wire.boot import BootMessage, encode_boot, swap_words
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
from orchestrator.wire.numbers import BmpCommand

HOST_ADDRESS = HostAddress("127.0.0.1", 40000)
IMAGE = bytes(384) + bytes(range(128)) + b"SARK/SpiNNaker\0\0" + bytes(2000)


def request(x, y, command, arg1=0, arg2=0, arg3=0, data=b"", core=0):
    """Return the datagram of a command."""
    scp = encode_request(ScpRequest(command, 1, arg1, arg2, arg3, data))
    return encode_sdp(SdpMessage(SdpAddress(x, y, core), HOST, scp, FLAGS | REPLY_EXPECTED))


def boot_datagrams(image=IMAGE):
    """Return the datagrams of a boot, as spinnman sends them."""
    blocks = [image[start : start + 1024] for start in range(0, len(image), 1024)]
    return [
        encode_boot(BootMessage(1, 0, 0, len(blocks) - 1)),
        *(
            encode_boot(BootMessage(3, 0xFF00 + number, 0, 0, swap_words(block)))
            for number, block in enumerate(blocks)
        ),
        encode_boot(BootMessage(5, 1)),
    ]


class Boards:
    """An installation, its BMP if it has one frame, and its surroundings."""

    def __init__(self, text, open_cores=StateCores, faults=NO_FAULTS_ON_DEMAND):
        self.sent, self.events, self.timers, self.now = [], [], [], 0.0
        self.installation = Installation(
            parse_virtual_machine(text), open_cores, self, faults, self.events.append
        )
        self.boards = self.installation.boards
        slots = {board.place.slot: board for board in self.boards.values()}
        self.frame = Frame(0, slots, self.installation.set_power)

    def send(self, address, port, datagram, host):
        self.sent.append((address, port, datagram, host))

    def listen(self, board, port, on):
        return on

    def after(self, seconds, call):
        self.timers.append((self.now + seconds, call))

    def wait(self, seconds):
        self.now += seconds
        due = [timer for timer in self.timers if timer[0] <= self.now]
        self.timers = [timer for timer in self.timers if timer[0] > self.now]
        for _, call in due:
            call()

    def ask(self, board, x, y, command, *args, core=0, data=b""):
        """Return result and data of a board's answer to a command, None if there is none."""
        datagram = request(x, y, command, *args, core=core, data=data)
        answer = self.installation.answer(self.boards[board], datagram, HOST_ADDRESS)
        return None if answer is None else decode_reply(decode_sdp(answer).data)[::2]

    def ask_bmp(self, slot, command, *args, data=b""):
        """Return result and data of the BMP's answer."""
        answer = self.frame.handle(request(0, 0, command, *args, core=slot, data=data))
        return decode_reply(decode_sdp(answer).data)[::2]

    def power(self, on, *slots):
        """Switch boards on or off by their BMP."""
        return self.ask_bmp(0, BmpCommand.POWER, int(on), sum(1 << slot for slot in slots))

    def boot(self, board, image=IMAGE):
        """Send an image to a board and wait until it has booted."""
        for datagram in boot_datagrams(image):
            self.installation.boot_datagram(self.boards[board], datagram)
        self.wait(1.0)

    def plan(self, board):
        """Return what a board has booted into."""
        return self.boards[board].machine.plan
