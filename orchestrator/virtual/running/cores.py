"""All application cores of a machine: who runs when, what they hear and what they send.

Machine time is counted in core cycles. In a round every core that is awake runs the same number
of cycles, in turn; packets of a round arrive in the next at the earliest, so that the order of
turns changes nothing. When all cores sleep and no packet is on its way, time goes on to the next
timer, but never ahead of the host's clock: a timer of a second takes a second. While cores compute,
time passes as fast as they do.
"""

import time
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Final

from orchestrator.machine.links import Link
from orchestrator.machine.machine import Chip
from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.monitor.cores import Surroundings
from orchestrator.virtual.running.application_core import QUEUED, ApplicationCore
from orchestrator.virtual.running.mailbox import lay_out_buffers
from orchestrator.virtual.running.network import Network, Sent
from orchestrator.virtual.running.program import LoadError, Program, read_program
from orchestrator.virtual.running.report import set_state, write_load_fault
from orchestrator.virtual.running.router import Router
from orchestrator.virtual.running.watchdog import Watchdog
from orchestrator.wire.datagrams import SdpMessage
from orchestrator.wire.layout import LOAD_AREA, SYSTEM_RAM
from orchestrator.wire.numbers import CoreState, Result, Signal

CYCLES_PER_SECOND: Final = 200_000_000
ROUND_CYCLES: Final = 10_000
"""Of a core in its turn: 50 us. Also the least time that packets take."""

LONG_ROUND_CYCLES: Final = 100_000
"""The same while no core has sent a packet for some rounds: turns cost less."""

_QUIET_ROUNDS: Final = 16
_MOST_CYCLES: Final = 5_000_000
"""Of all cores together in a long round: some 10 ms of the host's time."""

_MOST_STARTS: Final = 4
"""Cores that are started in a round, and closed between two: an emulator takes 8 ms to make."""

_LOAD_WORDS: Final = SYSTEM_RAM + 16
"""Where the loader finds the program's address and, in the next word, application and flags."""

_Place = tuple[Chip, int]


class RunningCores:
    """Cores that run what was loaded on them (``monitor.cores.ApplicationCores``).

    Parameters
    ----------
    surroundings
        The machine around them.
    seed
        Of the packets that links lose.
    clock
        The host's time in s.

    Attributes
    ----------
    now
        Machine time in cycles.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.now = 0
        self._surroundings = surroundings
        self._clock = clock
        self._opened = clock()
        self._cores: dict[_Place, ApplicationCore] = {}
        self._awake: dict[_Place, ApplicationCore] = {}
        self._commanded: dict[_Place, ApplicationCore] = {}
        self._dropped: list[ApplicationCore] = []
        self._timers: list[tuple[int, _Place]] = []
        self._alarms: dict[_Place, int] = {}
        self._routers: dict[Chip, Router] = {}
        self._sent: list[Sent] = []
        self._quiet = 0
        self._network = Network(surroundings, self._router, seed)
        self._watchdog = Watchdog()

    # What the monitor asks for

    def load(self, x: int, y: int, cores: Sequence[int], app_id: int, *, wait: bool) -> None:
        """Start the image at 0x67800000 on cores of a chip; see `ApplicationCores`.

        An image that the loader cannot place, or that does not fit, leaves a run-time error.
        """
        memory = self._surroundings.memory(x, y)
        lay_out_buffers(memory)
        memory.write_word(_LOAD_WORDS, LOAD_AREA)
        memory.write_word(_LOAD_WORDS + 4, wait << 8 | app_id)
        for core in cores:
            self._drop(((x, y), core))
            memory.flag(1 << core, True)
        try:
            program = read_program(memory, LOAD_AREA)
        except LoadError as error:
            for core in cores:
                write_load_fault(memory, core, error.entry, error.address)
                self._surroundings.changed(x, y, core, CoreState.RUN_TIME_ERROR)
            return
        for core in cores:
            self._start((x, y), core, memory, program, app_id, wait)

    def stop(self, x: int, y: int, cores: Sequence[int]) -> None:
        """End what cores run."""
        for core in cores:
            self._drop(((x, y), core))

    def signal(self, x: int, y: int, cores: Sequence[int], signal: Signal) -> None:
        """Give a signal to cores; INITIALISE and POWER_DOWN end what they run."""
        ends = {
            Signal.INITIALISE: CoreState.IDLE,
            Signal.STOP: CoreState.IDLE,
            Signal.POWER_DOWN: CoreState.POWERED_DOWN,
        }
        for core in cores:
            place = (x, y), core
            if signal in ends:
                self._drop(place)
                set_state(self._surroundings.memory(x, y), core, ends[signal])
                self._surroundings.changed(x, y, core, ends[signal])
            elif running := self._running(place):
                running.signal(signal)
                self._commanded[place] = running

    def deliver(self, x: int, y: int, message: SdpMessage) -> Result:
        """Hand a message to its destination core."""
        place = (x, y), message.destination.core
        running = self._running(place)
        if running is None:
            return Result.CPU
        if running.queued_messages >= QUEUED:
            return Result.BUFFER
        running.message(message)
        self._commanded[place] = running
        return Result.OK

    def memories(self, x: int, y: int, core: int) -> tuple[memoryview, memoryview] | None:
        """Return a core's ITCM and DTCM, or None before anything ran there."""
        found = self._cores.get(((x, y), core))
        if found is None or found.emulator is None:
            return None
        return found.emulator.itcm.data, found.emulator.dtcm.data

    def trap(self, x: int, y: int, core: int) -> None:
        """Make a loaded core meet an undefined instruction."""
        place = (x, y), core
        if running := self._running(place):
            running.trap(self.now)
            self._awake[place] = running

    def remove(self, x: int, y: int) -> None:
        """Forget a chip that is gone."""
        for place in [place for place in self._cores if place[0] == (x, y)]:
            self._drop(place)
        self._routers.pop((x, y), None)

    def close(self) -> None:
        """End all cores."""
        for place in list(self._cores):
            self._drop(place)
        self._close_dropped(len(self._dropped))

    def poll(self, seconds: float) -> float | None:
        """Let cores run in turn for about so many seconds of the host's time.

        Returns
        -------
        float or None
            After how many seconds to call again; None: when something comes from outside.
        """
        until = self._clock() + seconds
        while True:
            self._close_dropped(_MOST_STARTS)
            self._give_commands()
            if not self._awake:
                pause = self._next_timer()
                if pause is None or pause > 0:
                    return 0.0 if self._dropped else pause
            self._round()
            if self._clock() >= until:
                return 0.0

    # Time

    @property
    def _host_time(self) -> int:
        return int((self._clock() - self._opened) * CYCLES_PER_SECOND)

    def _next_timer(self) -> float | None:
        """Let time go on to the next timer that is due: 0.0; else how long it is until then."""
        while self._timers:
            wakes, place = self._timers[0]
            core = self._running(place)
            if core is None or core.wakes_at != wakes:
                self._next_alarm()
                continue
            host = self._host_time
            if wakes > max(self.now, host):
                self.now = max(self.now, host)
                return (wakes - host) / CYCLES_PER_SECOND
            self.now = max(self.now, wakes)
            self._wake_timers()
            return 0.0
        self.now = max(self.now, self._host_time)
        return None

    def _wake_timers(self) -> None:
        while self._timers and self._timers[0][0] <= self.now:
            place = self._next_alarm()
            if core := self._running(place):
                self._awake[place] = core

    def _set_alarm(self, place: _Place, wakes: int) -> None:
        """Wake a core at a machine cycle; a core that is woken before often sets the same again."""
        if self._alarms.get(place) != wakes:
            self._alarms[place] = wakes
            heappush(self._timers, (wakes, place))

    def _next_alarm(self) -> _Place:
        wakes, place = heappop(self._timers)
        if self._alarms.get(place) == wakes:
            del self._alarms[place]
        return place

    @property
    def _round_length(self) -> int:
        if self._quiet < _QUIET_ROUNDS:
            return ROUND_CYCLES
        return max(ROUND_CYCLES, min(LONG_ROUND_CYCLES, _MOST_CYCLES // max(1, len(self._awake))))

    def _round(self) -> None:
        length = self._round_length
        end = self.now + length
        starts = 0
        for place, core in list(self._awake.items()):
            if self._awake.get(place) is not core:
                continue  # it is gone because of what another core has sent
            if core.emulator is None:
                if starts == _MOST_STARTS:
                    continue
                core.start(self.now)
                starts += 1
            core.run(end)
            self._after_turn(place, core, end)
        self.now = end
        self._quiet = 0 if self._sent else self._quiet + 1
        self._carry(length)
        self._wake_timers()
        for lifeless in self._watchdog.look(self.now, self._awake.values()):
            lifeless.end(CoreState.WATCHDOG)
            self._after_turn((lifeless.chip, lifeless.number), lifeless, self.now)

    def _after_turn(self, place: _Place, core: ApplicationCore, end: int) -> None:
        """Note what a core did in a round until `end`: state, message, interrupts, sleep."""
        (x, y), number = place
        state = core.new_state()
        wakes = core.wakes_at
        if wakes is None:
            self._awake.pop(place, None)
        elif wakes > max(core.time, end, core.expects):
            del self._awake[place]
            self._set_alarm(place, wakes)
        for packet in core.new_drops():
            output = 1 << len(Link) + core.memory.physical_cores[number]
            self._router((x, y)).dropped(packet, output)
        self._interrupt_sleepers(core.memory, (x, y))
        message = core.outgoing()
        if state is not None:
            self._surroundings.changed(x, y, number, state)
        if message is not None:
            self._surroundings.send(x, y, message)

    # What cores hear

    def _give_commands(self) -> None:
        for place, core in list(self._commanded.items()):
            core.command(self.now)
            if not core.has_commands:
                del self._commanded[place]
            if core.is_awake:
                self._awake[place] = core

    def _interrupt_sleepers(self, memory: ChipMemory, chip: Chip) -> None:
        """Wake the cores of a chip that one of its cores has asked for an interrupt."""
        requests = memory.interrupts & ~(1 << memory.physical_cores[0])
        if not requests:
            return
        for number, physical in enumerate(memory.physical_cores):
            if not requests >> physical & 1:
                continue
            place = chip, number
            core = self._running(place)
            if core is None:
                memory.interrupt(1 << physical, False)
            elif place not in self._awake:
                core.wake(self.now)
                if core.is_awake:  # else it does not listen to this interrupt
                    self._awake[place] = core

    def _carry(self, length: int) -> None:
        """Bring the packets of a round of some cycles to cores, in the order of arrival."""
        if not self._sent:
            return
        self._sent.sort(key=lambda sent: sent.at)
        arrivals = [
            arrival
            for sent in self._sent
            for arrival in self._network.carry(sent._replace(at=sent.at + length))
        ]
        self._sent.clear()
        for arrival in sorted(arrivals, key=lambda arrival: arrival.at):
            memory = self._surroundings.memory(*arrival.chip)
            if arrival.core not in memory.physical_cores:
                continue
            place = arrival.chip, memory.physical_cores.index(arrival.core)
            if core := self._running(place):
                patience = self._router(arrival.chip).patience
                core.receive(arrival.packet, arrival.at, self.now, patience)
                if core.wakes_at is not None:
                    self._awake[place] = core

    # Cores

    def _start(
        self,
        chip: Chip,
        number: int,
        memory: ChipMemory,
        program: Program,
        app_id: int,
        wait: bool,
    ) -> None:
        core = ApplicationCore(
            memory,
            chip,
            number,
            program,
            app_id=app_id,
            wait=wait,
            sent=lambda at, chip, packet: self._sent.append(Sent(at, chip, packet)),
        )
        self._cores[chip, number] = self._awake[chip, number] = core

    def _running(self, place: _Place) -> ApplicationCore | None:
        core = self._cores.get(place)
        return core if core is not None and not core.ended else None

    def _drop(self, place: _Place) -> None:
        core = self._cores.pop(place, None)
        self._awake.pop(place, None)
        self._commanded.pop(place, None)
        if core is not None:
            core.end()
            self._dropped.append(core)

    def _close_dropped(self, most: int) -> None:
        for core in self._dropped[:most]:
            core.close()
        del self._dropped[:most]

    def _router(self, chip: Chip) -> Router:
        if chip not in self._routers:
            self._routers[chip] = Router(self._surroundings.memory(*chip))
        return self._routers[chip]
