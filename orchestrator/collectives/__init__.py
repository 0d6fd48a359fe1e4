"""The exchange between ranks: one door, and the engines behind it."""

from orchestrator.collectives.base import Collective, open_collective, under_mpi
from orchestrator.collectives.failure import guarded
from orchestrator.collectives.first import from_first
from orchestrator.collectives.signals import StopSignal
from orchestrator.collectives.single import SingleCollective

__all__ = [
    "Collective",
    "SingleCollective",
    "StopSignal",
    "from_first",
    "guarded",
    "open_collective",
    "under_mpi",
]
