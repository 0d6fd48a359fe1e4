"""One application core with a program: the emulator, its place in the machine's time, its mailbox.

Times are machine cycles, 200 million a second. A core that sleeps stays behind in time until
something wakes it.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from orchestrator.machine.machine import Chip
from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.core import Core, Packet
from orchestrator.virtual.core_fault import CoreStopped, FaultKind, FaultReport
from orchestrator.virtual.running.mailbox import MailboxCommand, collect, post, take_buffer
from orchestrator.virtual.running.program import Program
from orchestrator.virtual.running.report import state_of, write_fault
from orchestrator.wire.datagrams import SdpMessage
from orchestrator.wire.layout import Vcpu
from orchestrator.wire.numbers import CoreState, Signal

QUEUED: Final = 8
"""Messages that wait for a core at most."""

_WAIT_FLAG: Final = 0x100


class _Flag(NamedTuple):
    """A change of the core's bit in the system controller's flags: a SYNC0 or SYNC1."""

    raised: bool


class ApplicationCore:
    """A core that runs a program.

    Parameters
    ----------
    memory
        What it shares with its chip's other cores.
    chip, number
        Where it is: coordinates, virtual core number.
    program
        What it runs once it is started.
    app_id, wait
        What the program finds in its first register.
    sent
        Called with every packet it sends and the machine cycle.

    Attributes
    ----------
    chip, number, memory
        As given.
    emulator
        The core itself, None until it is started.
    expects
        The machine cycle at which the last packet that is on its way to it arrives.
    ended
        It met a fault and runs no more; its memories can still be read.
    """

    def __init__(
        self,
        memory: ChipMemory,
        chip: Chip,
        number: int,
        program: Program,
        *,
        app_id: int,
        wait: bool,
        sent: Callable[[int, Chip, Packet], None],
    ):
        self.memory = memory
        self.chip = chip
        self.number = number
        self.emulator: Core | None = None
        self.ended = False
        self.expects = 0
        self._program = program
        self._argument = app_id | (_WAIT_FLAG if wait else 0)
        self._sent = sent
        self._started = 0
        self._drops = 0
        self._commands: deque[Signal | _Flag | SdpMessage] = deque()
        self._block = memory.memory(memory.vcpu(number), 128)
        self._shown = state_of(memory, number)

    def start(self, now: int) -> None:
        """Reset it, at a machine cycle; this takes some milliseconds and megabytes of the host."""
        self.emulator = Core(self.memory, self.number, self._program)
        self.emulator.load(self._program.start, self._argument)
        self.emulator.on_packet(lambda packet: self._sent(self.time, self.chip, packet))
        self._started = now

    @property
    def has_commands(self) -> bool:
        """Return whether something waits for the mailbox."""
        return bool(self._commands)

    @property
    def queued_messages(self) -> int:
        """Return how many messages wait for the mailbox."""
        return sum(isinstance(command, SdpMessage) for command in self._commands)

    @property
    def is_idle(self) -> bool:
        """Return whether it has taken what was put into its mailbox."""
        return int(self._block[Vcpu.COMMAND_TO_CORE]) == MailboxCommand.IDLE

    @property
    def state(self) -> int:
        """Return what its VCPU block says of its state."""
        return int(self._block[Vcpu.STATE])

    @property
    def time(self) -> int:
        """Return the machine cycle that it has reached."""
        return self._started + (self.emulator.cycles if self.emulator is not None else 0)

    @property
    def wakes_at(self) -> int | None:
        """Return the machine cycle at which it goes on: `time` if it is awake, None never.

        Never, that is, unless something from outside wakes it.
        """
        if self.emulator is None:
            return self._started
        cycle = None if self.ended else self.emulator.wakes_at
        return None if cycle is None else self._started + cycle

    @property
    def is_awake(self) -> bool:
        """Return whether it has something to do now."""
        wakes = self.wakes_at
        return wakes is not None and wakes <= self.time

    def signal(self, signal: Signal) -> None:
        """Queue a signal; SYNC0 and SYNC1 as the flags by which the monitor gives them."""
        if signal in (Signal.SYNC0, Signal.SYNC1):
            self._commands.append(_Flag(signal is Signal.SYNC1))
        else:
            self._commands.append(signal)

    def message(self, message: SdpMessage) -> None:
        """Queue a message."""
        self._commands.append(message)

    def command(self, now: int) -> None:
        """Give it what was queued first, if it has taken what was given before.

        One at a time, with a run between, as on a machine whose cores are faster than its monitor.
        """
        if not self._commands or not self.is_idle or self.emulator is None:
            return
        first = self._commands[0]
        if isinstance(first, SdpMessage):
            buffer = take_buffer(self.memory, first)
            if buffer is None:
                return
            post(self.memory, self.number, MailboxCommand.MESSAGE, buffer)
        elif isinstance(first, _Flag):
            self.memory.flag(1 << self.number, first.raised)
            self.memory.interrupt(1 << self.memory.physical_cores[self.number], True)
        else:
            post(self.memory, self.number, MailboxCommand.SIGNAL, first)
        self._commands.popleft()
        self.wake(now)

    def ping(self, now: int) -> None:
        """Ask whether it lives: it does once `is_idle`."""
        post(self.memory, self.number, MailboxCommand.PING, 0)
        self.wake(now)

    def receive(self, packet: Packet, at: int, now: int, patience: int | None) -> None:
        """Send it a packet that arrives at a machine cycle; lost if it has not started yet."""
        if self.emulator is None:
            return
        self.wake(now)
        self.expects = max(self.expects, at)
        self.emulator.receive(packet, max(at, now) - self._started, patience)

    def trap(self, now: int) -> None:
        """Let it meet an undefined instruction in its next run."""
        if self.emulator is None:
            self.start(now)
        assert self.emulator is not None
        self.wake(now)
        self.emulator.trap()

    def run(self, until: int) -> None:
        """Run to a machine cycle, or to its next sleep."""
        cycles = until - self.time
        if self.emulator is None or self.ended or cycles <= 0:
            return
        try:
            self.emulator.run(cycles)
        except CoreStopped as stopped:
            self._stopped(stopped.report)

    def wake(self, now: int) -> None:
        """Bring its time up to the machine's before it goes on, if it sleeps."""
        if self.emulator is not None:
            self.emulator.sleep_until(now - self._started)

    def outgoing(self) -> SdpMessage | None:
        """Return the message that it has put into its mailbox, if any."""
        if int(self._block[Vcpu.COMMAND_TO_MONITOR]) == MailboxCommand.IDLE:
            return None
        return collect(self.memory, self.number)

    def new_drops(self) -> list[Packet]:
        """Return the packets that the router has given up since the last call.

        Of those of one turn only the last is known, and stands for all.
        """
        if self.emulator is None or self.emulator.packets_dropped == self._drops:
            return []
        count = self.emulator.packets_dropped - self._drops
        self._drops += count
        return [self.emulator.last_dropped] * count

    def new_state(self) -> CoreState | None:
        """Return its state if it has changed since the last call and is one of those there are."""
        if self.state == self._shown:
            return None
        self._shown = self.state
        return CoreState(self._shown) if self._shown in _STATES else None

    def end(self, state: CoreState | None = None) -> None:
        """Stop it for good; `state` is shown in its VCPU block."""
        if state is not None:
            self._block[Vcpu.STATE] = state
        self.ended = True
        self._commands.clear()

    def close(self) -> None:
        """Free its emulator, which takes some milliseconds of the host."""
        if self.emulator is not None:
            self.emulator.close()

    def _stopped(self, report: FaultReport) -> None:
        """Note a fault, once the program's own handler has done what it does about it."""
        if report.kind is FaultKind.RUN_TIME_ERROR:
            if self.wakes_at is None:
                self.end()
            return
        if self.state != CoreState.RUN_TIME_ERROR:
            write_fault(self.memory, self.number, report)
        self.end()


_STATES: Final = frozenset(CoreState)
