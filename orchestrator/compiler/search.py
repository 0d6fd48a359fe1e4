"""Chooses the splits of a network as a linear program over integers, solved to optimality.

Every convolution has one of a few choices. What a choice costs by itself, and what neighbours cost
together, is priced by `choices`. The step's time is that of the forward pass plus that of the
backward pass; each is at least the sum of its phases, what the links carry, and what the
packet-handling cores handle: whatever can travel behind some work counts only in the latter two.
A chip's memory bounds the choices together. HiGHS (scipy) solves it; the same input gives the same
result.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from orchestrator.compiler.choices import UNEVEN, Choice, Load, Prices
from orchestrator.compiler.layers import Apply, Conv, Network, Operation
from orchestrator.compiler.program import Floats, Split, WeightSplit

GROUPS = (1, 2, 3, 4, 6, 8, 12, 16)
"""Groups of channels that are weighed; more leave cores without a chunk of 32 on most layers."""
MOST_GROUPS = 48
"""Weighed too where dense layers' weights fit no chip otherwise."""
LEAST_USED = 0.85
"""Share of the chips that a split must use to be weighed."""
WEIGHT_GROUPS = (2, 4)
"""Groups that are weighed for weight gradients alone, where a convolution has one group."""
MOMENTARY = 0.35
"""Share of a chip's memory that a layer may need only while it is computed."""
GAP = 1e-3
"""Distance from the optimum, relative, at which the solver may stop."""

Half = Literal[0, 1]
"""Forward or backward pass."""


def decider(network: Network, op: Operation) -> Conv:
    """Return the convolution whose split an operation takes."""
    while not isinstance(op, Conv):
        op = network[op.main if isinstance(op, Apply) else op.source]
    return op


def candidates(n_chips: int, large: bool = False) -> list[Choice]:
    """Return the choices that are weighed on so many chips, for a network that is large or not."""
    weighed = (*GROUPS, MOST_GROUPS) if large else GROUPS
    groups = [g for g in weighed if n_chips // g * g >= LEAST_USED * n_chips]
    apart = [
        Choice(1, g, over_outputs)
        for g in WEIGHT_GROUPS
        if g in groups
        for over_outputs in (False, True)
    ]
    return [Choice(g, g, False) for g in groups] + apart


def cut_by(
    network: Network, prices: Prices, chosen: dict[str, Choice]
) -> tuple[dict[str, Split], dict[str, WeightSplit]]:
    """Return the splits that choices for the convolutions mean for all operations."""
    splits = {
        op.name: prices.split(chosen[decider(network, op).name].groups) for op in network.operations
    }
    return splits, {name: prices.weight_split(choice) for name, choice in chosen.items()}


def choose(
    network: Network, prices: Prices, choices: list[Choice], memory: float, price: float
) -> "Found | None":
    """Return the best choice for every convolution, None where none fits the memory.

    Parameters
    ----------
    memory : bytes that a chip has for what choices ask of it.
    price : seconds that a second of the busiest link costs beside what it takes, because exchanges
        never fit behind the work without gaps.
    """
    problem = _Problem(network, prices, choices, memory, price)
    result = milp(
        problem.objective,
        integrality=problem.integrality,
        bounds=Bounds(0, problem.upper),
        constraints=problem.constraints(),
        options={"mip_rel_gap": GAP},
    )
    if result.x is None:
        return None
    k = len(choices)
    taken = np.asarray(result.x)[: k * len(problem.convolutions)].reshape(-1, k).argmax(axis=1)
    chosen = {
        op.name: choices[int(index)] for op, index in zip(problem.convolutions, taken, strict=True)
    }
    return Found(chosen, *problem.totals(np.asarray(result.x)))


@dataclass(frozen=True)
class Found:
    """What the search chose, and its estimates.

    Attributes
    ----------
    choices : by convolution.
    seconds : of the step.
    handling : seconds that the packet-handling cores are busy.
    """

    choices: dict[str, Choice]
    seconds: float
    handling: float


@dataclass
class _Rows:
    """Rows of a sparse matrix with their bounds."""

    entries: list[tuple[int, int, float]] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)

    def add(self, terms: dict[int, float], low: float, high: float) -> None:
        self.entries += [(len(self.low), column, value) for column, value in terms.items()]
        self.low.append(low)
        self.high.append(high)


class _Problem:
    """Variables: choices, one by one; pairs of groups for every edge; two times."""

    def __init__(
        self, network: Network, prices: Prices, choices: list[Choice], memory: float, price: float
    ) -> None:
        self.convolutions = network.convolutions
        self._choices, self._prices = choices, prices
        self._groups = sorted({choice.groups for choice in choices})
        self._index = {op.name: i for i, op in enumerate(self.convolutions)}
        edges = list(_edges(network))
        k, g = len(choices), len(self._groups)
        first_pair = k * len(self.convolutions)
        self._time = first_pair + g * g * len(edges)
        self._size = self._time + 2
        self.integrality = np.zeros(self._size)
        self.integrality[:first_pair] = 1
        self.upper = np.where(self.integrality > 0, 1.0, np.inf)
        self.objective = np.zeros(self._size)
        self.objective[self._time :] = 1
        self._rows = _Rows()
        # Terms of each pass: phases in turn, links, handling.
        self._sums: list[list[dict[int, float]]] = [[{}, {}, {}] for _ in range(2)]
        room: dict[int, float] = {}
        for i, op in enumerate(self.convolutions):
            columns = range(i * k, i * k + k)
            self._rows.add(dict.fromkeys(columns, 1.0), 1, 1)
            momentary = [prices.momentary(op, choice) for choice in choices]
            most = max(MOMENTARY * memory, min(momentary))
            for column, choice, needed in zip(columns, choices, momentary, strict=True):
                self._price(op, choice, column)
                room[column] = prices.memory(op, choice) / 1e6
                self.objective[column] += 1e-15 * needed  # decides between equals
                if needed > most:
                    self.upper[column] = 0
        self._rows.add(room, 0, memory / 1e6)
        for j, edge in enumerate(edges):
            self._couple(edge, first_pair + j * g * g)
        for half, (phases, links, handling) in enumerate(self._sums):
            for column, seconds in links.items():
                self.objective[column] += price * UNEVEN * seconds
            uneven = {column: UNEVEN * seconds for column, seconds in links.items()}
            for terms in (phases, uneven, handling):
                self._rows.add({**terms, self._time + half: -1.0}, -np.inf, 0)

    def constraints(self) -> LinearConstraint:
        """Return all rows."""
        row, column, value = zip(*self._rows.entries, strict=True)
        matrix = csr_array((value, (row, column)), shape=(len(self._rows.low), self._size))
        return LinearConstraint(matrix, self._rows.low, self._rows.high)

    def totals(self, x: Floats) -> tuple[float, float]:
        """Return the time of a solution, and how long packet-handling cores are busy."""
        busy = sum(
            seconds * float(x[column])
            for _, _, handling in self._sums
            for column, seconds in handling.items()
        )
        return float(x[self._time :].sum()), busy

    def _price(self, op: Conv, choice: Choice, column: int) -> None:
        prices = self._prices
        before, during = prices.broadcast(op, choice)
        self._add(0, column, prices.forward(op, choice.groups), before)
        self._add(1, column, 0.0, during)
        work = prices.backward(op, choice.groups) + prices.weight_gradient(op, choice)
        error = Load() if op.first else prices.error(op, choice.groups)
        operands = prices.operands(op, choice, choice.groups)
        exposed = max(0.0, error.alone + operands.alone - work)
        self._add(1, column, work + exposed, error)
        self._add(1, column, 0.0, operands)
        self._add(1, column, 0.0, prices.reduction(op, choice))

    def _couple(self, edge: "_Edge", first: int) -> None:
        """Price the pairs of groups at both ends of an edge, and tie them to the choices."""
        n, k = len(self._groups), len(self._choices)
        for a, held in enumerate(self._groups):
            for b, groups in enumerate(self._groups):
                column = first + a * n + b
                for half, seconds, load in edge.costs(self._prices, held, groups):
                    self._add(half, column, seconds, load)
        for end, name in enumerate((edge.source, edge.target)):
            for a, groups in enumerate(self._groups):
                pairs = (
                    range(first + a * n, first + a * n + n)
                    if end == 0
                    else range(first + a, first + n * n, n)
                )
                terms = dict.fromkeys(pairs, 1.0)
                for c, choice in enumerate(self._choices):
                    if choice.groups == groups:
                        terms[self._index[name] * k + c] = -1.0
                self._rows.add(terms, 0, 0)

    def _add(self, half: Half, column: int, seconds: float, load: Load) -> None:
        for terms, value in zip(
            self._sums[half], (seconds, load.links, load.handling), strict=True
        ):
            if value:
                terms[column] = terms.get(column, 0.0) + value


@dataclass(frozen=True)
class _Edge:
    """Two convolutions whose splits cost something together.

    Attributes
    ----------
    source, target : their names; the target takes what the source made.
    consumer : the convolution that takes an activation, for its input; otherwise `of` is brought
        from the source's split to the target's in the passes `halves`.
    """

    source: str
    target: str
    consumer: Conv | None
    of: Apply | None
    halves: tuple[Half, ...]

    def costs(self, prices: Prices, held: int, groups: int) -> Iterator[tuple[Half, float, Load]]:
        """Yield (pass, seconds in turn, load)."""
        if self.consumer is not None:
            op = self.consumer
            load = prices.input(op, held, groups)
            hidden = prices.forward(op, groups)
            waits = load.alone / prices.pieces(op.y, groups) + max(0.0, load.alone - hidden)
            yield 0, waits, load
            back = prices.change(op.x, groups, held)
            yield 1, back.alone, back
        if self.of is not None:
            for half in self.halves:
                load = prices.change(self.of.y, held, groups)
                yield half, load.alone, load


def _edges(network: Network) -> Iterator[_Edge]:
    """Yield the edges between different convolutions."""
    for op in network.convolutions:
        if not op.first:
            maker = decider(network, network[op.source])
            yield _Edge(maker.name, op.name, op, None, ())
    for each in network.operations:
        if not isinstance(each, Apply) or each.shortcut is None:
            continue
        main = decider(network, each)
        maker = decider(network, network[each.shortcut])
        yield _Edge(maker.name, main.name, None, each, (0, 1) if each.projection else (0,))
        for op in network.convolutions:  # the shortcut's error is added to theirs
            if not each.projection and op.source == each.shortcut:
                yield _Edge(main.name, op.name, None, each, (1,))
