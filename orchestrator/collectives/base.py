"""What every exchange engine offers, and how one is opened.

All ranks call the same methods in the same order with buffers of the same size. Every sum is a sum
of integers, so its value does not depend on the engine, the order of ranks or the number of hosts.
"""

import os
from collections.abc import Mapping
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from orchestrator.collectives.horovod_package import load_horovod
from orchestrator.collectives.single import SingleCollective
from orchestrator.config import CollectiveConfig
from orchestrator.errors import ArgumentError, ConfigError

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]


class Collective(Protocol):
    """The exchange between the ranks of one training.

    Attributes
    ----------
    rank
        This process, 0 to size - 1.
    size
        Number of ranks.
    stage
        What the ranks are doing, such as "step 17"; set by the trainer, used in messages only.
    """

    rank: int
    size: int
    stage: str

    def allocate(self, n: int) -> Int32:
        """Return n zeros, int32, in memory whose sum over ranks needs the fewest copies.

        Every rank calls it with the same n, and passes the same part of it to an exchange. An
        ordinary array can be exchanged as well, more slowly.
        """

    def sum_int32(self, buffer: Int32) -> None:
        """Replace the 1-D buffer by its sum over ranks, on every rank.

        The sum must fit int32: the caller bounds it (at most 65,536 int16 addends).
        """

    def sum_int64(self, buffer: Int64) -> None:
        """Replace the 1-D buffer by its sum over ranks, on every rank."""

    def max_int32(self, buffer: Int32) -> None:
        """Replace the 1-D buffer by its maximum over ranks, on every rank."""

    def broadcast(self, buffer: NDArray[Any], root: int = 0) -> None:
        """Copy the root's contiguous buffer (any type and shape) into every rank's buffer."""

    def barrier(self) -> None:
        """Wait until every rank has come here."""

    def abort(self, code: int) -> NoReturn:
        """End all ranks at once; the command ends with this exit code."""

    def close(self) -> None:
        """Wait for all ranks, then give back what the engine holds."""


def under_mpi(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether a launcher (mpirun, srun) started this process as one of several ranks."""
    size = environ.get("OMPI_COMM_WORLD_SIZE") or environ.get("PMI_SIZE")
    if size is not None:
        return int(size) > 1
    return "PMIX_RANK" in environ


def open_collective(
    config: CollectiveConfig, environ: Mapping[str, str] = os.environ
) -> Collective:
    """Return the engine that the configuration names.

    A process that was started alone gets the single-rank engine and never loads MPI.

    Raises
    ------
    ConfigError
        collective.engine needs board links, which this version does not have.
    MissingToolError
        The engine's package is not installed; the message says how to get it.
    """
    if config.engine in ("links", "hybrid"):
        raise ConfigError(
            f"collective.engine: {config.engine} sums over board links, which needs boards with "
            "links between them; virtual boards without a machine take mpi or horovod"
        )
    if config.engine == "horovod":
        load_horovod()
    if not under_mpi(environ):
        return SingleCollective()
    if config.engine == "horovod":
        from orchestrator.collectives.horovod import open_horovod

        return open_horovod(config)
    from orchestrator.collectives.mpi import open_mpi

    return open_mpi(config)


def check_flat(buffer: NDArray[Any], dtype: type[np.generic]) -> None:
    """Raise ArgumentError unless the buffer is 1-D, contiguous, writable and of this type."""
    if buffer.ndim != 1 or buffer.dtype != dtype:
        raise ArgumentError(
            f"an exchange needs a 1-D {np.dtype(dtype).name} array, "
            f"not {buffer.ndim}-D {buffer.dtype.name}"
        )
    check_memory(buffer)


def check_memory(buffer: NDArray[Any]) -> None:
    """Raise ArgumentError unless the buffer is contiguous and writable."""
    if not (buffer.flags.c_contiguous and buffer.flags.writeable):
        raise ArgumentError("an exchange needs a contiguous, writable array; pass a copy")
