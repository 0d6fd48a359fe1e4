"""What a machine is and does now, without a change to it: nothing is booted, stopped or loaded.

Only reads, and a summary of each chip, go over one connection to the first board; spinnman is not
needed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from orchestrator.boards.hardware.boards import check_host
from orchestrator.boards.hardware.discovery import as_discovered
from orchestrator.boards.hardware.exchange import BoardLink, exchange
from orchestrator.boards.hardware.failures import Refused
from orchestrator.boards.hardware.pieces import Call, Piece, Read
from orchestrator.boards.hardware.probe import machine_size, who_answers
from orchestrator.machine import Faults, Link, Machine
from orchestrator.machine.machine import Chip
from orchestrator.wire.answers import ChipSummary, decode_summary
from orchestrator.wire.layout import P2P_NONE, P2P_TABLE, ROUTER, SYSTEM_VARIABLES, Sv
from orchestrator.wire.numbers import Command, CoreState, Result

_COLUMN_BYTES: Final = 128
_ROWS_A_WORD: Final = 8
_MAP_BYTES: Final = 20


@dataclass(frozen=True, kw_only=True)
class Sight:
    """A booted machine as it is now.

    Attributes
    ----------
    machine
        Its working parts.
    dead
        What a machine of this shape has when all works and this one lacks.
    ethernet
        Address of each board by the coordinates of its Ethernet chip.
    states
        Of each chip what its application cores are doing, from virtual core 1 on.
    """

    machine: Machine
    dead: Faults
    ethernet: Mapping[Chip, str]
    states: Mapping[Chip, tuple[CoreState, ...]]


def look(host: str) -> Sight | None:
    """Return what the machine behind a host name is, None if its board is off or not booted.

    Raises
    ------
    ArgumentError
        No such host.
    BoardDead
        There is a computer that has no board, or it falls silent.
    """
    check_host("board", host)
    if who_answers(host) is None:
        return None
    size = machine_size(host)
    if size is None:
        return None
    with BoardLink(host) as link:
        found = {chip: summary for chip, summary in _summaries(link, size)}
        reads = [Read(*c, SYSTEM_VARIABLES + Sv.VIRTUAL_TO_PHYSICAL, _MAP_BYTES) for c in found]
        maps = exchange([(link, reads)])[0]
    physical = dict(zip(found, map(bytes, maps), strict=True))
    chips = [_seen(chip, summary) for chip, summary in found.items()]
    discovered = as_discovered(_Seen(*size, chips), physical)
    states = {
        chip: tuple(_core_state(number) for number in summary.states[1 : summary.n_cores])
        for chip, summary in found.items()
    }
    return Sight(
        machine=discovered.machine,
        dead=discovered.dead,
        ethernet=discovered.ethernet,
        states=states,
    )


def _summaries(link: BoardLink, size: tuple[int, int]) -> Iterator[tuple[Chip, ChipSummary]]:
    """Yield what each chip says of itself; those that say nothing are left out."""
    chips = [chip for chip in _chips(link, size)]
    calls: list[Piece] = [Call(*chip, Command.INFO) for chip in chips]
    try:
        answers = exchange([(link, calls)])[0]
    except Refused:
        answers = [_alone(link, call) for call in calls]
    for chip, answer in zip(chips, answers, strict=True):
        summary = decode_summary(answer)
        if not isinstance(summary, Result):
            yield chip, summary


def _alone(link: BoardLink, call: Piece) -> bytes:
    """Return the answer of a chip, nothing if it refuses: it died after the machine was booted."""
    try:
        answer: bytes = exchange([(link, [call])])[0][0]
    except Refused:
        return b""
    return answer


def _chips(link: BoardLink, size: tuple[int, int]) -> Iterator[Chip]:
    """Yield the chips that the root chip knows a way to, by its point-to-point table."""
    width, height = size
    column_bytes = -(-height // _ROWS_A_WORD) * 4
    reads = [Read(0, 0, ROUTER + P2P_TABLE + _COLUMN_BYTES * x, column_bytes) for x in range(width)]
    for x, column in enumerate(exchange([(link, reads)])[0]):
        ways = int.from_bytes(column, "little")
        for y in range(height):
            word, place = divmod(y, _ROWS_A_WORD)
            if ways >> (32 * word + 3 * place) & 7 != P2P_NONE:
                yield x, y


def _core_state(number: int) -> CoreState:
    try:
        return CoreState(number)
    except ValueError:
        return CoreState.DEAD


# ---- the same under the names of spinn_machine, which `as_discovered` reads ----


class _SeenLink(NamedTuple):
    source_link_id: int


class _SeenRouter(NamedTuple):
    links: Sequence[_SeenLink]


class _SeenChip(NamedTuple):
    x: int
    y: int
    n_processors: int
    router: _SeenRouter
    placable_processors_ids: Sequence[int]
    nearest_ethernet_x: int
    nearest_ethernet_y: int
    ip_address: str | None


class _Seen(NamedTuple):
    width: int
    height: int
    chips: Sequence[_SeenChip]

    @property
    def ethernet_connected_chips(self) -> list[_SeenChip]:
        return [chip for chip in self.chips if chip.ip_address is not None]


def _seen(chip: Chip, summary: ChipSummary) -> _SeenChip:
    links = [_SeenLink(int(link)) for link in Link if summary.links >> link & 1]
    address = ".".join(map(str, summary.ip_address)) if any(summary.ip_address) else None
    return _SeenChip(
        *chip,
        n_processors=summary.n_cores,
        router=_SeenRouter(links),
        placable_processors_ids=range(1, summary.n_cores),
        nearest_ethernet_x=summary.ethernet_x,
        nearest_ethernet_y=summary.ethernet_y,
        ip_address=address,
    )
