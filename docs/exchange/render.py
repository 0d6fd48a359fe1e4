"""Writes docs/exchange.md, with tables from the simulator, and docs/images/hamilton.png.

Usage: python docs/exchange/render.py
"""

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from orchestrator.collectives.plan import Planner, Wire, host_path, host_rates, link_rates
from orchestrator.collectives.plan.bands import band_grid, band_schedule
from orchestrator.collectives.plan.halving import halving_doubling
from orchestrator.collectives.plan.hamilton import hamilton_cycles
from orchestrator.collectives.plan.hierarchy import hierarchical, triad_groups
from orchestrator.collectives.plan.packing import pack_trees
from orchestrator.collectives.plan.planner import Algorithm, link_algorithms
from orchestrator.collectives.plan.rings import plain_ring, ring_schedule
from orchestrator.collectives.plan.traffic import link_bound, one, simulate
from orchestrator.machine import Faults, Link, Machine, board_graph, torus, triads
from orchestrator.machine.constants import Level

HERE = Path(__file__).resolve().parent
PAGE = HERE.with_suffix(".md")
PICTURE = HERE.parent / "images" / "hamilton.png"

OPEN, CYLINDER = (False, False), (True, False)
ONE_DEAD = Faults(boards=frozenset({(1, 1, 0)}))
DEAD_CHIP = Faults(chips=frozenset({(7, 7)}))
RESNET50 = 25_557_032


def scattered(width: int, height: int, share: float) -> Faults:
    """Return dead boards and cables, this share of all, at random places that are always alike."""
    random = np.random.default_rng(0)
    boards = random.integers(0, (width, height, 3), (round(3 * width * height * share), 3))
    cables = random.integers(0, (width, height, 3, 6), (round(9 * width * height * share), 4))
    return Faults(
        boards=frozenset((int(x), int(y), int(z)) for x, y, z in boards),
        cables=frozenset((int(x), int(y), int(z), Link(link)) for x, y, z, link in cables),
    )


MACHINES: dict[str, Callable[[], Machine]] = {
    "torus 4 x 2": lambda: torus(4, 2),
    "torus 4 x 4": lambda: torus(4, 4),
    "torus 8 x 5": lambda: torus(8, 5),
    "torus 20 x 20": lambda: torus(20, 20),
    "open 1 x 1": lambda: triads(1, 1, OPEN),
    "open 4 x 2": lambda: triads(4, 2, OPEN),
    "open 4 x 4": lambda: triads(4, 4, OPEN),
    "open 8 x 5": lambda: triads(8, 5, OPEN),
    "open 20 x 20": lambda: triads(20, 20, OPEN),
    "4 x 4, closed in x": lambda: triads(4, 4, CYLINDER),
    "torus 4 x 4, a board dead": lambda: torus(4, 4, ONE_DEAD),
    "torus 4 x 4, a chip at an edge dead": lambda: torus(4, 4, DEAD_CHIP),
    "torus 20 x 20, a board dead": lambda: torus(20, 20, ONE_DEAD),
    "torus 8 x 10, 1 % of boards and cables dead": lambda: torus(8, 10, scattered(8, 10, 0.01)),
}


@cache
def machine(name: str) -> Machine:
    """Return a machine of the tables."""
    return MACHINES[name]()


def bounds() -> Iterable[str]:
    """Yield the rows of the table of loads over the bound."""
    for name in MACHINES:
        graph = board_graph(machine(name))
        boards = np.arange(graph.n_boards)
        bound = link_bound(graph)
        cycles = hamilton_cycles(graph)
        others = (
            ring_schedule("", [plain_ring(boards)], both_ways=True),
            band_schedule(*band_grid(boards, min(3 * machine(name).n_triads[1], len(boards)))),
            hierarchical(triad_groups(machine(name).boards)),
            halving_doubling(boards),
        )
        loads = [simulate(each, graph, one).busiest_share / bound for each in others]
        rings = np.inf
        if cycles:
            schedule = ring_schedule("", cycles, both_ways=True)
            rings = simulate(schedule, graph, one).busiest_share / bound
        packing = pack_trees(graph, bound, 1 if cycles else 2 if graph.n_boards > 500 else 4)
        trees = packing.busiest_share / bound
        shared = f"{len(packing.trees)}" + (f"/{packing.sharing}" if packing.sharing > 1 else "")
        cells = [_load(load, min(rings, trees, *loads)) for load in (rings, trees, *loads)]
        cells[1] += f" ({shared})"
        yield f"| {name} | {graph.n_boards} | {bound:.3f} | {' | '.join(cells)} |"


def _load(load: float, best: float) -> str:
    """Return a load, bold where it is the best, and a dash where there is none."""
    shown = f"{load:.2f}"
    return "–" if load == np.inf else f"**{shown}**" if shown == f"{best:.2f}" else shown


@cache
def algorithms(name: str) -> tuple[Algorithm, ...]:
    """Return the algorithms of a machine, for one ghost batch a board."""
    return link_algorithms(machine(name), Wire())


def planner(name: str, level: Level = Level.TYPICAL, *, hosts: bool = False) -> Planner:
    """Return the planner of a machine, with one host for 24 boards where hosts take part."""
    n_hosts = max(1, machine(name).n_boards // 24)
    host = host_path(machine(name), n_hosts, Wire(), host_rates(level))
    return Planner(algorithms(name), link_rates(level), host if hosts else None)


PLANNED = ("torus 4 x 2", "torus 4 x 4", "torus 8 x 5", "torus 20 x 20", "open 4 x 4")
PLANNED += ("open 20 x 20", "torus 20 x 20, a board dead")
SIZES = {"1 KB": 1000, "10 KB": 10**4, "100 KB": 10**5, "1 MB": 10**6, "10 MB": 10**7}
SIZES |= {"100 MB": 10**8}


def choices() -> Iterable[str]:
    """Yield the rows of the table of the planner's choices."""
    for name in PLANNED:
        plans = planner(name)
        found = (plans.plan(n_bytes // 4) for n_bytes in SIZES.values())
        cells = (f"{plan.algorithm.name}: {ms(plan.seconds)}" for plan in found if plan.algorithm)
        yield f"| {name} | " + " | ".join(cells) + " |"


def gradients() -> Iterable[str]:
    """Yield the rows of the table of ResNet-50's gradient, over cables and with hosts."""
    for name in PLANNED:
        cells = []
        for level in Level:
            alone = planner(name, level).plan(RESNET50)
            both = planner(name, level, hosts=True).plan(RESNET50)
            share = 100 * both.host_elements / RESNET50
            cells += [ms(alone.seconds), f"{ms(both.seconds)} ({share:.1f} %)"]
        yield f"| {name} | " + " | ".join(cells) + " |"


def ms(seconds: float) -> str:
    """Return a time in milliseconds with three digits."""
    value = 1e3 * seconds
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} ms"


def page() -> str:
    """Return the page as Markdown."""
    text = (HERE / "template.txt").read_text(encoding="utf-8")
    tables = {"bounds": bounds(), "choices": choices(), "gradients": gradients()}
    for name, rows in tables.items():
        text = text.replace(f"{{{name}}}", "\n".join(rows))
    return text


COLOURS = ("#0072b2", "#d55e00", "#009e73")  # colour-blind safe


def draw() -> None:
    """Write the picture: three Hamilton cycles on the 24 boards of a torus."""
    whole = torus(4, 2)
    cycles = hamilton_cycles(board_graph(whole))
    assert cycles is not None
    figure, axes = plt.subplots(figsize=(10.5, 5.6), layout="constrained")
    place = [(x - y / 2, y * 3**0.5 / 2) for x, y in whole.ethernet.tolist()]
    for number, (cycle, colour) in enumerate(zip(cycles, COLOURS, strict=True)):
        style = ("-", "--", ":")[number]
        steps = [
            step
            for way in (cycle, cycle.reverse)
            for step in zip(way.boards, way.links, np.roll(way.boards, -1), strict=True)
        ]
        for board, link, there in steps:
            dx, dy = Link(link).board_step
            x, y = place[board]
            end = (x + dx - dy / 2, y + dy * 3**0.5 / 2)
            inside = max(abs(end[i] - place[there][i]) for i in (0, 1)) < 1e-6
            if inside and link >= 3:
                continue  # drawn from the other end
            reach = 1 if inside else 0.42  # the others go round the torus
            line = ((x, x + reach * (end[0] - x)), (y, y + reach * (end[1] - y)))
            axes.plot(*line, color=colour, linestyle=style, linewidth=3, zorder=1)
        axes.plot([], [], color=colour, linestyle=style, linewidth=3, label=f"cycle {number + 1}")
    for (x, y), coordinates in zip(place, whole.boards.tolist(), strict=True):
        axes.scatter(x, y, s=800, color="white", edgecolor="#333333", zorder=2)
        label = ",".join(map(str, coordinates))
        axes.text(x, y, label, ha="center", va="center", fontsize=9, zorder=3)
    axes.set_ylim(min(y for _, y in place) - 6, None)
    axes.legend(frameon=False, loc="lower center", ncols=3)
    axes.set_aspect("equal")
    axes.axis("off")
    axes.set_title("Three Hamilton cycles on 24 boards: short ends go round the torus", fontsize=11)
    figure.savefig(PICTURE, dpi=100, facecolor="white")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    draw()
    print(f"wrote {PAGE} and {PICTURE}")
