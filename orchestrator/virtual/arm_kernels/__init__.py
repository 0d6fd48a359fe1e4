"""The kernels of a replica as tasks of one emulated core: the same bits from the board's binary.

Every call copies its tensors into the chip's SDRAM in the board's layout, runs one tape on the
core, and copies the results back. For tests and for counting cycles; a board keeps its tensors.
"""

from orchestrator.virtual.arm_kernels.apply import ApplyKernels
from orchestrator.virtual.arm_kernels.convolution import ConvKernels
from orchestrator.virtual.arm_kernels.masters import MasterKernels
from orchestrator.virtual.arm_kernels.pool import PoolKernels
from orchestrator.virtual.arm_kernels.runner import CoreRunner
from orchestrator.virtual.arm_kernels.weights import WeightKernels


class TaskKernels(ConvKernels, WeightKernels, ApplyKernels, PoolKernels, MasterKernels):
    """All kernels as tasks, wherever these run."""


class ArmKernels(CoreRunner, TaskKernels):
    """All kernels on one core (implements `Kernels`)."""
