"""Asking a training to stop: Ctrl-C, a batch system's warning, or kill."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class StopSignal:
    """Records that a stop was asked for, so that the trainer can finish its step and save.

    Use it as a context manager around the training; the earlier handlers come back at its end. A
    second Ctrl-C raises KeyboardInterrupt at once. Off the main thread, where Python installs no
    handlers, nothing is recorded.

    mpirun answers Ctrl-C by killing its ranks within half a second, and no setting changes that.
    `launch/mpirun.sh` therefore sends SIGUSR1, which mpirun passes on to every rank. Ranks may see
    it in different steps: agree on the step by a global maximum of `requested`.

    Attributes
    ----------
    received
        The first signal's name, such as "SIGINT", or None.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._earlier: dict[signal.Signals, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether a stop was asked for."""
        return self.received is not None

    def __enter__(self) -> "StopSignal":
        """Install the handlers."""
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                self._earlier[number] = signal.signal(number, self._record)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the earlier handlers back."""
        for number, handler in self._earlier.items():
            signal.signal(number, handler)
        self._earlier.clear()

    def _record(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = self.received or signal.Signals(number).name
