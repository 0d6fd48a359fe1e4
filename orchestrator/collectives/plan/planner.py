"""Which algorithm sums a bucket fastest over a machine's boards, and over which path.

Every algorithm that a machine allows is counted once on its cables (`traffic`); after that, the
time for any size of buffer is a sum of a few terms, and the planner takes the least. So it is never
slower, in the model, than the best single algorithm, and a split between cables and hosts is taken
only where it gains.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from orchestrator.collectives.plan.bands import band_grid, band_schedule
from orchestrator.collectives.plan.halving import halving_doubling
from orchestrator.collectives.plan.hamilton import hamilton_cycles
from orchestrator.collectives.plan.hierarchy import hierarchical, triad_groups
from orchestrator.collectives.plan.host import HostPath
from orchestrator.collectives.plan.packing import (
    MOST_COPIES,
    Packing,
    pack_trees,
    shallow_tree,
)
from orchestrator.collectives.plan.rings import plain_ring, ring_schedule
from orchestrator.collectives.plan.schedule import Schedule
from orchestrator.collectives.plan.traffic import (
    LinkRates,
    Traffic,
    Width,
    link_bound,
    simulate,
)
from orchestrator.collectives.plan.trees import tree_schedule, tree_traffics
from orchestrator.collectives.plan.wire import GROUP, Wire
from orchestrator.errors import ArgumentError
from orchestrator.machine.boards import BoardGraph, board_graph
from orchestrator.machine.machine import Machine

SEGMENTS = tuple(1 << i for i in range(13))
"""Numbers of segments that trees are tried with."""

LARGEST_PACKING = 1000
"""Boards times copies of each cable, up to which trees as finer fractions than 1/2 are tried: the
search takes about a second there."""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One way to sum over a machine's cables.

    Attributes
    ----------
    name : the algorithm, and its number of segments where it has several.
    traffic : what it needs.
    schedule : returns its rounds.
    """

    name: str
    traffic: Traffic
    schedule: Callable[[], Schedule]


def link_algorithms(machine: Machine, wire: Wire) -> tuple[Algorithm, ...]:
    """Return every way to sum over the boards of a machine; none for a single board.

    Raises
    ------
    ArgumentError
        Dead cables cut the machine in two, or the sum would not be exact in int32.
    """
    if machine.n_boards == 1:
        return ()
    graph = board_graph(machine)
    if not graph.is_connected:
        raise ArgumentError(
            f"the {machine.n_boards} boards are not all connected by cables: sum over the hosts, "
            "or take a sub-machine of one part"
        )
    width = wire.element_bytes
    boards = np.arange(machine.n_boards)
    grid, rest = band_grid(boards, min(3 * machine.n_triads[1], len(boards)))
    plain = [
        ring_schedule("ring", [plain_ring(boards)], both_ways=len(boards) > 2),
        halving_doubling(boards),
        band_schedule(grid, rest),
        hierarchical(triad_groups(machine.boards)),
    ]
    cycles = hamilton_cycles(graph)
    if cycles:
        plain.append(ring_schedule("Hamilton cycles", cycles, both_ways=True))
    algorithms = [Algorithm(s.name, simulate(s, graph, width), _itself(s)) for s in plain]
    algorithms += _pipelines("tree", shallow_tree(graph), graph, width)
    # Beside Hamilton cycles, trees are for the buffers that need fewer rounds.
    copies = 1 if cycles else min(MOST_COPIES, max(2, LARGEST_PACKING // graph.n_boards))
    algorithms += _pipelines("trees", pack_trees(graph, link_bound(graph), copies), graph, width)
    return tuple(algorithms)


def _itself(schedule: Schedule) -> Callable[[], Schedule]:
    return lambda: schedule


def _pipelines(name: str, packing: Packing, graph: BoardGraph, width: Width) -> list[Algorithm]:
    """Return the sums over trees, for every number of segments."""
    traffics = tree_traffics(packing, graph, width, SEGMENTS)
    return [
        Algorithm(f"{name}, {n}", traffic, partial(tree_schedule, name, packing, n))
        for n, traffic in zip(SEGMENTS, traffics, strict=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketPlan:
    """How a bucket is summed.

    Attributes
    ----------
    algorithm : over the cables; None where nothing goes over them.
    link_elements, host_elements : how the bucket is split.
    seconds : until both are done.
    """

    algorithm: Algorithm | None
    link_elements: int
    host_elements: int
    seconds: float


class Planner:
    """Plans sums over the boards of one machine, which each hold a buffer of equal length.

    Parameters
    ----------
    algorithms : of the machine, from `link_algorithms`; they do not depend on rates.
    rates : of the cables.
    host : the way over hosts, where there is one.
    """

    def __init__(
        self,
        algorithms: tuple[Algorithm, ...],
        rates: LinkRates,
        host: HostPath | None = None,
    ) -> None:
        self.algorithms = algorithms
        self._rates = rates
        self._host = host

    def fastest(self, n_elements: int) -> tuple[Algorithm | None, float]:
        """Return the fastest algorithm over the cables, and its seconds; the first of equals."""
        if not self.algorithms or not n_elements:
            return None, 0.0
        times = [each.traffic.seconds(n_elements, self._rates) for each in self.algorithms]
        best = int(np.argmin(times))
        return self.algorithms[best], times[best]

    def plan(self, n_elements: int) -> BucketPlan:
        """Return how to sum a bucket of n_elements.

        Both paths take longer for more elements, so the best split is where they take equally
        long: bisection finds it to a group of elements.
        """
        host_elements = self._split(n_elements) if self._host else 0
        return self._with(n_elements, host_elements)

    def _split(self, n_elements: int) -> int:
        """Return the elements to send over the hosts."""
        assert self._host is not None
        low, high = 0, -(-n_elements // GROUP)  # the hosts are done first at low, not at high
        while high - low > 1:
            middle = (low + high) // 2
            host_first = self._host.seconds(GROUP * middle) < self._links(
                n_elements - GROUP * middle
            )
            low, high = (middle, high) if host_first else (low, middle)
        choices = (0, GROUP * low, min(GROUP * high, n_elements), n_elements)
        return min(choices, key=lambda elements: self._with(n_elements, elements).seconds)

    def _links(self, n_elements: int) -> float:
        return self.fastest(n_elements)[1]

    def _with(self, n_elements: int, host_elements: int) -> BucketPlan:
        algorithm, seconds = self.fastest(n_elements - host_elements)
        if self._host:
            seconds = max(seconds, self._host.seconds(host_elements))
        return BucketPlan(
            algorithm=algorithm,
            link_elements=n_elements - host_elements,
            host_elements=host_elements,
            seconds=seconds,
        )
