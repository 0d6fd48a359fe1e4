"""Booted machines without sockets, and a host that asks their monitors."""

from orchestrator.machine.build import single_board, spinn3
from orchestrator.virtual.monitor.cores import StateCores
from orchestrator.virtual.monitor.machine import BootedMachine
from orchestrator.virtual.monitor.tags import HostAddress
from orchestrator.virtual.monitor.variables import Boot, default_variables
from orchestrator.virtual.serving.topology import Site, boot_plan
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

HOST_ADDRESS = HostAddress("127.0.0.1", 40000)


class Listener:
    """The way to hosts: remembers what was sent, and which ports are open."""

    def __init__(self):
        self.sent = []
        self.ports = set()

    def send(self, ethernet, port, datagram, host):
        self.sent.append((ethernet, port, datagram, host))

    def listen(self, ethernet, port, on):
        (self.ports.add if on else self.ports.discard)(port)
        return on


class Asked:
    """A booted board and a host.

    Attributes
    ----------
    machine, outside, now
        The machine, what it sends to hosts, its clock.
    """

    def __init__(self, shape="spinn3", open_cores=StateCores):
        site = Site(spinn3() if shape == "spinn3" else single_board())
        board = (0, 0, 0)
        plan = boot_plan(site, board, {board: "127.0.64.1"}, lambda board, link: True).machine
        self.outside = Listener()
        self.now = 1000.0
        boot = Boot(default_variables(3, 1000), 1000.0)
        self.machine = BootedMachine(plan, boot, open_cores, self.outside, lambda: self.now)

    def send(self, x, y, data, core=0, port=0, flags=FLAGS | REPLY_EXPECTED, tag=0xFF):
        """Send a message's data; return the decoded answer or None."""
        message = SdpMessage(SdpAddress(x, y, core, port), HOST, data, flags, tag)
        answer = self.machine.handle((0, 0), encode_sdp(message), HOST_ADDRESS)
        return decode_sdp(answer) if answer is not None else None

    def ask(self, x, y, command, arg1=0, arg2=0, arg3=0, data=b"", core=0):
        """Send a command; return its answer's result and data."""
        request = ScpRequest(command, 1, arg1, arg2, arg3, data)
        reply = decode_reply(self.send(x, y, encode_request(request), core).data)
        assert reply.sequence == 1
        return reply.result, reply.data
