"""Real and virtual SpiNNaker boards: allocation, power, boot, programs, memory.

The only part that imports spinnman and spalloc_client, and only when a machine is used: they come
with the extra ``hardware``.
"""

from orchestrator.boards.hardware.allocation import Job, allocated
from orchestrator.boards.hardware.boards import Bmp, Boards, given_host
from orchestrator.boards.hardware.control import MachineControl
from orchestrator.boards.hardware.opening import open_machine
from orchestrator.boards.hardware.pieces import Read, Write
from orchestrator.boards.hardware.reports import CoreId, CoreReport

__all__ = [
    "Bmp",
    "Boards",
    "CoreId",
    "CoreReport",
    "Job",
    "MachineControl",
    "Read",
    "Write",
    "allocated",
    "given_host",
    "open_machine",
]
