"""Malformed datagrams neither stop nor spoil a virtual machine."""

import socket
import time

from boards import request
from fuzzing import Datagrams, fuzz_handlers

from orchestrator.virtual.running import RunningCores
from orchestrator.virtual.serving.configuration import VirtualMachineConfig
from orchestrator.virtual.serving.machine import VirtualMachine
from orchestrator.wire.datagrams import decode_reply, decode_sdp
from orchestrator.wire.numbers import Command, Result

HANDLED = 20_000
SENT = 10_000
RUN = 3_000


def test_malformed_datagrams_into_the_handlers():
    outcomes = fuzz_handlers(HANDLED, seed=1)
    for result in ("OK", "ARGUMENT", "COMMAND", "ROUTE", "CPU", "PORT", "LENGTH", "TIMEOUT"):
        assert outcomes["scp", result], f"no datagram got so far as {result}"
    assert outcomes["bmp", "OK"] and outcomes["boots"]


def test_malformed_datagrams_while_cores_run_what_they_bring():
    outcomes = fuzz_handlers(RUN, seed=6, open_cores=RunningCores)
    assert outcomes["scp", "OK"] and outcomes["scp", "TIMEOUT"] and outcomes["boots"]


def answer_to_version(opened, tries=20):
    """Return the answer to VERSION, sent until it comes; other answers are passed over."""
    opened.settimeout(1)
    for _ in range(tries):
        opened.send(request(255, 255, Command.VERSION))
        until = time.monotonic() + 1
        try:
            while time.monotonic() < until:
                reply = decode_reply(decode_sdp(opened.recv(512)).data)
                if reply.data.endswith(b"SC&MP/SpiNNaker\x004.0.0\0"):
                    return reply
        except TimeoutError:
            continue
    raise AssertionError("the board does not answer any more")


def test_malformed_datagrams_over_sockets():
    config = VirtualMachineConfig(shape="spinn3", base_address="127.0.170.0", booted=True)
    with VirtualMachine(config) as machine:
        place = machine.places[0]
        addresses = {
            "scp": (place.address, 17893),
            "boot": (place.address, 54321),
            "bmp": (place.bmp_address, 17893),
        }
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking,
        ):
            asking.connect(addresses["scp"])
            for number, (target, datagram) in zip(
                range(SENT), Datagrams(2, power=False), strict=False
            ):
                sender.sendto(datagram, addresses[target])
                if number % 200 == 199:  # let it catch up: its buffer would overflow
                    answer_to_version(asking)
            assert answer_to_version(asking).result == Result.OK
        # Leaving raises if any datagram met a mistake of the program.
