"""Random programs on random machines: arrays as a compiler makes them, of no network."""

from collections import deque

import numpy as np
from hypothesis import strategies as st
from strategies import machines

from orchestrator.compiler.program import (
    LINKS,
    Exchange,
    ExchangeKind,
    Gradient,
    Overlap,
    Pass,
    Phase,
    Program,
    Work,
)
from orchestrator.machine import Link, Machine, single_chip
from orchestrator.perf import cycles
from orchestrator.perf.bounds import Demand
from orchestrator.perf.cycles import load_table

TABLE = load_table()
PASSES = {Pass(name): cycles.Pass(name) for name in cycles.Pass}
TENSOR = 3000  # elements of each gradient


class Chips:
    """The chips of a machine's first part, and shortest ways between them."""

    def __init__(self, machine: Machine) -> None:
        self.places = [tuple(chip) for chip in np.argwhere(machine.parts == 0).tolist()]
        self.number = {chip: i for i, chip in enumerate(self.places)}
        self.machine = machine

    def tree(self, source: int, targets: list[int]) -> list[int]:
        """Return the directed links of a multicast tree."""
        came: dict[int, int] = {source: -1}
        queue = deque([source])
        while queue:
            at = queue.popleft()
            for link in Link:
                chip = self.machine.neighbour(*self.places[at], link)
                if chip is not None and self.number[chip] not in came:
                    came[self.number[chip]] = LINKS * at + link
                    queue.append(self.number[chip])
        links: dict[int, None] = {}
        for target in targets:
            while came[target] >= 0 and came[target] not in links:
                links[came[target]] = None
                target = came[target] // LINKS
        return list(links)


def make_exchange(chips, transfers, overlap=Overlap.BEHIND, pieces=1, rounds=1):
    """Return an exchange of (source, targets, bytes, level)."""
    trees = [chips.tree(source, targets) for source, targets, *_ in transfers]
    n = len(transfers)
    return Exchange(
        kind=ExchangeKind.GATHER,
        tensor="t",
        overlap=overlap,
        pieces=pieces,
        rounds=rounds,
        hops=max(map(len, trees), default=0),
        source=np.array([t[0] for t in transfers], np.int32),
        bytes=np.array([t[2] for t in transfers], np.int64),
        level=np.array([t[3] for t in transfers], np.int32),
        rows=np.zeros((n, 2), np.int32),
        channels=np.zeros((n, 2), np.int32),
        target_start=np.cumsum([0, *(len(t[1]) for t in transfers)]).astype(np.int64),
        targets=np.array([target for t in transfers for target in t[1]], np.int32),
        route_start=np.cumsum([0, *map(len, trees)]).astype(np.int64),
        routes=np.array([link for tree in trees for link in tree], np.int32),
    )


def make_work(shares, pass_=Pass.FORWARD, entry=0):
    """Return products of (chip, core, MACs) at the cost of a measured layer, or a kernel."""
    amount = np.array([share[2] for share in shares], np.int64)
    n = len(shares)
    if pass_ in PASSES:
        layers = TABLE.passes[PASSES[pass_]]
        layer = layers[entry % len(layers)]
        cost, unit, kernel = layer.per_product, "MAC", f"{PASSES[pass_]} {layer.layer}"
    else:
        kernel = cycles.Element.UPDATE
        cost, unit = TABLE.element(kernel), "element"
    return Work(
        node="n",
        kernel=kernel,
        unit=unit,
        flat=False,
        chip=np.array([share[0] for share in shares], np.int32),
        core=np.array([share[1] for share in shares], np.int32),
        rows=np.zeros((n, 2), np.int32),
        channels=np.zeros((n, 2), np.int32),
        inputs=np.zeros((n, 2), np.int32),
        amount=amount,
        cycles=amount * cost.cycles,
        dma_bytes=amount * cost.dma_bytes,
        dma_transfers=amount * cost.dma_transfers,
        waited_bytes=amount * cost.waited_bytes,
    )


def make_program(chips, phases, packet_cores=2, images=32):
    """Return a program of phases [(pass, works, exchanges)]."""
    machine = chips.machine
    n = len(chips.places)
    places = np.array(chips.places, np.int64)
    board = machine.board_at[tuple(places.T)].astype(np.int64)
    crossing = []
    for place in chips.places:
        for link in Link:
            there = machine.neighbour(*place, link)
            crossing.append(
                there is not None and machine.board_at[there] != machine.board_at[place]
            )
    cores = machine.cores[tuple(places.T)].astype(np.int64) - 1
    computed = [i for i, phase in enumerate(phases) if phase[0] is not Pass.UPDATE]
    return Program(
        strategy="random",
        images=images,
        chips=places,
        board=board,
        between_boards=np.array(crossing, np.bool_),
        diameter=machine.width + machine.height if n > 1 else 0,
        cores=np.maximum(cores, 1),
        packet_cores=np.full(n, packet_cores, np.int64),
        splits={},
        weight_splits={},
        phases=tuple(
            Phase(name=f"p{i}", node=f"n{i // 2}", step_pass=p, work=tuple(w), exchanges=tuple(e))
            for i, (p, w, e) in enumerate(phases)
        ),
        gradients=tuple(Gradient(name=f"g{i}", elements=TENSOR, phase=i) for i in computed),
        regions=(),
        dtcm_bytes=0,
        router_entries=np.zeros(n, np.int64),
        input_bytes=np.zeros(machine.n_boards, np.int64),
        macs=sum(int(w.amount.sum()) for p, ws, _ in phases if p is not Pass.UPDATE for w in ws),
    )


@st.composite
def programs(draw):
    """Return (program, machine, what its products ask for)."""
    machine = draw(machines(longest=2, most_faults=3))
    if draw(st.booleans()):
        machine = single_chip(machine, *np.argwhere(machine.cores > 1)[0].tolist())
    chips = Chips(machine)
    n = len(chips.places)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    packet_cores = draw(st.integers(1, 4))
    order = draw(st.lists(st.sampled_from(list(PASSES)), min_size=1, max_size=4))
    phases = []
    for pass_ in [*order, Pass.UPDATE]:
        works = []
        for _ in range(draw(st.integers(0, 2))):
            shares = []
            for chip in rng.integers(n, size=draw(st.integers(1, 40))).tolist():
                cores = max(1, int(machine.cores[chips.places[chip]]) - 1 - packet_cores)
                shares.append((chip, int(rng.integers(cores)), int(rng.integers(1, 10**7))))
            works.append(make_work(shares, pass_, int(rng.integers(100))))
        exchanges = []
        for overlap in draw(st.lists(st.sampled_from(list(Overlap)), max_size=3)) if n > 1 else ():
            rounds = draw(st.integers(1, 3))
            transfers = []
            for _ in range(draw(st.integers(1, 6))):
                source, *targets = rng.permutation(n)[: 1 + int(rng.integers(1, 5))].tolist()
                size = int(rng.integers(1, 10**6))
                transfers.append((source, targets, size, int(rng.integers(rounds))))
            pieces = draw(st.integers(1, 8)) if overlap is Overlap.STREAMED else 1
            exchanges.append(make_exchange(chips, transfers, overlap, pieces, rounds))
        phases.append((pass_, works, exchanges))
    products = dict.fromkeys(cycles.Pass, 0)
    for pass_, works, _ in phases:
        if pass_ in PASSES:
            products[PASSES[pass_]] += sum(int(work.amount.sum()) for work in works)
    return make_program(chips, phases, packet_cores), machine, Demand(products, 0)
