"""Sums between the ranks of one host, through memory they share.

Each rank's buffer is one segment of a file in memory that all ranks of the host have mapped. Two
meetings make a sum: when all have come, every rank sums its share of the elements over all
segments, block by block so that a block stays in its cache, and writes the sums back into all
segments; when all have done so, the sum is everywhere. Each element is read and written once per
rank and copied nowhere else, which is what makes this faster than messages.

A rank publishes that it has come by storing a number after its data. That the number is not seen
before the data holds on x86, which keeps stores in order; on other processors `open_node` says no,
and the ranks exchange messages instead.
"""

import mmap
import os
import platform
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.collectives.cuts import buckets, share
from orchestrator.collectives.waiting import Watch

SHARED_FOLDER = "/dev/shm"
BLOCK_BYTES = 256 << 10
STAGING_BYTES = 1 << 20
_LINE = 8  # int64 values in a cache line: one rank's counter each

Segments = list[NDArray[Any]]


def open_node(comm: Any, watch: Watch) -> "Node | None":
    """Return the group of the ranks of one host, or None where they cannot share memory.

    Parameters
    ----------
    comm
        A communicator of ranks of one host; all of them call this.
    watch
        Waits for ranks that come late.
    """
    able = platform.machine() in ("x86_64", "AMD64") and os.path.isdir(SHARED_FOLDER)
    if not comm.allreduce(able, op=_logical_and()):
        return None
    counters = _map_segments(comm, _LINE * 8)
    staging = _map_segments(comm, STAGING_BYTES)
    if counters is None or staging is None:
        return None
    return Node(comm, watch, counters, staging)


class Node:
    """The ranks of one host; see the module's text for how they sum."""

    def __init__(self, comm: Any, watch: Watch, counters: Segments, staging: Segments) -> None:
        self._comm = comm
        self._watch = watch
        self._counters = [segment.view(np.int64) for segment in counters]
        self._staging = staging
        self._memory = [staging]
        self._meetings = 0

    def allocate(self, n_bytes: int) -> NDArray[Any] | None:
        """Return this rank's segment of new shared memory (uint8, zeros), or None if it is full."""
        segments = _map_segments(self._comm, n_bytes)
        if segments is None:
            return None
        self._memory.append(segments)
        mine: NDArray[Any] = segments[self._comm.rank][:n_bytes]
        return mine

    def reduce(
        self,
        buffer: NDArray[Any],
        operation: np.ufunc,
        across: Callable[[NDArray[Any]], None] | None,
    ) -> None:
        """Replace the buffer by its sum (or maximum) over the ranks.

        Parameters
        ----------
        buffer
            1-D; in place where it lies in memory from `allocate`, else through staging memory.
        operation
            np.add or np.maximum.
        across
            Reduces an array over the hosts; called by each host's first rank. None for one host.
        """
        segments = self._locate(buffer)
        if segments is not None:
            self._reduce_segments(segments, operation, across)
            return
        staging = [segment.view(buffer.dtype) for segment in self._staging]
        for part in buckets(buffer.size, STAGING_BYTES, buffer.itemsize):
            length = part.stop - part.start
            segments = [segment[:length] for segment in staging]
            segments[self._comm.rank][:] = buffer[part]
            self._reduce_segments(segments, operation, across)
            buffer[part] = segments[self._comm.rank]

    def meet(self) -> None:
        """Wait until every rank of the host has come here, and see all they wrote before."""
        self._meetings += 1
        self._counters[self._comm.rank][0] = self._meetings
        self._watch.wait(self._all_met)

    def _all_met(self) -> bool:
        return all(counter[0] >= self._meetings for counter in self._counters)

    def _locate(self, buffer: NDArray[Any]) -> Segments | None:
        """Return every rank's view of the buffer, or None where it is not in shared memory."""
        first = buffer.ctypes.data
        for segments in self._memory[1:]:
            start = first - segments[self._comm.rank].ctypes.data
            if 0 <= start and start + buffer.nbytes <= segments[0].size:
                part = slice(start, start + buffer.nbytes)
                return [segment[part].view(buffer.dtype) for segment in segments]
        return None

    def _reduce_segments(
        self,
        segments: Segments,
        operation: np.ufunc,
        across: Callable[[NDArray[Any]], None] | None,
    ) -> None:
        rank, size = self._comm.rank, self._comm.size
        self.meet()
        mine = share(segments[0].size, size, rank)
        # With several hosts the first rank carries the host's sum to the others first.
        targets = range(size) if across is None else range(1)
        for block in buckets(mine.stop - mine.start, BLOCK_BYTES, segments[0].itemsize):
            part = slice(mine.start + block.start, mine.start + block.stop)
            total = segments[rank][part]
            for other in range(size):
                if other != rank:
                    operation(total, segments[other][part], out=total)
            for other in targets:
                if other != rank:
                    segments[other][part] = total
        self.meet()
        if across is not None:
            if rank == 0:
                across(segments[0])
            self.meet()
            if rank > 0:
                segments[rank][:] = segments[0]
            self.meet()


def _map_segments(comm: Any, n_bytes: int) -> Segments | None:
    """Return one segment per rank of new shared memory, uint8 zeros; None if it is short."""
    page = mmap.PAGESIZE
    length = max(1, -(-n_bytes // page)) * page
    path = None
    if comm.rank == 0:
        handle, path = tempfile.mkstemp(prefix="regatta-", dir=SHARED_FOLDER)
        os.close(handle)
    path = comm.bcast(path)
    memory = _map_file(path, length, comm.rank, comm.size)
    enough = comm.allreduce(memory is not None, op=_logical_and())
    if comm.rank == 0:
        os.unlink(path)
    if not enough or memory is None:
        return None
    whole = np.frombuffer(memory, np.uint8)
    return [whole[rank * length : (rank + 1) * length] for rank in range(comm.size)]


def _map_file(path: str, length: int, rank: int, size: int) -> mmap.mmap | None:
    """Map the file, with this rank's part really there; None where there is no room."""
    handle = os.open(path, os.O_RDWR)
    try:
        # Reserves the pages now (a full memory file system would kill the process later), and
        # near this rank's processor.
        os.posix_fallocate(handle, rank * length, length)
        if os.fstat(handle).st_size < size * length:
            os.truncate(handle, size * length)
        return mmap.mmap(handle, size * length)
    except OSError:
        return None
    finally:
        os.close(handle)


def _logical_and() -> Any:
    from mpi4py import MPI

    return MPI.LAND
