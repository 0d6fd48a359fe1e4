"""Memory of a machine's chips, over one connection a board."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from types import TracebackType
from typing import Any, Final, Self

from orchestrator.boards.hardware.exchange import PATIENCE_S, BoardLink, exchange
from orchestrator.boards.hardware.failures import Refused
from orchestrator.boards.hardware.pieces import Buffer, Call, Piece, Read, Write
from orchestrator.boards.hardware.reports import Block, CoreId, read_block
from orchestrator.errors import ArgumentError
from orchestrator.machine.links import Link
from orchestrator.wire.layout import VCPU_BYTES
from orchestrator.wire.numbers import ALLOCATION_RETRY, MAX_SCP_DATA, Allocation, Command

_IOBUF_HEADER: Final = 16
_IOBUF_BLOCKS: Final = 1024
"""Blocks of a core's IOBUF that are followed: more than SDRAM's heap for them holds."""

_IOBUF_MOST: Final = 1 << 16
"""Bytes of a block that are read at most: the system software makes blocks of 16 KiB, but a program
that goes wrong can write over their headers."""

Chip = tuple[int, int]


class MachineMemory:
    """Reads and writes any chip's memory, many chips and boards at once.

    Parameters
    ----------
    ethernet
        Address of each board by the coordinates of its Ethernet chip.
    board_of
        The Ethernet chip of each chip's board.
    patience_s
        How long a board may be silent, seconds.
    """

    def __init__(
        self,
        ethernet: Mapping[Chip, str],
        board_of: Mapping[Chip, Chip],
        patience_s: float = PATIENCE_S,
    ):
        self._board_of = board_of
        self._cleanup = ExitStack()
        self._links: dict[Chip, BoardLink] = {}
        try:
            for chip, host in ethernet.items():
                link = self._cleanup.enter_context(BoardLink(host, patience_s=patience_s))
                self._links[chip] = link
        except BaseException:
            self._cleanup.close()
            raise

    def close(self) -> None:
        """Close the connections."""
        self._cleanup.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def carry_out(self, pieces: Sequence[Piece]) -> list[Any]:
        """Carry out pieces in any order, boards at the same time; see `exchange` for results.

        Raises
        ------
        ArgumentError
            There is no such chip.
        BoardDead, Refused, LinkDead
            As for `exchange`.
        """
        by_board: dict[Chip, list[int]] = {}
        for index, piece in enumerate(pieces):
            board = self._board_of.get((piece.x, piece.y))
            if board is None:
                raise ArgumentError(f"{piece}: the machine has no chip ({piece.x}, {piece.y})")
            by_board.setdefault(board, []).append(index)
        work = [(self._links[b], [pieces[i] for i in indices]) for b, indices in by_board.items()]
        results: list[Any] = [None] * len(pieces)
        for indices, answers in zip(by_board.values(), exchange(work), strict=True):
            for index, answer in zip(indices, answers, strict=True):
                results[index] = answer
        return results

    def write(self, x: int, y: int, address: int, data: Buffer) -> None:
        """Write bytes; any length and alignment."""
        self.carry_out([Write(x, y, address, data)])

    def read(self, x: int, y: int, address: int, size: int) -> bytearray:
        """Return so many bytes; any length and alignment."""
        found: bytearray = self.carry_out([Read(x, y, address, size)])[0]
        return found

    def write_many(self, writes: Sequence[Write]) -> None:
        """Write ranges that do not overlap."""
        self.carry_out(writes)

    def read_many(self, reads: Sequence[Read]) -> list[bytearray]:
        """Return the bytes of ranges."""
        return self.carry_out(reads)

    def fill(self, x: int, y: int, address: int, word: int, size: int) -> None:
        """Fill a range with a word; address and size are multiples of 4."""
        if address % 4 or size % 4 or size < 0:
            raise ArgumentError(
                f"fill of {size} bytes at 0x{address:08x}: address and size are multiples of 4"
            )
        self.carry_out([Call(x, y, Command.FILL, address, word & 0xFFFFFFFF, size)])

    def link_read(self, x: int, y: int, link: Link, address: int, size: int) -> bytes:
        """Return bytes of a chip's neighbour; address and size are multiples of 4.

        Raises
        ------
        LinkDead
            The chip cannot reach its neighbour.
        """
        found = self.carry_out(
            [
                Call(x, y, Command.LINK_READ, address + offset, length, link)
                for offset, length in _link_spans(address, size)
            ]
        )
        return b"".join(found)

    def link_write(self, x: int, y: int, link: Link, address: int, data: bytes) -> None:
        """Write bytes to a chip's neighbour; address and length are multiples of 4.

        Raises
        ------
        LinkDead
            The chip cannot reach its neighbour.
        """
        calls = []
        for offset, length in _link_spans(address, len(data)):
            part = bytes(data[offset : offset + length])
            calls.append(Call(x, y, Command.LINK_WRITE, address + offset, length, link, part))
        self.carry_out(calls)

    def allocate(self, x: int, y: int, size: int, app_id: int, tag: int) -> int:
        """Return the address of a new block of SDRAM that belongs to an application.

        Parameters
        ----------
        tag
            1 to 255, of no other block of this application on this chip: asked twice because an
            answer was lost, the chip gives the same block.

        Raises
        ------
        Refused
            The chip has no such block.
        """
        what = ALLOCATION_RETRY << 16 | app_id << 8 | Allocation.SDRAM
        answer = self.carry_out([Call(x, y, Command.ALLOCATE, what, size, tag)])[0]
        address = int.from_bytes(answer[:4], "little")
        if not address:
            raise Refused(f"chip ({x}, {y}) has no {size} bytes of SDRAM in one block left", None)
        return address

    def blocks(self, cores: Iterable[CoreId]) -> list[Block]:
        """Return what the VCPU blocks of cores say, in their order."""
        chosen = list(cores)
        reads = [Read(core.x, core.y, core.vcpu, VCPU_BYTES) for core in chosen]
        found = self.read_many(reads)
        return [read_block(core, data) for core, data in zip(chosen, found, strict=True)]

    def printed(self, blocks: Iterable[Block]) -> dict[CoreId, str]:
        """Return the IOBUF text of cores; a chain that leads out of memory is no text."""
        known = list(blocks)
        try:
            return self._chains(known)
        except Refused:
            if len(known) == 1:
                return {known[0].report.core: ""}
        return {core: text for block in known for core, text in self.printed([block]).items()}

    def _chains(self, blocks: Iterable[Block]) -> dict[CoreId, str]:
        """Return the text of cores, following their chains of blocks side by side."""
        texts: dict[CoreId, list[bytes]] = {}
        chains = {report.core: at for report, at in blocks}
        for core in chains:
            texts[core] = []
        for _ in range(_IOBUF_BLOCKS):
            chains = {core: at for core, at in chains.items() if at}
            if not chains:
                break
            heads = self.read_many(
                [Read(core.x, core.y, at, _IOBUF_HEADER) for core, at in chains.items()]
            )
            words = [memoryview(head).cast("I") for head in heads]
            bodies = self.read_many(
                [
                    Read(core.x, core.y, at + _IOBUF_HEADER, min(head[3], _IOBUF_MOST))
                    for (core, at), head in zip(chains.items(), words, strict=True)
                ]
            )
            for core, body in zip(chains, bodies, strict=True):
                texts[core].append(bytes(body))
            chains = {core: head[0] for core, head in zip(chains, words, strict=True)}
        return {core: b"".join(parts).decode("latin-1") for core, parts in texts.items()}


def _link_spans(address: int, size: int) -> Iterable[tuple[int, int]]:
    if address % 4 or size % 4:
        raise ArgumentError(
            f"{size} bytes at 0x{address:08x} over a link: address and size are multiples of 4"
        )
    whole = range(0, size - size % MAX_SCP_DATA, MAX_SCP_DATA)
    rest = size % MAX_SCP_DATA
    ends = ((size - rest, rest),) if rest else ()
    return chain(((offset, MAX_SCP_DATA) for offset in whole), ends)
