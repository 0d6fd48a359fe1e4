"""The door between the monitor of a chip and its application cores.

The monitor owns the protocol: it finds out which cores a command means, prepares and clears their
VCPU blocks, and moves messages. What an application core does is behind `ApplicationCores`. Chips
are named by their coordinates in the booted machine, cores by their virtual numbers 1 to 17.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from orchestrator.machine.links import Link
from orchestrator.machine.machine import Chip
from orchestrator.virtual.chip import ChipMemory
from orchestrator.wire.datagrams import HOST_CORE, SdpMessage
from orchestrator.wire.layout import Vcpu
from orchestrator.wire.numbers import CoreState, Result, Signal


class Surroundings(Protocol):
    """What application cores may ask of the machine they are in."""

    def memory(self, x: int, y: int) -> ChipMemory:
        """Return the memories that the cores of a chip share, its router's registers among them."""

    def neighbour(self, x: int, y: int, link: Link) -> Chip | None:
        """Return the chip at the other end of a link that works now, or None."""

    def loss(self, x: int, y: int, link: Link) -> float:
        """Return the share of packets, 0 to 1, that a link loses on its way out of this chip."""

    def send(self, x: int, y: int, message: SdpMessage) -> Result:
        """Send a message that a core of chip (x, y) wrote: to a core, a monitor or, by tag, a host.

        `Result.ROUTE` where there is no such chip.
        """

    def changed(self, x: int, y: int, core: int, state: CoreState) -> None:
        """Take note of a core's new state, already in its VCPU block."""


class ApplicationCores(Protocol):
    """All application cores of one booted machine.

    Calls come from one thread. None of them may take long: what cores compute, they compute in
    `poll`.
    """

    def load(self, x: int, y: int, cores: Sequence[int], app_id: int, *, wait: bool) -> None:
        """Start the image at 0x67800000 on cores of a chip.

        Their VCPU blocks are ready: user words and IOBUF zero, application and time set, state
        INITIALISING. With `wait` they stay READY until START. The image may be overwritten once
        this returns.
        """

    def stop(self, x: int, y: int, cores: Sequence[int]) -> None:
        """End what cores run; the monitor then sets their VCPU blocks to idle."""

    def signal(self, x: int, y: int, cores: Sequence[int], signal: Signal) -> None:
        """Give a signal other than STOP to cores that were loaded and are not in an error state."""

    def deliver(self, x: int, y: int, message: SdpMessage) -> Result:
        """Hand a message to port 1 to 7 of its destination core, a working one.

        OK: accepted. BUFFER: the core still has another one. CPU: it takes none.
        """

    def memories(self, x: int, y: int, core: int) -> tuple[memoryview, memoryview] | None:
        """Return a core's ITCM and DTCM, 32 and 64 KiB, or None before anything ran there."""

    def trap(self, x: int, y: int, core: int) -> None:
        """Make a loaded core meet a run-time error at its next instruction."""

    def remove(self, x: int, y: int) -> None:
        """Forget a chip that is gone; do not touch its memory again."""

    def poll(self, seconds: float) -> float | None:
        """Let cores run, in turn, for about so many seconds of the host's time, 0.001 to 0.1.

        Returns after how many seconds to call again, 0.0 for at once; None when all cores wait for
        something from outside.
        """

    def close(self) -> None:
        """End all cores and free what they hold."""


OpenCores = Callable[[Surroundings], ApplicationCores]
"""Makes the application cores of a machine that has just booted."""

_NEXT_STATE = {
    Signal.START: (CoreState.READY, CoreState.SYNC0),
    Signal.SYNC0: (CoreState.SYNC0, CoreState.RUNNING),
    Signal.SYNC1: (CoreState.SYNC1, CoreState.RUNNING),
    Signal.PAUSE: (CoreState.RUNNING, CoreState.PAUSED),
    Signal.CONTINUE: (CoreState.PAUSED, CoreState.RUNNING),
}


class StateCores:
    """Cores that execute nothing: they change states as a program with one barrier would.

    A loaded core goes to SYNC0 (with `wait` by way of READY and START), then to RUNNING; EXIT
    finishes it. It sends a host's messages back.
    """

    def __init__(self, surroundings: Surroundings):
        self._surroundings = surroundings

    def _set(self, x: int, y: int, core: int, state: CoreState) -> None:
        memory = self._surroundings.memory(x, y)
        memory.write(memory.vcpu(core) + Vcpu.STATE, bytes([state]))
        self._surroundings.changed(x, y, core, state)

    def load(self, x: int, y: int, cores: Sequence[int], app_id: int, *, wait: bool) -> None:
        """Set READY, or SYNC0 at once."""
        for core in cores:
            self._set(x, y, core, CoreState.READY if wait else CoreState.SYNC0)

    def stop(self, x: int, y: int, cores: Sequence[int]) -> None:
        """Do nothing: there is nothing but the state."""

    def signal(self, x: int, y: int, cores: Sequence[int], signal: Signal) -> None:
        """Change the state of those cores that are in the one which the signal ends."""
        memory = self._surroundings.memory(x, y)
        for core in cores:
            state = memory.read(memory.vcpu(core) + Vcpu.STATE, 1)[0]
            if signal is Signal.EXIT:
                self._set(x, y, core, CoreState.FINISHED)
            elif signal in _NEXT_STATE and state == _NEXT_STATE[signal][0]:
                self._set(x, y, core, _NEXT_STATE[signal][1])

    def deliver(self, x: int, y: int, message: SdpMessage) -> Result:
        """Send the message back if it is a host's: cores would send each other's for ever."""
        if message.source.core == HOST_CORE:
            self._surroundings.send(x, y, message.answered(message.data, message.tag))
        return Result.OK

    def memories(self, x: int, y: int, core: int) -> tuple[memoryview, memoryview] | None:
        """Return None: nothing ever runs."""
        return None

    def trap(self, x: int, y: int, core: int) -> None:
        """Set the state to run-time error."""
        self._set(x, y, core, CoreState.RUN_TIME_ERROR)

    def remove(self, x: int, y: int) -> None:
        """Do nothing."""

    def poll(self, seconds: float) -> float | None:
        """Return None: nothing runs."""
        return None

    def close(self) -> None:
        """Do nothing."""
