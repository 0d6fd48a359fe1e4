"""The exchange over MPI: shared memory inside a host, messages between hosts."""

import sys
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from orchestrator.collectives.base import check_flat, check_memory
from orchestrator.collectives.cuts import buckets
from orchestrator.collectives.node import open_node
from orchestrator.collectives.waiting import Watch
from orchestrator.config import CollectiveConfig

_MPI_OPERATION: dict[np.ufunc, MPI.Op] = {np.add: MPI.SUM, np.maximum: MPI.MAX}


def open_mpi(config: CollectiveConfig) -> "MpiCollective":
    """Return the engine over all ranks that mpirun started."""
    return MpiCollective(
        MPI.COMM_WORLD, bucket_bytes=config.bucket_mib << 20, timeout_s=config.timeout_s
    )


class MpiCollective:
    """Exact sums over the ranks of a communicator; see `Collective` for the methods.

    Parameters
    ----------
    comm
        The ranks; a duplicate is made.
    bucket_bytes
        Largest message between hosts.
    timeout_s
        Seconds to wait for a rank before it is named and the job ends with code 3.
    host_of
        Returns the host of a rank as a number. None: ask MPI which ranks share memory.
    shared
        Whether ranks of one host sum through shared memory.
    """

    def __init__(
        self,
        comm: MPI.Comm,
        *,
        bucket_bytes: int,
        timeout_s: float,
        host_of: Callable[[int], int] | None = None,
        shared: bool = True,
    ) -> None:
        self._comm = comm.Dup()
        self.rank = self._comm.rank
        self.size = self._comm.size
        self.stage = ""
        self._bucket_bytes = bucket_bytes
        self._watch = Watch(comm.Dup(), timeout_s)
        local = self._host_ranks(host_of)
        neighbours = self._comm.allreduce(local.size > 1, op=MPI.LOR)
        node = open_node(local, self._watch) if shared and neighbours else None
        # All ranks take the same path, else the messages of one would not match another's.
        self._node = node if self._comm.allreduce(node is not None, op=MPI.LAND) else None
        first = self._node is None or local.rank == 0
        self._n_hosts = self._comm.allreduce(int(first))
        self._leaders = self._comm.Split(0 if first else 1, self.rank)

    def allocate(self, n: int) -> NDArray[np.int32]:
        """Return n zeros in memory that the ranks of this host share, where there is enough."""
        self._enter(f"allocation of {n} int32")
        self._wait(self._comm.Ibarrier())
        memory = self._node.allocate(4 * n) if self._node else None
        agreed = self._comm.allreduce(memory is not None, op=MPI.LAND)
        return memory.view(np.int32) if memory is not None and agreed else np.zeros(n, np.int32)

    def sum_int32(self, buffer: NDArray[np.int32]) -> None:
        """Replace the buffer by its sum over ranks."""
        check_flat(buffer, np.int32)
        self._reduce(buffer, np.add, "sum")

    def sum_int64(self, buffer: NDArray[np.int64]) -> None:
        """Replace the buffer by its sum over ranks."""
        check_flat(buffer, np.int64)
        self._reduce(buffer, np.add, "sum")

    def max_int32(self, buffer: NDArray[np.int32]) -> None:
        """Replace the buffer by its maximum over ranks."""
        check_flat(buffer, np.int32)
        self._reduce(buffer, np.maximum, "maximum")

    def broadcast(self, buffer: NDArray[Any], root: int = 0) -> None:
        """Copy the root's buffer into every rank's."""
        check_memory(buffer)
        self._enter(f"broadcast of {buffer.nbytes} bytes from rank {root}")
        flat = buffer.reshape(-1).view(np.uint8)
        for part in buckets(flat.size, self._bucket_bytes, 1):
            self._wait(self._comm.Ibcast([flat[part], MPI.BYTE], root=root))

    def barrier(self) -> None:
        """Wait until every rank has come here."""
        self._enter("barrier")
        self._wait(self._comm.Ibarrier())

    def abort(self, code: int) -> NoReturn:
        """End all ranks at once."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._comm.Abort(code)
        raise SystemExit(code)

    def close(self) -> None:
        """Wait for all ranks."""
        self.barrier()

    def _host_ranks(self, host_of: Callable[[int], int] | None) -> Any:
        if host_of is None:
            return self._comm.Split_type(MPI.COMM_TYPE_SHARED, self.rank)
        return self._comm.Split(host_of(self.rank), self.rank)

    def _enter(self, what: str) -> None:
        self._watch.enter(f"{what}, {self.stage}" if self.stage else what)

    def _wait(self, request: MPI.Request) -> None:
        self._watch.wait(request.Test)

    def _reduce(self, buffer: NDArray[Any], operation: np.ufunc, name: str) -> None:
        self._enter(f"{name} of {buffer.size} {buffer.dtype.name}")

        def across(array: NDArray[Any]) -> None:
            for part in buckets(array.size, self._bucket_bytes, array.itemsize):
                self._wait(
                    self._leaders.Iallreduce(MPI.IN_PLACE, array[part], _MPI_OPERATION[operation])
                )

        if self._node is None:
            across(buffer)
        else:
            self._node.reduce(buffer, operation, across if self._n_hosts > 1 else None)
