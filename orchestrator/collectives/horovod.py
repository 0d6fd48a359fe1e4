"""The exchange over Horovod: the same integers, summed by its MPI operations."""

from typing import Any

import numpy as np
import torch
from mpi4py import MPI
from numpy.typing import NDArray

from orchestrator.collectives.base import check_flat
from orchestrator.collectives.cuts import buckets
from orchestrator.collectives.horovod_package import load_horovod
from orchestrator.collectives.mpi import MpiCollective
from orchestrator.config import CollectiveConfig


def open_horovod(config: CollectiveConfig) -> "HorovodCollective":
    """Return the engine over all ranks that mpirun started."""
    return HorovodCollective(bucket_bytes=config.bucket_mib << 20, timeout_s=config.timeout_s)


class HorovodCollective(MpiCollective):
    """int32 sums by Horovod; everything else, and the watch for late ranks, as over MPI."""

    def __init__(self, *, bucket_bytes: int, timeout_s: float) -> None:
        self._hvd = load_horovod()
        self._hvd.init()
        super().__init__(MPI.COMM_WORLD, bucket_bytes=bucket_bytes, timeout_s=timeout_s)

    def sum_int32(self, buffer: NDArray[np.int32]) -> None:
        """Replace the buffer by its sum over ranks."""
        check_flat(buffer, np.int32)
        self._enter(f"sum of {buffer.size} int32 by Horovod")
        self._wait(self._comm.Ibarrier())  # names a rank that does not come; Horovod only waits
        sum_buckets(self._hvd, buffer, self._bucket_bytes)

    def close(self) -> None:
        """Wait for all ranks, then end Horovod."""
        super().close()
        self._hvd.shutdown()


def sum_buckets(hvd: Any, buffer: NDArray[np.int32], bucket_bytes: int) -> None:
    """Sum the buffer over ranks, in place, all buckets under way together."""
    tensor = torch.from_numpy(buffer)
    under_way = [
        hvd.allreduce_async_(tensor[part], op=hvd.Sum, name=f"bucket.{part.start}")
        for part in buckets(buffer.size, bucket_bytes)
    ]
    for handle in under_way:
        hvd.synchronize(handle)
