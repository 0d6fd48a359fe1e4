"""A machine that has booted: its monitors take messages from hosts and cores and answer them.

No socket and no clock in here: datagrams come in by `BootedMachine.handle` and `reverse`, and leave
by the `HostSide`.
"""

import random
from collections.abc import Callable, Collection, Iterator
from typing import Protocol

from orchestrator.machine.links import Link
from orchestrator.machine.machine import Chip
from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.monitor.chip import IN_ERROR, MonitoredChip
from orchestrator.virtual.monitor.commands import answer
from orchestrator.virtual.monitor.cores import OpenCores
from orchestrator.virtual.monitor.flood import FloodFill
from orchestrator.virtual.monitor.plan import NO_PARENT, MachinePlan
from orchestrator.virtual.monitor.tags import HostAddress, TagTable, dotted
from orchestrator.virtual.monitor.variables import Boot
from orchestrator.wire.answers import TagFlag
from orchestrator.wire.datagrams import (
    FLAGS,
    HOST_CORE,
    HOST_PORT,
    NO_ROUTE,
    REPLY_EXPECTED,
    ROOT,
    TRANSIENT_TAG,
    ScpReply,
    SdpAddress,
    SdpMessage,
    decode_request,
    decode_sdp,
    encode_reply,
    encode_sdp,
    sequence_of,
)
from orchestrator.wire.layout import SYSTEM_VARIABLES, Sv
from orchestrator.wire.numbers import SCP_UDP_PORT, CoreState, Result, Signal


class HostSide(Protocol):
    """How a machine's boards reach hosts; a board is named by its Ethernet chip."""

    def send(self, ethernet: Chip, port: int, datagram: bytes, host: HostAddress) -> None:
        """Send a datagram from a UDP port of a board."""

    def listen(self, ethernet: Chip, port: int, on: bool) -> bool:
        """Open or close a UDP port of a board for a reverse tag; tell whether it is open."""


class BootedMachine:
    """The monitors of all chips that booted together.

    Parameters
    ----------
    plan
        Chips and links.
    boot
        What the boot gave.
    open_cores
        Makes the application cores.
    hosts
        Where datagrams to hosts go.
    clock
        Gives the time, unix, s.

    Attributes
    ----------
    plan
        Chips and links that work now.
    cores
        The application cores.
    tags
        The IP tags of each board, by its Ethernet chip.
    flood
        A flood fill under way.
    sync
        Whether the chips keep their clocks together, as ``SYNC`` last said.
    """

    def __init__(
        self,
        plan: MachinePlan,
        boot: Boot,
        open_cores: OpenCores,
        hosts: HostSide,
        clock: Callable[[], float],
    ):
        self.plan = plan
        self.clock = clock
        self.flood = FloodFill()
        self.sync = True
        self._boot = boot
        self._hosts = hosts
        self._parents = plan.parents()
        self._reached: dict[Chip, set[Chip]] | None = None
        self._chips: dict[Chip, MonitoredChip] = {}
        self._loss: dict[tuple[int, int, Link], float] = {}
        self._traps: set[tuple[Chip, int]] = set()
        self._random = random.Random(0)
        self.tags = {
            position: TagTable(self._listener(position))
            for position, chip in plan.chips.items()
            if chip.ip_address
        }
        self.cores = open_cores(self)

    def _listener(self, ethernet: Chip) -> Callable[[int, bool], bool]:
        return lambda port, on: self._hosts.listen(ethernet, port, on)

    def close(self) -> None:
        """End all cores and close the boards' extra ports."""
        self.cores.close()
        for table in self.tags.values():
            table.close()

    # Chips

    def chip(self, position: Chip) -> MonitoredChip | None:
        """Return a working chip or None; it takes memory from its first use on."""
        found = self._chips.get(position)
        if found is None and position in self.plan.chips:
            parent = self._parents.get(position, NO_PARENT)
            found = MonitoredChip(position, self.plan, parent, self._boot)
            self._chips[position] = found
        return found

    def used_chips(self) -> list[MonitoredChip]:
        """Return the chips that anybody asked for something: the others are as they booted."""
        return list(self._chips.values())

    def chips(self) -> Iterator[MonitoredChip]:
        """Yield all working chips."""
        for position in list(self.plan.chips):
            chip = self.chip(position)
            if chip is not None:
                yield chip

    def board(self, ethernet: Chip) -> Iterator[MonitoredChip]:
        """Yield the working chips of a board."""
        for position, plan in list(self.plan.chips.items()):
            chip = self.chip(position) if plan.ethernet == ethernet else None
            if chip is not None:
                yield chip

    def kill_chips(self, positions: Collection[Chip]) -> None:
        """Let chips die: their cores end, their links go, messages to them find no route."""
        used = [position for position in positions if self._chips.pop(position, None) is not None]
        self._take_over(self.plan.without(positions))
        for position in used:
            self.cores.remove(*position)
        for position in positions:
            if position in self.tags:
                self.tags.pop(position).close()

    def kill_link(self, position: Chip, link: Link) -> None:
        """Let a link die, both ways."""
        self._take_over(self.plan.without_link(position, link))

    def trap(self, position: Chip, core: int) -> None:
        """Let a core meet a run-time error: now if it is loaded, else as soon as it is."""
        chip = self.chip(position)
        if chip is not None and 0 < core < chip.n_cores:
            if chip.states()[core] in (CoreState.IDLE, *IN_ERROR):
                self._traps.add((position, core))
            else:
                self.cores.trap(*position, core)

    def _take_over(self, plan: MachinePlan) -> None:
        """Go on with a plan in which parts have died, with tables as after a boot of it."""
        self.plan = plan
        self._parents = plan.parents()
        self._reached = {}
        for chip in self._chips.values():
            chip.relink(plan, self._parents.get(chip.position, NO_PARENT))

    def _reaches(self, ethernet: Chip, position: Chip) -> bool:
        """Return whether there is still a way from a board's Ethernet chip to a chip."""
        if self._reached is None:  # nothing has died
            return True
        if ethernet not in self._reached:
            self._reached[ethernet] = set(self.plan.first_links(ethernet))
        return position in self._reached[ethernet]

    def set_loss(self, position: Chip, link: Link, share: float) -> None:
        """Let a link lose a share, 0 to 1, of the packets on their way out of a chip."""
        self._loss[(*position, link)] = share

    def crosses(self, chip: MonitoredChip, link: int) -> MonitoredChip | None:
        """Return the chip that a monitor's question reaches over a link, None if it gets lost."""
        there = self.plan.links[chip.position][link]
        if there is None or self._random.random() < self.loss(*chip.position, Link(link)):
            return None
        return self.chip(there)

    # What application cores may ask (`Surroundings`)

    def memory(self, x: int, y: int) -> ChipMemory:
        """Return the memories that the cores of a working chip share.

        Raises
        ------
        KeyError
            There is no such chip.
        """
        chip = self.chip((x, y))
        if chip is None:
            raise KeyError(f"there is no chip ({x}, {y})")
        return chip.memory

    def neighbour(self, x: int, y: int, link: Link) -> Chip | None:
        """Return the chip at the other end of a link that works now, or None."""
        ends = self.plan.links.get((x, y))
        return ends[link] if ends is not None else None

    def loss(self, x: int, y: int, link: Link) -> float:
        """Return the share of packets, 0 to 1, that a link loses on its way out of this chip."""
        return self._loss.get((x, y, link), 0.0)

    def changed(self, x: int, y: int, core: int, state: CoreState) -> None:
        """Keep the map of states in the system variables."""
        chip = self.chip((x, y))
        if chip is not None:
            chip.space.write(SYSTEM_VARIABLES + Sv.STATUS_MAP + core, bytes([state]))

    def send(self, x: int, y: int, message: SdpMessage) -> Result:
        """Send a message that a core of chip (x, y) wrote."""
        to = message.destination
        if (to.core, to.port) == (HOST_CORE, HOST_PORT):
            return self._to_host((to.x, to.y), message)
        chip = self.chip((to.x, to.y))
        if chip is None:
            return Result.ROUTE
        result, data = self._take(chip, message, HostAddress("0.0.0.0", 0))
        if data is not None and message.flags & REPLY_EXPECTED:
            back = self.chip((message.source.x, message.source.y))
            if back is not None and 0 < message.source.core < back.n_cores:
                reply = message.answered(_reply(message, result, data), message.tag)
                self.cores.deliver(*back.position, reply)
        return result

    def _to_host(self, ethernet: Chip, message: SdpMessage) -> Result:
        table = self.tags.get(ethernet)
        entry = table.used(message.tag) if table is not None else None
        if entry is None:
            return Result.ROUTE
        datagram = message.data if entry.flags & TagFlag.STRIP else encode_sdp(message)
        port = entry.receive_port if entry.flags & TagFlag.REVERSE else SCP_UDP_PORT
        self._hosts.send(ethernet, port, datagram, HostAddress(dotted(entry.address), entry.port))
        return Result.OK

    # Datagrams from hosts

    def handle(self, ethernet: Chip, datagram: bytes, host: HostAddress) -> bytes | None:
        """Take a datagram that came to a board; return the answer, None if there is none (yet)."""
        message = decode_sdp(datagram)
        table = self.tags.get(ethernet)
        if isinstance(message, Result) or table is None:
            return None
        to = message.destination
        if (to.x, to.y) == (ROOT, ROOT):
            position = (0, 0)
        elif message.flags & NO_ROUTE:
            position = ethernet
        else:
            position = (to.x, to.y)
        chip = self.chip(position)
        result: Result
        data: bytes | None
        if chip is None or not self._reaches(ethernet, position):
            result, data = Result.ROUTE, b""
        else:
            result, data = self._from_host(chip, message, ethernet, host)
        if data is None or not message.flags & REPLY_EXPECTED:
            return None
        reply = SdpMessage(
            SdpAddress(*ethernet, message.source.core, message.source.port),
            SdpAddress(*position, to.core, to.port),
            _reply(message, result, data),
            message.flags & ~REPLY_EXPECTED,
            table.next_transient() if message.tag == TRANSIENT_TAG else message.tag,
        )
        return encode_sdp(reply)

    def _from_host(
        self, chip: MonitoredChip, message: SdpMessage, ethernet: Chip, host: HostAddress
    ) -> tuple[Result, bytes | None]:
        to, source, tag = message.destination, message.source, message.tag
        if not to.port:
            return self._take(chip, message, host)
        if to.core and tag == TRANSIENT_TAG and message.flags & REPLY_EXPECTED:
            tag = self.tags[ethernet].transient(host)
        routed = SdpMessage(
            SdpAddress(*chip.position, to.core, to.port),
            SdpAddress(*ethernet, source.core, source.port),
            message.data,
            message.flags,
            tag,
        )
        return self._take(chip, routed, host)

    def _take(
        self, chip: MonitoredChip, message: SdpMessage, host: HostAddress
    ) -> tuple[Result, bytes | None]:
        """Hand a message to a core of a chip.

        Returns the result, and the data of the answer: None when the core will answer itself.
        """
        to = message.destination
        if to.core >= chip.n_cores:
            return Result.CPU, b""
        if not to.port:
            request = decode_request(message.data)
            if isinstance(request, Result):
                return request, b""
            return answer(self, chip, to.core, request, host)
        if not to.core:
            return Result.PORT, b""
        if chip.states()[to.core] in IN_ERROR:
            return Result.TIMEOUT, b""
        result = self.cores.deliver(*chip.position, message)
        return result, None if result is Result.OK else b""

    def reverse(self, ethernet: Chip, port: int, data: bytes, host: HostAddress) -> None:
        """Take a datagram that came to the UDP port of a reverse tag."""
        table = self.tags.get(ethernet)
        tag = table.reverse_tag(port) if table is not None else None
        entry = table.used(tag, host) if table is not None and tag is not None else None
        if entry is None or tag is None:
            return
        chip = self.chip((entry.x, entry.y))
        if chip is None:
            return
        message = SdpMessage(
            SdpAddress(entry.x, entry.y, entry.core, entry.sdp_port),
            SdpAddress(*ethernet, HOST_CORE, HOST_PORT),
            data,
            FLAGS,
            tag,
        )
        self._take(chip, message, host)

    # Applications

    def start(self, chip: MonitoredChip, mask: int, app_id: int, *, wait: bool) -> None:
        """Start what lies in the load area on those cores of a mask that the chip has."""
        cores = [core for core in range(1, chip.n_cores) if mask >> core & 1]
        if not cores:
            return
        self.cores.stop(*chip.position, cores)
        for core in cores:
            chip.set_loaded(core, app_id, self.clock())
        self.cores.load(*chip.position, cores, app_id, wait=wait)
        for core in cores:
            if (chip.position, core) in self._traps:
                self._traps.remove((chip.position, core))
                self.cores.trap(*chip.position, core)

    def signal(self, signal: Signal, app_id: int, mask: int) -> None:
        """Give a signal to all cores whose application is ``app_id`` in the bits of ``mask``."""
        for chip in self.used_chips():
            cores = chip.cores_of(app_id, mask)
            if signal is Signal.STOP:
                self._stop(chip, cores, {app_id} if mask == 0xFF else set())
                continue
            states = chip.states()
            able = [core for core in cores if states[core] not in IN_ERROR]
            if able:
                self.cores.signal(*chip.position, able, signal)

    def _stop(self, chip: MonitoredChip, cores: list[int], apps: set[int]) -> None:
        apps |= {chip.app_ids()[core] for core in cores}
        if cores:
            self.cores.stop(*chip.position, cores)
        for core in cores:
            chip.set_idle(core)
        for app_id in apps - {0}:
            chip.free_application(app_id)
            chip.system_heap.free_application(app_id)
            chip.routes.free_application(app_id)


def _reply(message: SdpMessage, result: Result, data: bytes) -> bytes:
    return encode_reply(ScpReply(result, sequence_of(message.data), data))
