"""How long a phase takes: the one formula that the search minimises and `orchestrator.perf` walks.

Work and exchanges of a phase go on beside one another, and the slowest resource counts: the core
with most cycles, the chip whose SDRAM moves most, the chip whose packet-handling cores have most
packets, the chip that injects most, the link that carries most. What must end before the work is
added, and so is the first piece of streamed exchanges, for which the work has to wait. The formulas
of the resources are those of `orchestrator.perf.rates`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orchestrator.compiler.program import (
    LINKS,
    PACKET_BYTES,
    Exchange,
    Floats,
    Overlap,
    Phase,
    Program,
    Work,
)
from orchestrator.perf.rates import (
    Rates,
    compute_seconds,
    handling_seconds,
    injection_seconds,
    latency_seconds,
    sdram_seconds,
)


@dataclass(frozen=True, eq=False)
class WorkLoad:
    """What a phase's work asks of every chip, float64 [n_chips] each.

    Attributes
    ----------
    cycles, waited_bytes : of the core with most cycles.
    busy_cycles : of all cores together.
    dma_bytes, dma_transfers : of all cores together.
    cores : that have a share.
    """

    cycles: Floats
    waited_bytes: Floats
    busy_cycles: Floats
    dma_bytes: Floats
    dma_transfers: Floats
    cores: Floats


@dataclass(frozen=True, eq=False)
class ExchangeLoad:
    """What exchanges beside one another ask of every chip and link.

    Attributes
    ----------
    sent, received : float64 [n_chips], bytes, in whole packets.
    links : float64 [6 * n_chips], bytes.
    rounds, hops : rounds that wait for each other, and the longest way in them.
    """

    sent: Floats
    received: Floats
    links: Floats
    rounds: int
    hops: int

    def __add__(self, other: "ExchangeLoad") -> "ExchangeLoad":
        """Return the load of both beside one another."""
        return ExchangeLoad(
            self.sent + other.sent,
            self.received + other.received,
            self.links + other.links,
            max(self.rounds, other.rounds),
            max(self.hops, other.hops),
        )


class ExchangeTime(NamedTuple):
    """Seconds that exchanges take by each resource; they go on beside one another."""

    handling: float
    injection: float
    links: float
    latency: float
    """Of the rounds, added to the slowest of the others."""

    @property
    def total(self) -> float:
        """Return the time until the last packet has been handled."""
        return max(self.handling, self.injection, self.links) + self.latency


class PhaseTime(NamedTuple):
    """Seconds of a phase and of its parts."""

    before: ExchangeTime
    first_piece: float
    compute: float
    sdram: float
    beside: ExchangeTime
    barrier: float

    @property
    def total(self) -> float:
        """Return the phase's time."""
        beside = max(self.compute, self.sdram, self.beside.total)
        return self.before.total + self.first_piece + beside + self.barrier


@dataclass(frozen=True, eq=False)
class PhaseLoad:
    """All that a phase asks of a machine, without constants: reduced once, timed often.

    Attributes
    ----------
    work, before, streamed, behind : of its kernels, and of its exchanges by overlap.
    awaited, pieces : of the streamed exchanges for whose first piece work waits; 0 pieces where
        there are none.
    """

    work: WorkLoad
    before: ExchangeLoad
    streamed: ExchangeLoad
    behind: ExchangeLoad
    awaited: ExchangeLoad
    pieces: int

    @cached_property
    def beside(self) -> ExchangeLoad:
        """Return what is exchanged while the cores compute."""
        return self.streamed + self.behind


@dataclass(frozen=True, eq=False)
class Slice:
    """What a phase's time depends on beside its load.

    Attributes
    ----------
    packet_cores : float64 [n_chips].
    between_boards : bool [6 * n_chips], whether a link crosses to another board.
    diameter : hops of a barrier, from the furthest chip and back.
    """

    packet_cores: Floats
    between_boards: NDArray[np.bool_]
    diameter: int


def work_load(work: Iterable[Work], n_chips: int, n_cores: int) -> WorkLoad:
    """Return what kernels one after the other ask of every chip; n_cores: the most of a chip."""
    cycles = np.zeros((n_chips, n_cores))
    waited = np.zeros((n_chips, n_cores))
    moved, transfers = np.zeros(n_chips), np.zeros(n_chips)
    for each in work:
        np.add.at(cycles, (each.chip, each.core), each.cycles)
        np.add.at(waited, (each.chip, each.core), each.waited_bytes)
        np.add.at(moved, each.chip, each.dma_bytes)
        np.add.at(transfers, each.chip, each.dma_transfers)
    chips, busiest = np.arange(n_chips), cycles.argmax(axis=1)
    return WorkLoad(
        cycles[chips, busiest],
        waited[chips, busiest],
        cycles.sum(axis=1),
        moved,
        transfers,
        np.count_nonzero(cycles, axis=1).astype(np.float64),
    )


def exchange_load(
    exchanges: Iterable[Exchange], n_chips: int, in_turn: bool = False
) -> ExchangeLoad:
    """Return what exchanges beside one another ask of every chip and link.

    Parameters
    ----------
    in_turn : whether each waits for the one before: their rounds add up.
    """
    load = ExchangeLoad(np.zeros(n_chips), np.zeros(n_chips), np.zeros(LINKS * n_chips), 0, 0)
    rounds = 0
    for each in exchanges:
        rounds += each.rounds
        load += ExchangeLoad(
            PACKET_BYTES * each.sent(n_chips).astype(np.float64),
            PACKET_BYTES * each.received(n_chips).astype(np.float64),
            each.link_bytes(n_chips).astype(np.float64),
            each.rounds,
            each.hops,
        )
    return replace(load, rounds=rounds) if in_turn else load


def phase_load(phase: Phase, n_chips: int, n_cores: int) -> PhaseLoad:
    """Return all that a phase asks of a machine."""
    by = {
        overlap: exchange_load(
            (e for e in phase.exchanges if e.overlap is overlap),
            n_chips,
            in_turn=overlap is Overlap.BEFORE,
        )
        for overlap in Overlap
    }
    awaited = [e for e in phase.exchanges if e.overlap is Overlap.STREAMED and e.pieces]
    return PhaseLoad(
        work_load(phase.work, n_chips, n_cores),
        by[Overlap.BEFORE],
        by[Overlap.STREAMED],
        by[Overlap.BEHIND],
        exchange_load(awaited, n_chips),
        min((each.pieces for each in awaited), default=0),
    )


def program_slice(program: Program) -> Slice:
    """Return what all phases of a program have in common."""
    return Slice(program.packet_cores.astype(np.float64), program.between_boards, program.diameter)


def exchange_time(load: ExchangeLoad, slice_: Slice, rates: Rates) -> ExchangeTime:
    """Return the time of exchanges beside one another; all zero where there are none."""
    if not load.rounds:
        return ExchangeTime(0.0, 0.0, 0.0, 0.0)
    rate = np.where(slice_.between_boards, rates.cable_link, rates.link)
    handling = handling_seconds(load.sent, load.received, slice_.packet_cores, rates)
    return ExchangeTime(
        handling=float(handling.max()),
        injection=float(injection_seconds(load.sent, rates).max()),
        links=float((load.links / rate).max()),
        latency=latency_seconds(load.rounds, load.hops, rates),
    )


def phase_time(load: PhaseLoad, slice_: Slice, rates: Rates) -> PhaseTime:
    """Return the time of a phase."""
    work = load.work
    moved = sdram_seconds(work.dma_bytes, work.dma_transfers, work.cores, rates)
    exchanged = (load.beside.sent + load.beside.received) / rates.dma_chip
    first_piece = 0.0
    if load.pieces:
        first_piece = exchange_time(load.awaited, slice_, rates).total / load.pieces
    return PhaseTime(
        before=exchange_time(load.before, slice_, rates),
        first_piece=first_piece,
        compute=float(
            compute_seconds(work.cycles, work.waited_bytes, work.cores, rates).max(initial=0.0)
        ),
        sdram=float((moved + exchanged).max(initial=0.0)),
        beside=exchange_time(load.beside, slice_, rates),
        barrier=latency_seconds(1, 2 * slice_.diameter, rates) if slice_.diameter else 0.0,
    )
