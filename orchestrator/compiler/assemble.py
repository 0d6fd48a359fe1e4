"""Makes a program of splits: lays out the step, assigns exchanges to phases, places regions."""

from dataclasses import dataclass, field

import numpy as np

from orchestrator.compiler.behind import assign
from orchestrator.compiler.layers import Network
from orchestrator.compiler.memory import place
from orchestrator.compiler.mesh import Mesh
from orchestrator.compiler.phase_time import Slice
from orchestrator.compiler.program import Phase, Program, Split
from orchestrator.compiler.shares import Shares
from orchestrator.compiler.splits import Cutter
from orchestrator.compiler.step import PIXEL, Step
from orchestrator.compiler.transfers import Transfers
from orchestrator.machine.geometry import Ints
from orchestrator.machine.machine import Machine
from orchestrator.perf.cycles import CycleTable
from orchestrator.perf.rates import Rates

MOST_CORES = 16
"""Application cores of a chip that a program uses: every fitted chip has so many but for faults
(`chip_application_cores`)."""
LABEL = 4
"""Bytes of an image's label."""
KEPT_CORES = 1
"""Cores that compute at least, whatever moves packets."""


@dataclass(frozen=True, eq=False)
class Site:
    """A slice as the compiler sees it; remembers the patterns of exchanges on it.

    Attributes
    ----------
    cores : int64 [n_chips], application cores in use.
    ethernet : int64 [n], the chips with a working Ethernet socket.
    """

    network: Network
    images: int
    machine: Machine
    table: CycleTable
    mesh: Mesh
    cores: Ints
    ethernet: Ints
    cutter: Cutter
    transfers: Transfers = field(repr=False)

    @classmethod
    def of(cls, network: Network, images: int, machine: Machine, table: CycleTable) -> "Site":
        """Return the site of a machine.

        Raises
        ------
        ArgumentError
            Dead links cut the machine in parts.
        """
        mesh = Mesh(machine)
        cores = np.minimum(mesh.cores, MOST_CORES)
        doors = {tuple(chip) for chip in machine.ethernet.tolist()}
        ethernet = [i for i, chip in enumerate(mesh.chips.tolist()) if tuple(chip) in doors]
        return cls(
            network, images, machine, table, mesh, cores, np.array(ethernet, np.int64),
            Cutter(images, cores), Transfers(mesh),
        )  # fmt: skip

    def packet_cores(self, wanted: int) -> Ints:
        """Return how many cores of each chip move packets: none on a chip alone."""
        if self.mesh.n == 1:
            return np.zeros(1, np.int64)
        return np.minimum(wanted, self.cores - KEPT_CORES)


def assemble(
    site: Site, splits: dict[str, Split], packet_cores: int, rates: Rates, strategy: str
) -> Program:
    """Return the program of given splits.

    Parameters
    ----------
    packet_cores : of each chip; 0 only makes sense on a chip alone.
    rates : by which exchanges behind the work choose their phases.
    """
    mesh, packets = site.mesh, site.packet_cores(packet_cores)
    shares = Shares(site.table, site.images, site.cores - packets)
    draft = Step(
        site.network, splits, mesh, site.cutter, site.transfers, shares, site.ethernet
    ).lay_out()
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
        phases=phases,
        gradients=tuple(draft.gradients),
        regions=place(draft.claims, len(phases), mesh.n),
        dtcm_bytes=0,
        router_entries=site.transfers.entries([e for phase in phases for e in phase.exchanges]),
        input_bytes=np.where(boards, int(np.ceil(share)), 0).astype(np.int64),
        macs=_macs(phases),
    )


def _macs(phases: tuple[Phase, ...]) -> int:
    work = (each for phase in phases for each in phase.work if each.unit == "MAC")
    return int(sum(int(each.amount.sum()) for each in work))
