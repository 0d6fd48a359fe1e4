"""UDP sockets, timers and calls from other threads, all served by one thread.

A board's sockets stay open whatever its state: a closed port would make the host's system answer
"refused", and hosts take that for the end rather than for a board to boot. Each socket is bound to
its board's address, as hosts take answers from the address they asked only.
"""

import errno
import heapq
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count
from typing import Final, TypeVar

from orchestrator.errors import RunError
from orchestrator.virtual.monitor.tags import HostAddress
from orchestrator.virtual.serving.faults import NO_FAULTS_ON_DEMAND, DatagramFaults, FaultsConfig

T = TypeVar("T")

Receiver = Callable[[bytes, HostAddress], None]
"""Takes a datagram and who sent it."""

_RECEIVE_BUFFER: Final = 4 << 20
_MAX_DATAGRAM: Final = 2048
_AT_ONCE: Final = 64
"""Datagrams taken from a socket before the next one's turn."""

_LONGEST_WAIT_S: Final = 3600.0
MAX_ERRORS: Final = 10


class Network:
    """The sockets of a virtual machine.

    Parameters
    ----------
    work
        Called in every round with whether datagrams came; returns in how many seconds to call it
        again without any, None for not at all.

    report
        Called with a line of text when something goes wrong.

    Attributes
    ----------
    errors
        The first mistakes of the program that came to light, at most `MAX_ERRORS`. Serving goes on
        after those that a datagram brought to light.
    """

    def __init__(self, work: Callable[[bool], float | None], report: Callable[[str], None]):
        self._work = work
        self._report = report
        self._selector = selectors.DefaultSelector()
        self._sockets: dict[tuple[str, int], socket.socket] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._calls: deque[Callable[[], None]] = deque()
        self._calling = threading.Lock()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._wake_up, wake = socket.socketpair()
        self._wake = wake
        self._wake_up.setblocking(False)
        self._wake.setblocking(False)
        self._selector.register(self._wake_up, selectors.EVENT_READ, None)
        self._running: int | None = None
        self._started = threading.Event()
        self.errors: list[Exception] = []
        self.set_faults(NO_FAULTS_ON_DEMAND)

    def set_faults(self, faults: FaultsConfig) -> None:
        """Meet datagrams with the faults of a plan from now on, its draws from the beginning."""
        self._received = DatagramFaults(faults.received, 2 * faults.seed)
        self._sent = DatagramFaults(faults.sent, 2 * faults.seed + 1)

    def open(self, address: str, port: int, receiver: Receiver) -> None:
        """Take datagrams on a port of an address.

        Raises
        ------
        RunError
            Another program has it, or the address is none of this computer's.
        """
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            opened.bind((address, port))
        except OSError as error:
            opened.close()
            cause = (
                "another virtual machine may be serving there: stop it or change base_address"
                if error.errno == errno.EADDRINUSE
                else "base_address has to be this computer's"
            )
            raise RunError(
                f"cannot take datagrams on {address}, port {port}: {error.strerror}; {cause}"
            ) from None
        opened.setblocking(False)
        self._sockets[address, port] = opened
        self._selector.register(opened, selectors.EVENT_READ, receiver)

    def shut(self, address: str, port: int) -> None:
        """Close a port, if it is open."""
        opened = self._sockets.pop((address, port), None)
        if opened is not None:
            self._selector.unregister(opened)
            opened.close()

    def close(self) -> None:
        """Close everything."""
        for address, port in list(self._sockets):
            self.shut(address, port)
        self._selector.close()
        self._wake_up.close()
        self._wake.close()

    def send(self, address: str, port: int, datagram: bytes, host: HostAddress) -> None:
        """Send from a port of an address; what cannot be sent is lost, as datagrams are."""
        if self._sent.idle:
            self._send_now(address, port, datagram, host)
            return
        for delay in self._sent.delays():
            self.after(delay, lambda: self._send_now(address, port, datagram, host))

    def _send_now(self, address: str, port: int, datagram: bytes, host: HostAddress) -> None:
        opened = self._sockets.get((address, port))
        if opened is None:
            return
        try:
            opened.sendto(datagram, host)
        except OSError:  # no such host or port, or the buffer is full
            return

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call something later."""
        when = time.monotonic() + seconds
        heapq.heappush(self._timers, (when, next(self._numbers), call))

    # The thread

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread = threading.Thread(
            target=self._serve_in_thread, name="virtual machine", daemon=True
        )
        self._thread.start()
        self._started.wait()

    def stop(self) -> None:
        """End serving; may be called from a signal handler or another thread."""
        self._stopping = True
        self._interrupt()

    def join(self) -> None:
        """Wait for the thread's end."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def call(self, function: Callable[[], T]) -> T:
        """Return what a function returns, called between datagrams, from any thread."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(function())
            except Exception as error:
                future.set_exception(error)

        # The lock keeps the thread from ending between the question and the call.
        with self._calling:
            served = self._running not in (None, threading.get_ident())
            if served:
                self._calls.append(run)
        if not served:
            return function()
        self._interrupt()
        return future.result()

    def _interrupt(self) -> None:
        try:
            self._wake.send(b"\0")
        except OSError:  # enough bytes are on their way, or it is closed
            return

    def _serve_in_thread(self) -> None:
        try:
            self.serve()
        except Exception as error:
            self._note(error)

    def serve(self) -> None:
        """Serve until `stop`."""
        self._running = threading.get_ident()
        self._started.set()
        wait: float | None = 0.0
        try:
            while not self._stopping:
                came = self._receive(self._timeout(wait))
                self._run_timers()
                while self._calls:
                    self._calls.popleft()()
                    came = True
                wait = self._work(came)
        finally:
            with self._calling:
                self._running = None
            while self._calls:
                self._calls.popleft()()

    def _timeout(self, wait: float | None) -> float:
        timeout = _LONGEST_WAIT_S if wait is None else wait
        if self._timers:
            timeout = min(timeout, self._timers[0][0] - time.monotonic())
        return max(0.0, timeout)

    def _receive(self, timeout: float) -> bool:
        came = False
        for key, _ in self._selector.select(timeout):
            opened, receiver = key.fileobj, key.data
            if not isinstance(opened, socket.socket):
                continue
            if receiver is None:
                _drain(opened)
                continue
            for _ in range(_AT_ONCE):
                try:
                    datagram, (ip, port) = opened.recvfrom(_MAX_DATAGRAM)
                except OSError:  # nothing more, or an answer of ours was refused, or just closed
                    break
                came = True
                self._hand_on(receiver, datagram, HostAddress(ip, port))
        return came

    def _hand_on(self, receiver: Receiver, datagram: bytes, host: HostAddress) -> None:
        def take() -> None:
            try:
                receiver(datagram, host)
            except Exception as error:
                self._note(error)

        if self._received.idle:
            take()
            return
        for delay in self._received.delays():
            self.after(delay, take)

    def _note(self, error: Exception) -> None:
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(error)
            self._report(f"a mistake in the virtual machine: {type(error).__name__}: {error}")

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()


def _drain(opened: socket.socket) -> None:
    try:
        while opened.recv(_MAX_DATAGRAM):
            pass
    except BlockingIOError:
        return
