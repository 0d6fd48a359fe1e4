"""A slice and a network as the compiler sees them."""

from dataclasses import dataclass, field

import numpy as np

from orchestrator.compiler.layers import Network
from orchestrator.compiler.mesh import Mesh
from orchestrator.compiler.splits import Cutter
from orchestrator.compiler.transfers import Transfers
from orchestrator.machine.geometry import Ints
from orchestrator.machine.machine import Machine
from orchestrator.perf.cycles import CycleTable

MOST_CORES = 16
"""Application cores of a chip that a program uses: every fitted chip has so many but for faults
(`chip_application_cores`)."""
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
