"""Compiles a network for a slice of a machine: searches, lays out, compares, refuses.

The search's proposal is laid out and timed. Single strategies are laid out too, unless their
products alone, dealt to cores, take longer than the proposal: so the result is never slower.
"""

import numpy as np

from orchestrator.compiler.assemble import assemble
from orchestrator.compiler.choices import Prices
from orchestrator.compiler.data_memory import check_data_memory
from orchestrator.compiler.layers import Map, Network, network
from orchestrator.compiler.memory import SYSTEM
from orchestrator.compiler.phase_time import phase_load, phase_time, program_slice, work_load
from orchestrator.compiler.program import Program
from orchestrator.compiler.search import GROUPS, MOST_GROUPS, Found, candidates, choose, cut_by
from orchestrator.compiler.shares import Shares
from orchestrator.compiler.site import MOST_CORES, Site
from orchestrator.compiler.strategies import Cuts, single_cuts
from orchestrator.errors import ArgumentError
from orchestrator.machine.constants import constant
from orchestrator.machine.machine import Machine
from orchestrator.model.graph import Graph
from orchestrator.perf.cycles import CycleTable, load_table
from orchestrator.perf.rates import Rates, compute_seconds

SDRAM = int(constant("sdram").typical)
ROUTER_ENTRIES = 1023
"""Multicast entries of a router (1,024) less the one that the system keeps."""
LINK_PRICE = 0.3
"""Seconds that a second of the busiest link is held to cost where it does not bound a step: what
it takes for exchanges to fit the gaps of other work. Found by laying out programs."""
FIRST_PACKET_CORES = 2
MOST_PACKET_CORES = 8
BUSY = 0.75
"""Share of a step that packet-handling cores may be busy in an estimate; more leaves no gaps."""
RESERVE = 12_000_000
"""Bytes of a chip kept for what is in use only in some phases, at first."""
ATTEMPTS = 4
BOARD = 48


def compile_for(
    graph: Graph, machine: Machine, images: int, rates: Rates, table: CycleTable | None = None
) -> Program:
    """Return the fastest program found for a ghost batch on a slice.

    Raises
    ------
    ArgumentError
        The network does not fit the slice's memory, or dead links cut the slice in parts.
    MissingToolError
        There is no calibrated cycle table.
    """
    site = make_site(graph, machine, images, table)
    best = _searched(site, rates)
    seconds = step_seconds(best, rates)
    for name, cuts in single_cuts(site):
        for packets in _single_packet_cores(site):
            if least_seconds(site, cuts, packets, rates) >= seconds:
                continue
            single = assemble(site, *cuts, packets, rates, name)
            if _excess(single) <= 0 and step_seconds(single, rates) < seconds:
                best, seconds = single, step_seconds(single, rates)
    return best


def single_strategies(
    graph: Graph, machine: Machine, images: int, rates: Rates, table: CycleTable | None = None
) -> dict[str, Program]:
    """Return the programs of the single strategies, whether or not they fit the memory.

    Raises
    ------
    ArgumentError
        Dead links cut the slice in parts.
    MissingToolError
        There is no calibrated cycle table.
    """
    site = make_site(graph, machine, images, table)
    return {
        name: min(
            (assemble(site, *cuts, packets, rates, name) for packets in _single_packet_cores(site)),
            key=lambda program: step_seconds(program, rates),
        )
        for name, cuts in single_cuts(site)
    }


def _single_packet_cores(site: Site) -> tuple[int, ...]:
    return tuple(range(1, FIRST_PACKET_CORES + 1)) if site.mesh.n > 1 else (0,)


def make_site(graph: Graph, machine: Machine, images: int, table: CycleTable | None = None) -> Site:
    """Return what the compiler works on.

    Raises
    ------
    ArgumentError
        No image, or dead links cut the machine in parts.
    MissingToolError
        There is no calibrated cycle table.
    """
    if images < 1:
        raise ArgumentError(f"a ghost batch of {images} images: at least 1 is needed")
    return Site.of(network(graph), images, machine, load_table() if table is None else table)


def step_seconds(program: Program, rates: Rates) -> float:
    """Return how long a program's step takes: the sum of its phases."""
    slice_ = program_slice(program)
    return sum(
        phase_time(phase_load(phase, program.n_chips, MOST_CORES), slice_, rates).total
        for phase in program.phases
    )


def _searched(site: Site, rates: Rates) -> Program:
    """Return the program of the search's choices, in a memory that it fits."""
    check_data_memory(site.network)
    reserve = RESERVE
    excess = least_bytes(site.network, site.images, site.mesh.n) - SDRAM
    for _ in range(ATTEMPTS if excess <= 0 else 0):
        proposals = _proposals(site, rates, SDRAM - SYSTEM - reserve)
        if not proposals:
            break
        programs = [
            assemble(site, *cut_by(site.network, prices, found.choices), prices.packet_cores,
                     rates, "chosen")
            for found, prices in proposals
        ]  # fmt: skip
        fitting = [program for program in programs if _excess(program) <= 0]
        if fitting:
            best = min(fitting, key=lambda program: step_seconds(program, rates))
            _check_routers(best)
            return best
        excess = min(map(_excess, programs))
        reserve += excess + RESERVE // 4
    raise ArgumentError(_too_large(site, max(excess, 1)))


def _proposals(site: Site, rates: Rates, memory: float) -> list[tuple[Found, Prices]]:
    """Return the search's choices for the numbers of packet-handling cores that may suit them.

    More are taken while these would be busy most of the step; one fewer is tried too where these
    could still handle all.
    """
    if site.mesh.n == 1:
        return [one for one in [_chosen(site, rates, memory, 0)] if one is not None]
    wanted = FIRST_PACKET_CORES
    while True:
        one = _chosen(site, rates, memory, wanted)
        if one is None:
            return []
        found = one[0]
        needed = max(1, int(np.ceil(wanted * found.handling / found.seconds / BUSY)))
        if needed <= wanted or wanted >= MOST_PACKET_CORES:
            break
        wanted = min(MOST_PACKET_CORES, needed)
    proposals = [one]
    if wanted > 1 and found.handling * wanted / (wanted - 1) < found.seconds:
        fewer = _chosen(site, rates, memory, wanted - 1)
        proposals += [] if fewer is None else [fewer]
    return proposals


def _chosen(site: Site, rates: Rates, memory: float, packets: int) -> tuple[Found, Prices] | None:
    """Return the search's choices for so many packet-handling cores a chip."""
    shares = Shares(site.table, site.images, site.cores - site.packet_cores(packets))
    prices = Prices(site, shares, packets, rates)
    n = site.mesh.n
    large = least_bytes(site.network, site.images, n, GROUPS[-1]) > memory
    found = choose(site.network, prices, candidates(n, large), memory, LINK_PRICE)
    return None if found is None else (found, prices)


def least_seconds(site: Site, cuts: Cuts, packets: int, rates: Rates) -> float:
    """Return what the products alone take, dealt to cores as a program would."""
    shares = Shares(site.table, site.images, site.cores - site.packet_cores(packets))
    splits, weight_splits = cuts
    seconds = 0.0
    for op in site.network.convolutions:
        split, weight_split = splits[op.name], weight_splits[op.name]
        error, _ = site.cutter.gradient_needs(weight_split, op)
        partial = site.cutter.partial_weights(weight_split, op)
        work = [
            shares.forward(op, site.cutter.result(split, op.y)),
            shares.weight_gradient(op, error, partial),
        ]
        if not op.first:
            work.append(shares.input_gradient(op, site.cutter.result(split, op.x)))
        for each in work:
            load = work_load([each], site.mesh.n, MOST_CORES)
            slowest = compute_seconds(load.cycles, 0 * load.cycles, load.cores, rates)
            seconds += float(slowest.max())
    return seconds


def least_bytes(net: Network, images: int, n_chips: int, most_groups: int = MOST_GROUPS) -> int:
    """Return the bytes of a chip's SDRAM that a step needs at least, on so many chips.

    Masters, momentum, summed gradients and new weights dealt to all chips; 16-bit activations,
    sums and errors kept; one layer at a time its weights and partial sums, in the most groups.
    """
    weights = sum(op.weights for op in net.convolutions)
    kept = sum(_padded(op.y) * (2 if op.statistics else 1) for op in net.convolutions)
    largest = max(op.weights for op in net.convolutions)
    groups = min(most_groups, n_chips)
    return int((14 * weights + 2 * images * kept) / n_chips + 10 * largest / groups)


def _padded(of: Map) -> int:
    return of.height * of.width * -(-of.channels // 32) * 32


def _excess(program: Program) -> int:
    return int(program.sdram_bytes.max()) - SDRAM


def _too_large(site: Site, excess: int) -> str:
    sizes = [1, 4, *(BOARD * boards for boards in range(1, 1201))]
    fits = (n for n in sizes if least_bytes(site.network, site.images, n) + RESERVE <= SDRAM)
    smallest = next((n for n in fits if n > site.mesh.n), None)
    if smallest is None:
        where = "no slice of up to 1,200 boards is large enough: take a smaller ghost batch"
    elif smallest < BOARD:
        where = f"the smallest slice that would is one of {smallest} chips"
    else:
        boards = smallest // BOARD
        where = f"the smallest slice that would is one of {boards} board{'s' * (boards > 1)}"
    return (
        f"a ghost batch of {site.images} images does not fit {site.mesh.n} "
        f"chip{'s' * (site.mesh.n > 1)}: a chip lacks {excess / 1e6:.1f} MB of {SDRAM / 1e6:.0f} "
        f"MB; {where}"
    )


def _check_routers(program: Program) -> None:
    most = int(program.router_entries.max())
    if most > ROUTER_ENTRIES:
        x, y = program.chips[int(program.router_entries.argmax())]
        raise ArgumentError(
            f"the router of chip ({x}, {y}) needs {most} multicast entries and has "
            f"{ROUTER_ENTRIES}: take a smaller slice"
        )
