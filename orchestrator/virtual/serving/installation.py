"""The boards of a virtual machine: their power, their boots, and the faults they meet.

No socket in here: datagrams come in by `Installation.answer` and `Installation.boot_datagram`, and
leave by the `Outside`.
"""

import time
from collections.abc import Callable
from typing import Protocol

from orchestrator.errors import ArgumentError
from orchestrator.machine.links import Link
from orchestrator.machine.machine import Board, Chip
from orchestrator.virtual.monitor.commands import monitor_version
from orchestrator.virtual.monitor.cores import OpenCores
from orchestrator.virtual.monitor.machine import BootedMachine
from orchestrator.virtual.monitor.tags import HostAddress
from orchestrator.virtual.monitor.variables import Boot, default_variables
from orchestrator.virtual.serving.board import BoardState, VirtualBoard
from orchestrator.virtual.serving.boot import BootImageError, variables_of
from orchestrator.virtual.serving.configuration import VirtualMachineConfig, board_places
from orchestrator.virtual.serving.faults import FaultsConfig
from orchestrator.virtual.serving.topology import BootPlan, Site, boot_plan
from orchestrator.wire.boot import decode_boot
from orchestrator.wire.datagrams import (
    REPLY_EXPECTED,
    ROOT,
    ScpReply,
    decode_request,
    decode_sdp,
    encode_reply,
    encode_sdp,
)
from orchestrator.wire.numbers import Command, Result

_SPINN3_VERSION = 3
_SPINN5_VERSION = 5


class Outside(Protocol):
    """What boards need around them: UDP ports on their addresses, and a clock that calls."""

    def send(self, address: str, port: int, datagram: bytes, host: HostAddress) -> None:
        """Send a datagram from a port of a board's address."""

    def listen(self, board: VirtualBoard, port: int, on: bool) -> bool:
        """Open or close a UDP port of a board for a reverse tag; tell whether it is open."""

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call something later."""


class Installation:
    """All boards and what they have booted into.

    Parameters
    ----------
    config
        Shape, addresses and dead parts.
    open_cores
        Makes the application cores of what boots.
    outside
        Ports and clock.
    faults
        What happens after each boot.
    report
        Called with a line of text for each event.

    Attributes
    ----------
    boards
        By (x, y, z), dead ones too.
    machines
        Those that are booted.
    site
        The boards as they stand.

    Raises
    ------
    ArgumentError
        A dead part, or one in the plan of faults, does not exist.
    """

    def __init__(
        self,
        config: VirtualMachineConfig,
        open_cores: OpenCores,
        outside: Outside,
        faults: FaultsConfig,
        report: Callable[[str], None],
    ):
        self._config = config
        self._open_cores = open_cores
        self._outside = outside
        self._faults = faults
        self._report = report
        self.site = Site(config.machine(), config.dead.faults().cores)
        working = set(self.site.boards())
        self.boards = {
            place.board: VirtualBoard(place, works=place.board in working, powered=config.powered)
            for place in board_places(config)
        }
        self.machines: list[BootedMachine] = []
        self._check_faults()

    def _check_faults(self) -> None:
        """Raise ArgumentError where the plan of faults names a part that does not exist."""
        faults = self._faults
        for board in faults.silent_boards:
            self._check_board(board)
        lossy = ((link.x, link.y) for link in faults.lossy_links)
        others = (part[:2] for part in (*faults.dead_links, *faults.trapped_cores))
        for place in (*faults.dead_chips, *lossy, *others):
            self._check_chip(place)

    def _check_board(self, board: Board) -> None:
        if board not in self.boards:
            raise ArgumentError(f"faults: there is no board {board}")

    def _check_chip(self, place: Chip) -> None:
        x, y = place
        machine = self.site.machine
        if not (0 <= x < machine.width and 0 <= y < machine.height and machine.cores[place]):
            raise ArgumentError(f"faults: there is no working chip {place}")

    def close(self) -> None:
        """End all cores and close the boards' extra ports."""
        for machine in self.machines:
            machine.close()
        self.machines = []

    # Datagrams

    def answer(self, board: VirtualBoard, datagram: bytes, host: HostAddress) -> bytes | None:
        """Return a board's answer to a datagram, None if there is none (yet)."""
        if board.silent:
            return None
        if board.machine is not None and board.ethernet is not None:
            return board.machine.handle(board.ethernet, datagram, host)
        if board.state is BoardState.BOOTING:
            return self._answer_while_booting(board, datagram)
        return None

    def _answer_while_booting(self, board: VirtualBoard, datagram: bytes) -> bytes | None:
        """Answer to ``VERSION`` as a chip does that does not know its coordinates yet."""
        message = decode_sdp(datagram)
        if isinstance(message, Result) or not message.flags & REPLY_EXPECTED:
            return None
        request = decode_request(message.data)
        if isinstance(request, Result) or request.command != Command.VERSION:
            return None
        monitor = self.site.physical_cores(self.site.place(board.place.board, (0, 0)))[0]
        reply = ScpReply(Result.OK, request.sequence, monitor_version(monitor, ROOT, ROOT))
        return encode_sdp(message.answered(encode_reply(reply), message.tag))

    def reverse(self, board: VirtualBoard, port: int, datagram: bytes, host: HostAddress) -> None:
        """Take a datagram that came to a board's port of a reverse tag."""
        if board.machine is not None and board.ethernet is not None and not board.silent:
            board.machine.reverse(board.ethernet, port, datagram, host)

    def boot_datagram(self, board: VirtualBoard, datagram: bytes) -> None:
        """Take a datagram for a board's boot ROM."""
        message = decode_boot(datagram)
        if isinstance(message, Result) or board.state is not BoardState.POWERED:
            return
        if board.silent or not board.works:
            return
        try:
            image = board.receiver.take(message)
        except BootImageError as error:
            self._report(f"board {board.place.board} does not boot: {error}")
            return
        if image is not None:
            boot = self._join(board)
            variables = variables_of(image)
            wait = self._config.boot_ms / 1000
            self._outside.after(wait, lambda: self._finish_boot(board, boot, variables))

    # Power and boot

    def set_power(self, board: VirtualBoard, on: bool) -> None:
        """Switch a board on or off; one that has power starts anew."""
        machine = board.machine
        if machine is not None:
            places = {self.site.place(board.place.board, c) for c in self.site.board_chips}
            on_board = [at for at, chip in machine.plan.chips.items() if chip.place in places]
            machine.kill_chips(on_board)
            if not machine.plan.chips:
                machine.close()
                self.machines.remove(machine)
        board.reset(BoardState.POWERED if on else BoardState.OFF)
        self._report(f"board {board.place.board} power {'on' if on else 'off'}")

    def boot_all(self) -> None:
        """Boot all boards that have power, as if hosts had sent them an image."""
        version = _SPINN3_VERSION if self.site.is_spinn3 else _SPINN5_VERSION
        variables = default_variables(version, int(time.time()))
        for board in self.boards.values():
            if board.works and board.state is BoardState.POWERED:
                self._finish_boot(board, self._join(board), variables)

    def _join(self, root: VirtualBoard) -> object:
        """Let a board and all that it reaches boot; return what tells this boot from others."""
        plan = boot_plan(
            self.site, root.place.board, self._addresses(BoardState.POWERED), self._is_open
        )
        boot = object()
        for name in plan.boards:
            self.boards[name].state = BoardState.BOOTING
            self.boards[name].boot = boot
        return boot

    def _finish_boot(self, root: VirtualBoard, boot: object, variables: bytes) -> None:
        """Make a machine of those boards that have not lost power since."""
        joined = [board for board in self.boards.values() if board.boot is boot]
        booting = {board.place.board: board.place.address for board in joined}
        if root in joined:
            plan = boot_plan(self.site, root.place.board, booting, self._is_open)
            if plan.machine.chips:
                self._start_machine(plan, variables)
            else:
                self._report(f"board {root.place.board} does not boot: its Ethernet chip is dead")
        for board in joined:  # those that lost power, or the way to the root, on the way
            if board.state is BoardState.BOOTING:
                board.forget_boot()

    def _start_machine(self, plan: BootPlan, variables: bytes) -> None:
        """Make a machine of a plan."""
        hosts = _Hosts(
            self._outside, {at: self.boards[name] for name, at in plan.ethernets.items()}
        )
        boot = Boot(variables, time.time())
        machine = BootedMachine(plan.machine, boot, self._open_cores, hosts, time.time)
        self.machines.append(machine)
        for name in plan.boards:
            self.boards[name].state = BoardState.BOOTED
            self.boards[name].boot = None
            self.boards[name].machine = machine
            self.boards[name].ethernet = plan.ethernets.get(name)
        size = f"{plan.machine.width} x {plan.machine.height}, {len(plan.machine.chips)} chips"
        boards = "1 board" if len(plan.boards) == 1 else f"{len(plan.boards)} boards"
        self._report(f"board {plan.boards[0]} booted: {size}, {boards}")
        self._meet_faults(machine)

    def _addresses(self, state: BoardState) -> dict[Board, str]:
        return {
            place: board.place.address
            for place, board in self.boards.items()
            if board.works and board.state is state
        }

    def _is_open(self, board: Board, link: Link) -> bool:
        return self.boards[board].is_open(link)

    # Faults

    def _meet_faults(self, machine: BootedMachine) -> None:
        """Let a machine that has just booted meet the plan's faults, now or when they are due."""
        faults = self._faults
        for lossy in faults.lossy_links:
            self.set_link_loss((lossy.x, lossy.y), Link(lossy.link), float(lossy.loss))
        if faults.after_ms:
            self._outside.after(faults.after_ms / 1000, lambda: self._break(machine))
        else:
            self._break(machine)

    def _break(self, machine: BootedMachine) -> None:
        if machine not in self.machines:
            return
        for board in self._faults.silent_boards:
            self.silence(board, True)
        for chip in self._faults.dead_chips:
            self.kill_chip(chip)
        for x, y, link in self._faults.dead_links:
            self.kill_link((x, y), Link(link))
        for x, y, core in self._faults.trapped_cores:
            self.trap((x, y), core)

    def silence(self, board: Board, silent: bool) -> None:
        """Let a board answer nothing any more, or answer again."""
        self._check_board(board)
        self.boards[board].silent = silent

    def kill_chip(self, place: Chip) -> None:
        """Let a chip die."""
        for machine, at in self._find(place):
            machine.kill_chips([at])

    def kill_link(self, place: Chip, link: Link) -> None:
        """Let a link die, both ways."""
        for machine, at in self._find(place):
            machine.kill_link(at, link)

    def set_link_loss(self, place: Chip, link: Link, share: float) -> None:
        """Let a link lose a share of the packets on their way out of a chip."""
        for machine, at in self._find(place):
            machine.set_loss(at, link, share)

    def trap(self, place: Chip, core: int) -> None:
        """Let a core meet a run-time error: now if it is loaded, else as soon as it is."""
        for machine, at in self._find(place):
            machine.trap(at, core)

    def _find(self, place: Chip) -> list[tuple[BootedMachine, Chip]]:
        """Return the booted machine that a chip is in, and where; none while it is not booted.

        Raises
        ------
        ArgumentError
            There is no such chip.
        """
        self._check_chip(place)
        return [
            (machine, at)
            for machine in self.machines
            for at, chip in machine.plan.chips.items()
            if chip.place == place
        ]


class _Hosts:
    """The way from a booted machine's boards to hosts."""

    def __init__(self, outside: Outside, boards: dict[Chip, VirtualBoard]):
        self._outside = outside
        self._boards = boards

    def send(self, ethernet: Chip, port: int, datagram: bytes, host: HostAddress) -> None:
        """Send a datagram from a UDP port of a board, unless a fault keeps it silent."""
        board = self._boards[ethernet]
        if not board.silent:
            self._outside.send(board.place.address, port, datagram, host)

    def listen(self, ethernet: Chip, port: int, on: bool) -> bool:
        """Open or close a UDP port of a board."""
        return self._outside.listen(self._boards[ethernet], port, on)
