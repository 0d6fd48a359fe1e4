"""Closed-form lower bounds of a step: what physics allows, whatever the schedule.

Each is an amount over a rate, for the whole step at once: products over all cores, bytes over all
memories, packets over all cores, and bytes over links, over the links of a chip and over cuts of
the slice. No schedule, no routes and no overlap enter, so that a time below one of them is a fault
of the model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.compiler.program import LINKS, Program
from orchestrator.machine.constants import Level, constant
from orchestrator.machine.geometry import Ints
from orchestrator.machine.links import Link
from orchestrator.machine.machine import Machine
from orchestrator.model.graph import Graph
from orchestrator.model.lower import ConvOp, lower
from orchestrator.perf.cycles import CycleTable, Pass, load_table
from orchestrator.perf.rates import PACKET_BYTES, Rates

OUTPUT_BYTES = 2
"""Of a convolution's 16-bit sum, which the backward pass needs again."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds below which no step can be.

    Attributes
    ----------
    arithmetic : all products on all application cores, at the fewest cycles that were measured for
        a product of that pass.
    sdram : outputs of convolutions written once and read once, but for what all data memories hold.
    packets : all packets sent and received by all application cores.
    injection : packets of the chip that sends most.
    links : bytes times the least links they take, over all links.
    chip : bytes that a chip receives, over its working links.
    cut : bytes from one side of a cut to the other, over the links between; the slowest of the cuts
        along columns, rows and boards.
    """

    arithmetic: float
    sdram: float
    packets: float
    injection: float
    links: float
    chip: float
    cut: float

    @property
    def largest(self) -> tuple[str, float]:
        """Return the largest bound and its name."""
        return max(asdict(self).items(), key=lambda item: item[1])


@dataclass(frozen=True, slots=True)
class Demand:
    """What a network asks of any slice: products by pass, and outputs of convolutions."""

    products: dict[Pass, int]
    outputs: int


def demand_of(graph: Graph, images: int) -> Demand:
    """Return the demand of a training step on a number of images."""
    lowered = lower(graph)
    convolutions = [op for op in lowered.ops if isinstance(op, ConvOp)]
    products = dict.fromkeys(Pass, 0)
    for op in convolutions:
        outputs = images * op.out_height * op.out_width * op.filters
        of_layer = outputs * op.kernel[0] * op.kernel[1] * op.channels
        products[Pass.FORWARD] += of_layer
        products[Pass.WEIGHT_GRADIENT] += of_layer
        if op.input != lowered.input:
            products[Pass.INPUT_GRADIENT] += of_layer
    outputs = sum(op.out_height * op.out_width * op.filters for op in convolutions)
    return Demand(products, images * outputs)


def bounds_of(
    program: Program, machine: Machine, demand: Demand, rates: Rates,
    table: CycleTable | None = None,
) -> Bounds:  # fmt: skip
    """Return the lower bounds of a step.

    Parameters
    ----------
    machine : the slice that the program was compiled for.
    demand : of its network.
    table : the measured cycles; those of the package unless given.
    """
    costs = (table or load_table()).passes
    cores = float(program.cores.sum())
    cycles = sum(
        count * min(entry.per_product.cycles for entry in costs[pass_])
        for pass_, count in demand.products.items()
    )
    data_memory = cores * constant("dtcm").at(Level.HIGH)
    outside = max(0.0, OUTPUT_BYTES * demand.outputs - data_memory)
    traffic = _Traffic(program, machine, rates)
    packets = traffic.sent.sum() * rates.packet_send + traffic.received.sum() * rates.packet_receive
    return Bounds(
        arithmetic=cycles * rates.kernel_cycles / (cores * rates.clock),
        sdram=2 * outside / (program.n_chips * rates.dma_chip),
        packets=float(packets) / PACKET_BYTES / (cores * rates.clock),
        injection=float(traffic.sent.max()) / (PACKET_BYTES * rates.chip_injection),
        links=traffic.over_all_links(),
        chip=traffic.into_a_chip(),
        cut=max((traffic.across(side) for side in _sides(program)), default=0.0),
    )


def _sides(program: Program) -> Iterator[NDArray[np.bool_]]:
    """Yield one side of each cut, bool [n_chips]."""
    for axis in (0, 1):
        for first in np.unique(program.chips[:, axis])[1:]:
            yield program.chips[:, axis] < first
    for board in np.unique(program.board)[1:]:
        yield program.board == board


class _Traffic:
    """What goes from chip to chip in a step, without its ways: all transfers in one list."""

    def __init__(self, program: Program, machine: Machine, rates: Rates) -> None:
        self._program, self._machine = program, machine
        exchanges = [each for phase in program.phases for each in phase.exchanges]
        n = program.n_chips
        self._source = _joined([each.source for each in exchanges])
        self._bytes = _joined([each.bytes for each in exchanges]).astype(np.float64)
        self._target = _joined([each.targets for each in exchanges])
        self._n_targets = _joined([np.diff(each.target_start) for each in exchanges])
        self._transfer = np.repeat(np.arange(len(self._source)), self._n_targets)  # of a target
        self.sent = np.bincount(self._source, self._bytes, n)
        self.received = np.bincount(self._target, self._bytes[self._transfer], n)
        works = machine.links[tuple(program.chips.T)].ravel()
        rate = np.where(program.between_boards, rates.cable_link, rates.link)
        self._rate = np.where(works, rate, 0.0).reshape(n, LINKS)  # of links from each chip
        size = (machine.width, machine.height)
        number = np.full(size, -1, np.int64)
        number[tuple(program.chips.T)] = np.arange(n)
        self._to = np.stack(
            [number[tuple(np.mod(program.chips + link.step, size).T)] for link in Link], axis=1
        )

    def over_all_links(self) -> float:
        """Return bytes times links over what all links carry."""
        if not len(self._source):
            return 0.0
        least = self._n_targets.astype(np.float64)
        np.maximum.at(least, self._transfer, self._hops(self._source[self._transfer], self._target))
        return float(self._bytes @ least) / float(self._rate.sum())

    def into_a_chip(self) -> float:
        """Return the most bytes into a chip over what its links carry inward."""
        # A link works both ways, at the same rate.
        inward = self._rate.sum(axis=1)
        return float((self.received / np.where(inward, inward, np.inf)).max())

    def across(self, side: NDArray[np.bool_]) -> float:
        """Return bytes that leave one side, or the other, over what the links between carry."""
        here = side[self._source]
        over = here[self._transfer] != side[self._target]
        crosses = np.bincount(self._transfer[over], minlength=len(here)) > 0
        out = float(self._bytes[crosses & here].sum())
        back = float(self._bytes[crosses & ~here].sum())
        between = (self._to >= 0) & (side[:, None] != side[self._to])
        each_way = float(self._rate[between].sum()) / 2
        return max(out, back) / each_way if each_way else 0.0

    def _hops(self, source: Ints, target: Ints) -> NDArray[np.float64]:
        """Return the least links between chips, dead parts aside."""
        step = (self._program.chips[target] - self._program.chips[source]).astype(np.float64)
        if not any(self._machine.wraps):
            return _open_hops(step)
        size = np.array([self._machine.width, self._machine.height])
        step %= size
        seams = [step - size * (east, north) for east in (0, 1) for north in (0, 1)]
        nearest: NDArray[np.float64] = np.min([_open_hops(each) for each in seams], axis=0)
        return nearest


def _joined(parts: Sequence[NDArray[Any]]) -> Ints:
    return np.concatenate([np.zeros(0, np.int64), *parts]).astype(np.int64)


def _open_hops(step: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `orchestrator.machine.geometry.hops` of steps, float64 [n, 2]."""
    hops: NDArray[np.float64] = step.max(axis=1).clip(0) - step.min(axis=1).clip(None, 0)
    return hops
