"""A board for tests: memory behind a UDP socket of its own thread, with faults by a seed.

It knows nothing of the code under test: datagrams are taken apart here by hand.
"""

import random
import socket
import struct
import threading
import time

BASE = 0x60000000
HEAD = 26


class ScriptedBoard:
    """Answers reads, writes and fills of one range of memory that every chip shares.

    Parameters
    ----------
    size : bytes of memory from 0x60000000.
    loss, doubled, reordered : share of datagrams each way that is lost, sent twice, or held back.
    delay_s : how long those are held back, at most.
    refuse_first : answer each request so many times with P2P_BUSY before it is done.
    silent_after : requests that are answered; all later ones are not.
    """

    def __init__(
        self,
        size=1 << 20,
        *,
        loss=0.0,
        doubled=0.0,
        reordered=0.0,
        delay_s=0.005,
        seed=0,
        refuse_first=0,
        silent_after=None,
    ):
        self.memory = bytearray(size)
        self.requests = []
        self.written = []  # the first byte of each write, in the order they were carried out
        self._faults = loss, doubled, reordered, delay_s
        self._random = random.Random(seed)
        self._refusals = {}
        self._refuse_first = refuse_first
        self._silent_after = silent_after
        self._held = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.001)
        self.port = self._socket.getsockname()[1]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        self._socket.close()

    def _serve(self):
        while not self._over.is_set():
            now = time.monotonic()
            due = [item for item in self._held if item[0] <= now]
            self._held = [item for item in self._held if item[0] > now]
            for _, act, arguments in due:
                act(*arguments)
            try:
                datagram, sender = self._socket.recvfrom(512)
            except TimeoutError:
                continue
            self._through_faults(self._request, datagram, sender)

    def _through_faults(self, act, *arguments):
        loss, doubled, reordered, delay_s = self._faults
        draw = self._random.random
        if draw() < loss:
            return
        for _ in range(2 if draw() < doubled else 1):
            if draw() < reordered:
                self._held.append((time.monotonic() + draw() * delay_s, act, arguments))
            else:
                act(*arguments)

    def _request(self, datagram, sender):
        flags, tag, to, source, y, x, _, _ = struct.unpack_from("<8B", datagram, 2)
        command, sequence, *words = struct.unpack_from("<2H3I", datagram, 10)
        assert (flags, tag, to, source) == (0x87, 0xFF, 0, 0xFF)
        self.requests.append((command, x, y, *words))
        if self._silent_after is not None and len(self.requests) > self._silent_after:
            return
        result, data = 0x80, b""
        if self._refusals.setdefault(sequence, 0) < self._refuse_first:
            self._refusals[sequence] += 1
            result = 0x8D
        else:
            result, data = self._carry_out(command, *words, datagram[HEAD:])
        answer = struct.pack("<2x8B2H", 7, 8, 0xFF, 0, 0, 0, y, x, result, sequence) + data
        self._through_faults(self._send, answer, sender)

    def _send(self, answer, sender):
        self._socket.sendto(answer, sender)

    def _carry_out(self, command, address, size, unit, data):
        at = address - BASE
        if command in (2, 3) and (size > 256 or (unit == 2 and (address | size) % 4)):
            return 0x84, b""
        if command == 5:
            size, word = unit, size
            if not 0 <= at <= at + size <= len(self.memory):
                return 0x84, b""
            self.memory[at : at + size] = struct.pack("<I", word) * (size // 4)
            return 0x80, b""
        if not 0 <= at <= at + size <= len(self.memory):
            return 0x84, b""
        if command == 2:
            return 0x80, bytes(self.memory[at : at + size])
        if command == 3:
            assert len(data) == size
            self.memory[at : at + size] = data
            self.written.append(data[0])
            return 0x80, b""
        return 0x83, b""
