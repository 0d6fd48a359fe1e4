"""A stop is recorded, the second Ctrl-C is immediate, and earlier handlers come back."""

import os
import signal
import threading

import pytest

from orchestrator.collectives import StopSignal


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_signals_are_recorded_not_obeyed(number):
    earlier = signal.getsignal(number)
    with StopSignal() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested
        assert stop.received == number.name
    assert signal.getsignal(number) is earlier


def test_second_interrupt_ends_at_once():
    with pytest.raises(KeyboardInterrupt), StopSignal() as stop:
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received == "SIGUSR1"
        os.kill(os.getpid(), signal.SIGINT)


def test_other_threads_record_nothing():
    seen = []

    def body():
        with StopSignal() as stop:
            seen.append(stop.requested)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [False]
