"""The tables of a plan, as rows of text."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from orchestrator.compiler.program import Program
from orchestrator.machine.constants import Level
from orchestrator.perf.step import COMPUTED
from orchestrator.perf.timing import Component
from orchestrator.studies.plan_report import PlanReport, count, sdram_json


def summary_facts(report: PlanReport) -> dict[str, str]:
    """Return the main figures in words."""
    program, step, walk = report.program, report.step, report.walk
    low, high = report.steps[Level.LOW], report.steps[Level.HIGH]
    name, bound = report.bounds.largest
    spent = walk.core_seconds
    whole = sum(spent.values()) or 1.0
    full = sdram_json(program)
    return {
        "slice": f"{count(report.machine.n_boards, 'board')}, "
        f"{count(program.n_chips, 'chip')}, {count(int(program.cores.sum()), 'core')}, of which "
        f"{int(program.packet_cores.sum()):,} move packets",
        "step": f"{step.total_s:.4g} s ({high.total_s:.4g} to {low.total_s:.4g} s with all "
        "constants good, bad)",
        "images/s": f"{step.images / step.total_s:.4g} "
        f"({low.images / low.total_s:.4g} to {high.images / high.total_s:.4g})",
        "forward, backward, update": f"{step.forward_s:.4g} s, {step.backward_s:.4g} s, "
        f"{step.update_s:.4g} s",
        "of the products' roofline": f"{100 * step.utilisation:.1f} % "
        f"({step.roofline_s:.4g} s on all cores)",
        "all cores spend": ", ".join(
            f"{100 * s / whole:.1f} % {what}" for what, s in spent.items()
        ),
        "a step is spent on": shares(step.components, step.total_s),
        "largest closed-form bound": f"{name}: {bound:.4g} s ({100 * bound / step.total_s:.1f} %)",
        "energy": f"{step.energy.total_j:.4g} J a step, "
        f"{step.energy.total_j / step.images:.4g} J an image, "
        f"{step.energy.total_j / step.total_s:.4g} W",
        "SDRAM": f"{full['bytes'] / 1e6:.1f} of {full['available_bytes'] / 1e6:.1f} MB on the "
        f"fullest chip ({full['chip'][0]}, {full['chip'][1]}), "
        f"{full['mean_bytes'] / 1e6:.1f} MB on average",
        "data memory, routes": f"{program.dtcm_bytes:,} B a core, "
        f"{int(program.router_entries.max())} entries a router",
    }


def shares(components: Mapping[str, float], whole: float) -> str:
    """Return the components of at least a thousandth, the largest first."""
    parts = sorted(components.items(), key=lambda item: -item[1])
    return ", ".join(f"{100 * s / whole:.1f} % {name}" for name, s in parts if s >= whole / 1000)


LAYER_COLUMNS = ("operation", "cut", "dW cut", "forward", "backward", "held by")


def layer_rows(report: PlanReport) -> list[tuple[str, ...]]:
    """Return a row for each operation: how it is cut, ms forward and backward, what holds it."""
    rows: list[tuple[str, ...]] = []
    for node, passes in report.walk.by_node.items():
        halves = [
            sum(sum(passes.get(each, {}).values()) for each in half)
            for half in (COMPUTED[:1], COMPUTED[1:])
        ]
        if not any(halves):
            continue  # the update, which the summary has
        sums = {
            component: sum(parts[component] for parts in passes.values()) for component in Component
        }
        rows.append(
            (
                node,
                cut(report.program, node),
                weight_cut(report.program, node),
                *(f"{1000 * seconds:.2f}" if seconds else "-" for seconds in halves),
                max(Component, key=lambda component: sums[component]),
            )
        )
    return rows


def cut(program: Program, node: str) -> str:
    """Return how an operation is cut over chips: ``12i 4k``, ``48r 1k``.

    i: parts of whole images; r: parts of rows of images; k: groups of output channels.
    """
    split = program.splits.get(node)
    if split is None:
        return "-"
    return f"{split.parts}{'i' if split.whole_images else 'r'} {split.groups}k"


def weight_cut(program: Program, node: str) -> str:
    """Return how a weight gradient is cut: ``8r 6k``, groups of outputs, or ``8r 6c``, inputs.

    i: parts of whole images; r: parts of rows of images.
    """
    cut = program.weight_splits.get(node)
    if cut is None:
        return "-"
    rows = f"{cut.split.parts}{'i' if cut.split.whole_images else 'r'}"
    return f"{rows} {cut.split.groups}{'k' if cut.over_outputs else 'c'}"


SDRAM_COLUMNS = ("SDRAM of the fullest chip", "buffers", "MB at most together")


def sdram_rows(report: PlanReport) -> list[tuple[str, ...]]:
    """Return a row for each purpose: buffers, and the most bytes that are in use at a time."""
    regions = sdram_json(report.program)["regions"]
    rows: list[tuple[str, ...]] = []
    for purpose in dict.fromkeys(region["purpose"] for region in regions):
        mine = [region for region in regions if region["purpose"] == purpose]
        rows.append((purpose, str(len(mine)), f"{_most(mine, report.program) / 1e6:.2f}"))
    rows.append(("all", str(len(regions)), f"{_most(regions, report.program) / 1e6:.2f}"))
    return rows


def _most(regions: Sequence[Mapping[str, Any]], program: Program) -> int:
    used = np.zeros(len(program.phases) + 1, np.int64)
    for region in regions:
        used[region["first_phase"] : region["last_phase"] + 1] += region["bytes"]
    return int(used.max())


BOUND_COLUMNS = ("closed-form bound", "s", "of the step")


def bound_rows(report: PlanReport) -> list[tuple[str, ...]]:
    """Return a row for each lower bound, the largest first."""
    found = sorted(asdict(report.bounds).items(), key=lambda item: -item[1])
    return [(name, f"{s:.4g}", f"{100 * s / report.step.total_s:.1f} %") for name, s in found]


ROOFLINE_COLUMNS = ("from the products' roofline to the step", "s", "of the step")


def roofline_rows(report: PlanReport) -> list[tuple[str, ...]]:
    """Return a row for the roofline, and one for all that holds the step back."""
    whole = report.walk.total_s
    parts = report.walk.from_roofline.items()
    return [(name, f"{s:.4g}", f"{100 * s / whole:.1f} %") for name, s in parts if s]


SWING_COLUMNS = ("constant alone at its low, high value", "s", "J", "status")


def swing_rows(report: PlanReport) -> list[tuple[str, ...]]:
    """Return a row for each constant that moves the step."""
    return [
        (
            swing.constant.name,
            f"{swing.low_s:.4g}, {swing.high_s:.4g}",
            f"{swing.low_j:.4g}, {swing.high_j:.4g}",
            str(swing.constant.status),
        )
        for swing in report.swings
    ]
