"""Writes docs/compiler.md from the figures in docs/compiler/figures.json.

Usage: python docs/compiler/render.py [--compile]; with --compile the figures are made anew, which
takes a minute or two of processor time.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.compiler import compile_program, step_seconds
from orchestrator.compiler.compile import SDRAM, least_seconds, make_site
from orchestrator.compiler.phase_time import phase_load, phase_time, program_slice
from orchestrator.compiler.program import Program
from orchestrator.compiler.site import MOST_CORES
from orchestrator.compiler.strategies import single_cuts
from orchestrator.config import ModelConfig
from orchestrator.machine import single_board
from orchestrator.model.zoo import build_network
from orchestrator.perf.rates import rates
from orchestrator.perf.timing import walk_program

HERE = Path(__file__).resolve().parent
PAGE = HERE.with_suffix(".md")
FIGURES = HERE / "figures.json"
NETWORK, IMAGES = "resnet50", 32


def compiled() -> dict[str, Any]:
    """Return the figures of ResNet-50 on a board: the choice, and single strategies."""
    graph = build_network(ModelConfig(name=NETWORK, image_size=224), 1000)
    values = rates()
    program = compile_program(graph, single_board(), IMAGES, values)
    walk = walk_program(program, values)
    site = make_site(graph, single_board(), IMAGES)
    singles = {name: least_seconds(site, cuts, 1, values) for name, cuts in single_cuts(site)}
    return {
        "seconds": {
            "chosen": step_seconds(program, values),
            **singles,
        },
        "utilisation": walk.roofline_s / walk.total_s,
        "packet_cores": int(program.packet_cores.max()),
        "sdram_mb": float(program.sdram_bytes.max()) / 1e6,
        "router_entries": int(program.router_entries.max()),
        "parts": parts(program),
        "traffic": traffic(program),
        "splits": splits(program),
    }


def parts(program: Program) -> dict[str, float]:
    """Return the seconds of a step by what they go to; they sum to the step."""
    slice_, values = program_slice(program), rates()
    sums: Counter[str] = Counter()
    for phase in program.phases:
        time = phase_time(phase_load(phase, program.n_chips, MOST_CORES), slice_, values)
        sums["work on the slowest core"] += time.compute
        slowest = max(time.compute, time.sdram, time.beside.total)
        sums["SDRAM or exchange longer than the work"] += slowest - time.compute
        sums["first pieces"] += time.first_piece
        sums["sums of batch norm and other exchanges before work"] += time.before.total
        sums["barriers"] += time.barrier
    return dict(sums)


def traffic(program: Program) -> dict[str, list[float]]:
    """Return MB that a chip sends and receives on average, by kind of exchange."""
    found: dict[str, list[float]] = {}
    for phase in program.phases:
        for each in phase.exchanges:
            sums = found.setdefault(str(each.kind), [0.0, 0.0])
            sums[0] += float(each.sent(program.n_chips).mean()) * 4 / 1e6
            sums[1] += float(each.received(program.n_chips).mean()) * 4 / 1e6
    return found


def splits(program: Program) -> list[list[Any]]:
    """Return for runs of layers alike: first, last, parts x groups, those of weight gradients."""
    rows: list[list[Any]] = []
    for name, weights in program.weight_splits.items():
        split = program.splits[name]
        groups = weights.split.groups
        side = "outputs" if weights.over_outputs else "inputs"
        shown = f"{weights.split.parts} x {groups}" + (f" ({side})" if groups > 1 else "")
        cut = [f"{split.parts} x {split.groups}", shown]
        if rows and rows[-1][2:] == cut:
            rows[-1][1] = name
        else:
            rows.append([name, name, *cut])
    return rows


def page() -> str:
    """Return the page."""
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    seconds = figures["seconds"]
    best = seconds["chosen"]
    strategies = "\n".join(
        f"| {name} | {least}{value:.2f} s | {value / best:.2f} |"
        for name, value in seconds.items()
        for least in ["" if name == "chosen" else "at least "]
    )
    shares = "\n".join(
        f"| {name} | {value:.2f} s | {100 * value / best:.0f} % |"
        for name, value in figures["parts"].items()
    )
    moved = "\n".join(
        f"| {name} | {sent:.1f} | {received:.1f} |"
        for name, (sent, received) in figures["traffic"].items()
    )
    cuts = "\n".join(
        f"| {first if first == last else f'{first} to {last}'} | {split} | {weights} |"
        for first, last, split, weights in figures["splits"]
    )
    text = (HERE / "template.txt").read_text(encoding="utf-8")
    return text.format(
        strategies=strategies,
        shares=shares,
        moved=moved,
        cuts=cuts,
        seconds=f"{best:.2f}",
        utilisation=f"{figures['utilisation']:.2f}",
        packet_cores=figures["packet_cores"],
        sdram=f"{figures['sdram_mb']:.0f}",
        limit=f"{SDRAM / 1e6:.0f}",
        entries=figures["router_entries"],
    )


def main() -> None:
    """Write the page, after making the figures if asked."""
    if "--compile" in sys.argv[1:]:
        text = json.dumps(compiled(), indent=1, default=np.ndarray.tolist)
        FIGURES.write_text(text + "\n", encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
