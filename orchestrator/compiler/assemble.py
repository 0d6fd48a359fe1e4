"""Makes a program of splits: lays out the step, assigns exchanges to phases, places regions."""

import numpy as np

from orchestrator.compiler.behind import assign
from orchestrator.compiler.data_memory import check_data_memory
from orchestrator.compiler.memory import place
from orchestrator.compiler.phase_time import Slice
from orchestrator.compiler.program import Phase, Program, Split, WeightSplit
from orchestrator.compiler.shares import Shares
from orchestrator.compiler.site import MOST_CORES, Site
from orchestrator.compiler.step import Step
from orchestrator.compiler.step_base import PIXEL
from orchestrator.perf.rates import Rates

LABEL = 4
"""Bytes of an image's label."""


def assemble(
    site: Site,
    splits: dict[str, Split],
    weight_splits: dict[str, WeightSplit],
    packet_cores: int,
    rates: Rates,
    strategy: str,
) -> Program:
    """Return the program of given splits.

    Parameters
    ----------
    packet_cores : of each chip; 0 only makes sense on a chip alone.
    rates : by which exchanges behind the work choose their phases.
    """
    mesh, packets = site.mesh, site.packet_cores(packet_cores)
    shares = Shares(site.table, site.images, site.cores - packets)
    draft = Step(site, splits, weight_splits, shares).lay_out()
    diameter = mesh.diameter
    slice_ = Slice(np.maximum(packets, 1).astype(np.float64), mesh.between_boards, diameter)
    assign(draft, mesh.n, MOST_CORES, slice_, rates)
    phases = tuple(stage.phase() for stage in draft.stages)
    image = site.network.image
    boards = np.bincount(mesh.board[site.ethernet], minlength=site.machine.n_boards) > 0
    share = site.images * (image.size * PIXEL + LABEL) / max(1, int(boards.sum()))
    return Program(
        strategy=strategy,
        images=site.images,
        chips=mesh.chips,
        board=mesh.board,
        between_boards=mesh.between_boards,
        diameter=diameter,
        cores=site.cores,
        packet_cores=packets,
        splits={op.name: splits[op.name] for op in site.network.operations},
        weight_splits=weight_splits,
        phases=phases,
        gradients=tuple(draft.gradients),
        regions=place(draft.claims, len(phases), mesh.n),
        dtcm_bytes=check_data_memory(site.network),
        router_entries=site.transfers.entries([e for phase in phases for e in phase.exchanges]),
        input_bytes=np.where(boards, int(np.ceil(share)), 0).astype(np.int64),
        macs=_macs(phases),
    )


def _macs(phases: tuple[Phase, ...]) -> int:
    work = (each for phase in phases for each in phase.work if each.unit == "MAC")
    return int(sum(int(each.amount.sum()) for each in work))
