"""Rates and costs of a machine at a level, and the formulas that turn work into seconds.

The compiler's search and the timing of its result use the same formulas, on single numbers or on
arrays over chips. Where several resources work at the same time, the slowest one counts: transfers
and computation are double-buffered on a core, and packets flow while cores compute.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from math import isfinite
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ArgumentError
from orchestrator.machine.constants import Level, constant

PACKET_BYTES = 4
"""Payload of a packet."""

Number = TypeVar("Number", float, NDArray[np.float64])


@dataclass(frozen=True)
class Rates:
    """What a machine does; each attribute is the constant of its name (docs/machine.md).

    Attributes
    ----------
    clock : Hz.
    kernel_cycles : factor on measured cycles.
    dma_core, dma_chip : bytes/s of one core alone and of all cores of a chip.
    dma_start : cycles of a transfer beside its bytes.
    link_rate, cable_channel_rate : bytes/s of payload one way, of a chip link and of one between
        boards.
    link_share : of those rates, what a link carries without drops.
    chip_injection : packets/s from a chip.
    hop_latency : s.
    packet_send, packet_receive : cycles.
    round_start : s.
    """

    clock: float
    kernel_cycles: float
    dma_core: float
    dma_chip: float
    dma_start: float
    link_rate: float
    cable_channel_rate: float
    link_share: float
    chip_injection: float
    hop_latency: float
    packet_send: float
    packet_receive: float
    round_start: float

    @cached_property
    def link(self) -> float:
        """Return the bytes/s that a link carries one way on a board."""
        return self.link_rate * self.link_share

    @cached_property
    def cable_link(self) -> float:
        """Return the bytes/s that a chip link carries one way between boards."""
        return self.cable_channel_rate * self.link_share


COSTS = frozenset(
    {"kernel_cycles", "dma_start", "hop_latency", "packet_send", "packet_receive", "round_start"}
)
"""Those of the constants that a slow machine has more of; of the others it has less."""

NAMES = tuple(field.name for field in fields(Rates))


def rates(
    level: Level = Level.TYPICAL,
    overrides: Mapping[str, float] = {},  # noqa: B006 (never changed)
) -> Rates:
    """Return the rates of a slow (low), typical or fast (high) machine.

    Parameters
    ----------
    overrides : values by name of the constant, in its unit, in place of the level's. Constants that
        step times do not depend on, those of power among them, may be there.

    Raises
    ------
    ArgumentError
        There is no such constant, or its value is negative, zero for a rate, or not a number.
    """
    check_overrides(overrides)
    return Rates(**{name: value_of(name, level, overrides) for name in NAMES})


def value_of(name: str, level: Level, overrides: Mapping[str, float]) -> float:
    """Return a constant on a slow (low), typical or fast (high) machine."""
    if name in overrides:
        return overrides[name]
    return constant(name).at(level.opposite if name in COSTS else level)


def check_overrides(overrides: Mapping[str, float]) -> None:
    """Refuse values that no machine has."""
    for name, value in overrides.items():
        unit = constant(name).unit
        positive = name in NAMES and (name not in COSTS or name == "kernel_cycles")
        if not isfinite(value) or value < 0 or (positive and value == 0):
            least = "above 0" if positive else "at least 0"
            raise ArgumentError(f"{name}: {value:g} {unit} is not possible; give a value {least}")


def core_bandwidth(rates: Rates, busy_cores: Number) -> Number:
    """Return the bytes/s that each of a chip's cores has when so many move data at once."""
    share: Number = np.minimum(rates.dma_core, rates.dma_chip / np.maximum(busy_cores, 1))
    return share


def compute_seconds(
    cycles: Number, waited_bytes: Number, busy_cores: Number, rates: Rates
) -> Number:
    """Return how long a core computes: its cycles, and the transfers that nothing hides.

    Parameters
    ----------
    cycles, waited_bytes : of the slowest core of each chip, as `Cost` has them.
    busy_cores : of its chip.
    """
    waits = waited_bytes / core_bandwidth(rates, busy_cores)
    return cycles * rates.kernel_cycles / rates.clock + waits


def sdram_seconds(
    dma_bytes: Number, dma_transfers: Number, busy_cores: Number, rates: Rates
) -> Number:
    """Return how long the transfers of a chip take: its SDRAM, or each core's DMA controller.

    Parameters
    ----------
    dma_bytes, dma_transfers : of all the chip's cores together, shared evenly by busy_cores.
    """
    cores = np.maximum(busy_cores, 1)
    controller = dma_bytes / cores / rates.dma_core
    starts = dma_transfers / cores * rates.dma_start / rates.clock
    longer: Number = np.maximum(dma_bytes / rates.dma_chip, controller + starts)
    return longer


def handling_seconds(
    sent_bytes: Number, received_bytes: Number, packet_cores: Number, rates: Rates
) -> Number:
    """Return how long the packet cores of a chip handle what it sends and receives."""
    cycles = sent_bytes * rates.packet_send + received_bytes * rates.packet_receive
    seconds: Number = cycles / (PACKET_BYTES * np.maximum(packet_cores, 1) * rates.clock)
    return seconds


def injection_seconds(sent_bytes: Number, rates: Rates) -> Number:
    """Return how long the packets of a chip take into its router."""
    return sent_bytes / (PACKET_BYTES * rates.chip_injection)


def latency_seconds(rounds: Number, hops: Number, rates: Rates) -> Number:
    """Return what rounds that wait for each other take beside their bytes.

    Parameters
    ----------
    hops : links on the longest way of a round.
    """
    return rounds * (rates.round_start + hops * rates.hop_latency)
