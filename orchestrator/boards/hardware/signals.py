"""Kill and hang-up as an orderly end, so that what is held is given back."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Final, NoReturn

ENDS: Final = (signal.SIGTERM, signal.SIGHUP)
_SIGNALLED: Final = 128
"""A process that a signal ended has this plus the signal's number as exit code, as shells say."""


@contextlib.contextmanager
def ended_in_order() -> Iterator[None]:
    """Raise SystemExit where SIGTERM or SIGHUP would end the process at once.

    Signals that the program handles or ignores itself are left as they are. Off the main thread,
    where Python installs no handlers, nothing changes.
    """
    changed = []
    if threading.current_thread() is threading.main_thread():
        for number in ENDS:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _end)
                changed.append(number)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(_SIGNALLED + number)
