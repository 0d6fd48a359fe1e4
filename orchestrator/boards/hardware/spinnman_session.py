"""One machine through spinnman, unmodified: boot, discovery, loading, signals.

spinnman keeps its configuration, the machine and its maps in class data, so a process has one
session at a time; opening one resets all of that.
"""

import atexit
import contextlib
import io
import logging
import re
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final

from orchestrator.boards.hardware.boards import Boards
from orchestrator.boards.hardware.failures import BoardDead, BootFailed, Refused
from orchestrator.boards.hardware.packages import load
from orchestrator.boards.hardware.reports import CoreId
from orchestrator.errors import ArgumentError
from orchestrator.wire.numbers import Signal

BOOT_S: Final = 60.0
"""Time for a board to boot and answer. Five tries of spinnman's take 39 s; it has no limit of its
own for a board that answers but never gets coordinates."""

_TIMEOUT: Final = "SpinnmanTimeoutException"

_open = threading.Lock()


class SpinnmanSession:
    """A transceiver on booted boards.

    Parameters
    ----------
    boards
        Which.
    version
        3 or 5.
    boot_s
        Time for booting, seconds.

    Attributes
    ----------
    transceiver
        spinnman's.

    Raises
    ------
    ArgumentError
        This process has another session.
    BootFailed
        The board did not come up.
    MissingToolError
        spinnman is not installed.
    """

    def __init__(self, boards: Boards, version: int, boot_s: float = BOOT_S):
        if not _open.acquire(blocking=False):
            raise ArgumentError(
                "this process controls another machine: spinnman takes one a process; close that "
                "one first, or use another process"
            )
        self._host = boards.host
        self._cleanup = contextlib.ExitStack()
        self._cleanup.callback(_open.release)
        try:
            self._configure(boards.host, version)
            self.transceiver = self._connect(boards, boot_s)
            self._cleanup.callback(self.transceiver.close)
        except BaseException:
            self._cleanup.close()
            raise

    def close(self) -> None:
        """Close spinnman's connections."""
        self._cleanup.close()

    def __enter__(self) -> "SpinnmanSession":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _configure(self, host: str, version: int) -> None:
        """Set all that spinnman would read from files, and forget an earlier machine."""
        setting = load("spinn_utilities.config_holder").set_config
        load("spinnman.config_setup").unittest_setup()
        reports = self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="regatta-"))
        with _logging_kept():
            setting("Machine", "version", str(version))
            setting("Reports", "default_report_file_path", reports)
            self._writer = load("spinnman.data.spinnman_data_writer").SpiNNManDataWriter.setup()
        self._writer.set_ipaddress(host)
        # It would be written at exit, into a folder that is gone by then.
        writer = load("spinn_utilities.data.utils_data_writer").UtilsDataWriter
        atexit.unregister(writer.write_errored_file)

    def _connect(self, boards: Boards, boot_s: float) -> Any:
        """Return a transceiver, having booted the board if it does not answer."""
        connections = load("spinnman.connections.udp_packet_connections")
        factory = load("spinnman.transceiver.transceiver_factory")
        failure = load("spinnman.exceptions").SpinnmanException
        opened = [
            connections.SCAMPConnection(remote_host=boards.host),
            connections.BootConnection(remote_host=boards.host),
        ]
        made: list[Any] = []
        errors: list[BaseException] = []

        def connect() -> None:
            try:
                made.append(
                    factory.create_transceiver_from_connections(
                        opened, extended=True, ensure_board_is_ready=True
                    )
                )
            except BaseException as error:
                errors.append(error)

        # In a thread, because it can wait for ever: then its sockets are closed under it.
        thread = threading.Thread(target=connect, name="boot", daemon=True)
        thread.start()
        thread.join(boot_s)
        if made:
            return made[0]
        late = thread.is_alive()
        for connection in opened:
            connection.close()
        thread.join(1.0)
        if errors and not isinstance(errors[0], failure):
            raise errors[0]
        detail = f"it does not come up within {boot_s:g} s"
        if not late:
            detail = described(errors[0])[1] or "no answer after its image was sent five times"
        raise BootFailed(
            f"board {boards.host} does not boot: {detail}; check that it is powered and that "
            "nothing keeps UDP ports 54321 and 17893 from it, or power it off and on"
        )

    def connect_boards(self, connections: Mapping[tuple[int, int], str]) -> None:
        """Connect to the other boards: those named, or else those that say where they are."""
        with self._translated(), _quiet():
            if connections:
                self.transceiver.add_scamp_connections(dict(connections))
            else:
                self.transceiver.discover_scamp_connections()

    def discover(self) -> Any:
        """Return the machine as a ``spinn_machine.Machine``; its idle cores count only."""
        with self._translated(), _quiet():
            machine = self.transceiver.get_machine_details()
        self._writer.set_machine(machine)
        return machine

    def stop(self, app_id: int) -> None:
        """Stop an application: its cores become idle, its memory and routes free."""
        with self._translated():
            self.transceiver.stop_application(app_id)

    def signal(self, app_id: int, signal: Signal) -> None:
        """Send a signal to all cores of an application."""
        theirs = load("spinnman.messages.scp.enums").Signal
        with self._translated():
            self.transceiver.send_signal(app_id, theirs(int(signal)))

    def flood(self, image: bytes, app_id: int, cores: Iterable[CoreId]) -> None:
        """Load an image, a multiple of 4 bytes, on cores and start it."""
        subsets = load("spinn_machine").CoreSubsets()
        for core in cores:
            subsets.add_processor(*core)
        with self._translated():
            self.transceiver.execute_flood(subsets, bytearray(image), app_id)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise BoardDead or Refused for spinnman's errors."""
        theirs = load("spinnman.exceptions")
        machine = load("spinn_machine.exceptions").SpinnMachineException
        try:
            yield
        except machine as error:
            raise Refused(
                f"spinnman does not take what the machine at {self._host} says of itself: "
                f"{described(error)[1]}; a board whose Ethernet chip is dead has to be left out",
                None,
            ) from error
        except theirs.SpinnmanException as error:
            silent, text = described(error)
            if silent:
                raise BoardDead(
                    f"a board of the machine at {self._host} has not answered spinnman ({text}); "
                    "check its power and network, or take another board"
                ) from error
            raise Refused(
                f"a board of the machine at {self._host} refuses what spinnman asks: {text}", None
            ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep spinnman's progress bars from the terminal."""
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        yield


@contextlib.contextmanager
def _logging_kept() -> Iterator[None]:
    """Keep spinnman from setting up the root logger, which is the program's that uses us."""
    root = logging.getLogger()
    handlers = root.handlers
    root.handlers = [logging.NullHandler()]
    try:
        yield
    finally:
        root.handlers = handlers


def described(error: BaseException) -> tuple[bool, str]:
    """Return whether boards were silent, and spinnman's error in one line.

    Its errors hold those of single datagrams as text: class, message, chip, stack trace.
    """
    classes = re.findall(r"Received exception class: (\w+)", str(error))
    if not classes:
        inner = error.__cause__ or error
        return type(inner).__name__ == _TIMEOUT, " ".join(str(inner).split())
    message = re.findall(r"With message:? (.*)", str(error))[0].strip()
    place = re.findall(r"When sending to (.*)", str(error))[0].strip()
    more = f" and {len(classes) - 1} more" if len(classes) > 1 else ""
    return set(classes) == {_TIMEOUT}, f"{message}, sending to {place}{more}"
