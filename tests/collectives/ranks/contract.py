"""Every method of an engine against the same sums in NumPy; run under mpirun.

Usage: contract.py shared|messages|hosts|horovod|full|full-later

"full": rank 1 cannot get shared memory, from the start or only for allocations.
"""

import errno
import os
import sys

import numpy as np
from mpi4py import MPI

from orchestrator.collectives import guarded
from orchestrator.collectives.mpi import MpiCollective

INT32 = np.iinfo(np.int32)


def open_engine(kind):
    if kind == "horovod":
        from orchestrator.collectives.horovod import HorovodCollective

        return HorovodCollective(bucket_bytes=1 << 12, timeout_s=60)
    if kind == "full":
        fill_memory()
    hosts = (lambda rank: rank // 2) if kind == "hosts" else None
    return MpiCollective(
        MPI.COMM_WORLD,
        bucket_bytes=1 << 12,
        timeout_s=60,
        host_of=hosts,
        shared=kind != "messages",
    )


def fill_memory():
    """Let rank 1's requests for shared memory fail as in a full file system."""

    def no_room(handle, offset, length):
        raise OSError(errno.ENOSPC, "No space left on device")

    if MPI.COMM_WORLD.rank == 1:
        os.posix_fallocate = no_room


def inputs(n, size, dtype, seed):
    """One array per rank whose sum fits the type; every rank makes all of them."""
    limit = np.iinfo(dtype).max // size
    rng = np.random.default_rng(seed)
    arrays = rng.integers(-limit, limit, (size, n), dtype, endpoint=True)
    arrays[:, : n // 3] = limit  # sums at the very end of the range
    return arrays


def check_sums(engine, n):
    for dtype, add in ((np.int32, engine.sum_int32), (np.int64, engine.sum_int64)):
        arrays = inputs(n, engine.size, dtype, n)
        buffer = arrays[engine.rank].copy()
        add(buffer)
        np.testing.assert_array_equal(buffer, arrays.sum(0, dtype=dtype))
    arrays = inputs(n, engine.size, np.int32, n + 1)
    buffer = arrays[engine.rank].copy()
    engine.max_int32(buffer)
    np.testing.assert_array_equal(buffer, arrays.max(0, initial=INT32.min))


def check_allocated(engine, n):
    """Sums in place, whole and by parts, twice over in the same memory."""
    buffer = engine.allocate(n)
    assert buffer.dtype == np.int32 and buffer.shape == (n,) and not buffer.any()
    for turn in range(2):
        arrays = inputs(n, engine.size, np.int32, turn)
        buffer[:] = arrays[engine.rank]
        for part in (slice(0, n // 3), slice(n // 3, n)) if turn else (slice(0, n),):
            engine.sum_int32(buffer[part])
        np.testing.assert_array_equal(buffer, arrays.sum(0, dtype=np.int32))


def check_broadcast(engine):
    for root in range(engine.size):
        expected = np.random.default_rng(root).standard_normal((3, 700))
        buffer = expected.copy() if engine.rank == root else np.zeros_like(expected)
        engine.broadcast(buffer, root)
        np.testing.assert_array_equal(buffer, expected)


def main():
    engine = open_engine(sys.argv[1])
    assert (engine.rank, engine.size) == (MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size)
    if sys.argv[1] == "full-later":
        fill_memory()
    for n in (0, 1, 2, 1000, 300_001):
        check_sums(engine, n)
    for n in (1, 200_003):
        check_allocated(engine, n)
    check_broadcast(engine)
    engine.barrier()
    assert (engine._node is None) == (sys.argv[1] in ("messages", "full"))
    engine.close()
    if engine.rank == 0:
        print("all equal")


with guarded():
    main()
