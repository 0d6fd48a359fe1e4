"""A virtual machine: boards and BMPs on loopback addresses, as hosts find a real one.

Use it as a context manager, which serves in a thread, or call `VirtualMachine.serve`, which serves
in the caller's until `VirtualMachine.stop`::

    with VirtualMachine(VirtualMachineConfig(shape="spinn5", booted=True)) as machine:
        host = machine.places[0].address  # for spinnman
"""

import ipaddress
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, TypeVar

from orchestrator.errors import ArgumentError, RegattaError, RunError
from orchestrator.machine.links import Link
from orchestrator.machine.machine import Board
from orchestrator.virtual.monitor.cores import OpenCores, StateCores
from orchestrator.virtual.monitor.tags import HostAddress
from orchestrator.virtual.serving.bmp import Frame
from orchestrator.virtual.serving.board import VirtualBoard
from orchestrator.virtual.serving.configuration import VirtualMachineConfig, board_places
from orchestrator.virtual.serving.faults import NO_FAULTS_ON_DEMAND, FaultsConfig
from orchestrator.virtual.serving.installation import Installation
from orchestrator.virtual.serving.network import Network
from orchestrator.wire.numbers import BOOT_UDP_PORT, SCP_UDP_PORT

T = TypeVar("T")

_SLICE_S: Final = 0.005
"""For how long cores run before datagrams get their turn."""


def _say_nothing(text: str) -> None:
    """Take an event that nobody wants to read."""


class VirtualMachine:
    """Boards, BMPs and what they have booted into, on UDP sockets.

    Parameters
    ----------
    config
        What to serve.
    open_cores
        Makes the application cores of what boots; without it they execute nothing.
    faults
        Faults from the start, and after each boot.
    beyond_loopback
        Allow addresses that other computers can reach; nothing asks them for a password.
    report
        Called with a line of text for each event.

    Attributes
    ----------
    places
        Where the boards are, dead ones too.
    installation
        The boards; it belongs to the serving thread: look at it by `call`.

    Raises
    ------
    ArgumentError
        The addresses are not loopback and that was not allowed, or a part that is to be dead or to
        fail does not exist.
    RunError
        An address cannot be had.
    """

    def __init__(
        self,
        config: VirtualMachineConfig,
        *,
        open_cores: OpenCores = StateCores,
        faults: FaultsConfig = NO_FAULTS_ON_DEMAND,
        beyond_loopback: bool = False,
        report: Callable[[str], None] = _say_nothing,
    ):
        self.places = board_places(config)
        addresses = {address for p in self.places for address in (p.address, p.bmp_address)}
        if not beyond_loopback and not all(map(_is_loopback, addresses)):
            raise ArgumentError(
                f"base_address is {config.base_address}: only loopback addresses (127.x.y.z) are "
                "served unless others are allowed (--beyond-loopback): anybody in the network can "
                "then use them"
            )
        self._due: float | None = 0.0
        self.installation = Installation(config, open_cores, self, faults, report)
        self._network = Network(self._run_cores, report)
        self._network.set_faults(faults)
        try:
            self._open_ports()
            if config.booted:
                self.installation.boot_all()
        except RegattaError:
            self.close()
            raise

    def _open_ports(self) -> None:
        frames: dict[str, dict[int, VirtualBoard]] = {}
        for board in self.installation.boards.values():
            place = board.place
            self._network.open(place.address, SCP_UDP_PORT, self._scp_receiver(board))
            self._network.open(place.address, BOOT_UDP_PORT, self._boot_receiver(board))
            frames.setdefault(place.bmp_address, {})[place.slot] = board
        for number, (address, slots) in enumerate(frames.items()):
            frame = Frame(number, slots, self.installation.set_power)
            self._network.open(address, SCP_UDP_PORT, self._bmp_receiver(address, frame))

    def _scp_receiver(self, board: VirtualBoard) -> Callable[[bytes, HostAddress], None]:
        address = board.place.address

        def receive(datagram: bytes, host: HostAddress) -> None:
            answer = self.installation.answer(board, datagram, host)
            if answer is not None:
                self._network.send(address, SCP_UDP_PORT, answer, host)

        return receive

    def _boot_receiver(self, board: VirtualBoard) -> Callable[[bytes, HostAddress], None]:
        return lambda datagram, host: self.installation.boot_datagram(board, datagram)

    def _bmp_receiver(self, address: str, frame: Frame) -> Callable[[bytes, HostAddress], None]:
        def receive(datagram: bytes, host: HostAddress) -> None:
            answer = frame.handle(datagram)
            if answer is not None:
                self._network.send(address, SCP_UDP_PORT, answer, host)

        return receive

    # What boards need around them (`Outside`)

    def send(self, address: str, port: int, datagram: bytes, host: HostAddress) -> None:
        """Send a datagram from a port of a board's address."""
        self._network.send(address, port, datagram, host)

    def listen(self, board: VirtualBoard, port: int, on: bool) -> bool:
        """Open or close a UDP port of a board for a reverse tag; tell whether it is open."""
        if not on:
            self._network.shut(board.place.address, port)
            return False
        if not port:
            return False
        try:
            self._network.open(
                board.place.address,
                port,
                lambda datagram, host: self.installation.reverse(board, port, datagram, host),
            )
        except RunError:
            return False
        return True

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call something later."""
        self._network.after(seconds, call)

    # Serving

    def __enter__(self) -> "VirtualMachine":
        self._network.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._network.join()
        self.close()
        self._raise_errors()

    def serve(self) -> None:
        """Serve until `stop`, then close everything.

        Raises
        ------
        RunError
            Mistakes of this program came to light.
        """
        try:
            self._network.serve()
        finally:
            self.close()
        self._raise_errors()

    def _raise_errors(self) -> None:
        errors = self._network.errors
        if not errors:
            return
        if isinstance(errors[0], RegattaError):
            raise errors[0]
        raise RunError(
            f"{len(errors)} mistakes in the virtual machine came to light; the first: "
            f"{type(errors[0]).__name__}: {errors[0]}"
        ) from errors[0]

    def stop(self) -> None:
        """End serving; may be called from a signal handler or another thread."""
        self._network.stop()

    def close(self) -> None:
        """End all cores and close all sockets."""
        self.installation.close()
        self._network.close()

    def call(self, function: Callable[[], T]) -> T:
        """Return what a function returns that is called between datagrams."""
        return self._network.call(function)

    def _run_cores(self, came: bool) -> float | None:
        """Let the cores of all machines run; return in how many seconds they want to again."""
        now = time.monotonic()
        if came or (self._due is not None and now >= self._due):
            polled = [machine.cores.poll(_SLICE_S) for machine in self.installation.machines]
            waits = [wait for wait in polled if wait is not None]
            now = time.monotonic()
            self._due = now + min(waits) if waits else None
        return None if self._due is None else self._due - now

    # Faults at run time, from any thread

    def set_datagram_faults(self, faults: FaultsConfig) -> None:
        """Meet datagrams with the ``received`` and ``sent`` faults of a plan from now on."""
        self.call(lambda: self._network.set_faults(faults))

    def silence(self, board: Board, silent: bool = True) -> None:
        """Let a board answer nothing any more, or answer again."""
        self.call(lambda: self.installation.silence(board, silent))

    def kill_chip(self, x: int, y: int) -> None:
        """Let a chip of a booted board die, until the next boot."""
        self.call(lambda: self.installation.kill_chip((x, y)))

    def kill_link(self, x: int, y: int, link: Link) -> None:
        """Let a link of a booted chip die, both ways, until the next boot."""
        self.call(lambda: self.installation.kill_link((x, y), link))

    def set_link_loss(self, x: int, y: int, link: Link, share: float) -> None:
        """Let a link lose a share, 0 to 1, of the packets on their way out of a booted chip."""
        self.call(lambda: self.installation.set_link_loss((x, y), link, share))

    def trap(self, x: int, y: int, core: int) -> None:
        """Let a core of a booted chip meet a run-time error, now or as soon as it is loaded."""
        self.call(lambda: self.installation.trap((x, y), core))


def _is_loopback(address: str) -> bool:
    return ipaddress.IPv4Address(address).is_loopback
