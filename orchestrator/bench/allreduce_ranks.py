"""What every rank of ``regatta bench allreduce`` does; a program for mpirun.

Usage: python -m orchestrator.bench.allreduce_ranks ROUNDS NETWORK FILE
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mpi4py import MPI
from numpy.typing import NDArray

from orchestrator.collectives import guarded
from orchestrator.collectives.cuts import buckets
from orchestrator.collectives.horovod_package import load_horovod
from orchestrator.collectives.mpi import MpiCollective
from orchestrator.config import ModelConfig
from orchestrator.errors import RunError
from orchestrator.model.zoo import build_network

Work = Callable[[], object]
Sample = tuple[float, float]

BUCKETS_MIB = (1, 4, 16)
OURS = "regatta"
PEER = "horovod"


def measure(rounds: int, network: str) -> dict[str, Any]:
    """Return the medians of every case; the same on all ranks, which all call it."""
    hvd = load_horovod()
    torch.set_num_threads(1)
    engine = MpiCollective(MPI.COMM_WORLD, bucket_bytes=4 << 20, timeout_s=300)
    sizes = _parameter_sizes(network)
    arrays = [engine.allocate(sum(sizes)), *(np.zeros(sum(sizes), np.int32) for _ in range(2))]
    ours = _our_cases(engine, arrays[0], arrays[1])
    theirs = _horovod_cases(hvd, arrays[2], sizes)
    _check_equal(engine, hvd, arrays, ours, theirs)
    samples: dict[str, list[Sample]] = {name: [] for name in (*ours, *theirs)}
    for _ in range(rounds):
        for array in arrays:
            array[:] = engine.rank  # small values: the sums of many rounds fit
        for name, work in ours.items():
            samples[name].append(_sample(engine, work))
        # Horovod's thread polls all the time, so it lives only while it is measured.
        hvd.init()
        for name, work in theirs.items():
            work()  # the first exchange of a tensor negotiates it
            samples[name].append(_sample(engine, work))
        hvd.shutdown()
    engine.close()
    return {
        "ranks": engine.size,
        "rounds": rounds,
        "network": network,
        "elements": sum(sizes),
        "cases": {name: _medians(values) for name, values in samples.items()},
    }


def _parameter_sizes(network: str) -> list[int]:
    graph = build_network(ModelConfig(name=network, image_size=224), 1000)
    return [int(np.prod(parameter.shape)) for parameter in graph.parameters]


def _our_cases(
    engine: MpiCollective, shared: NDArray[np.int32], ordinary: NDArray[np.int32]
) -> dict[str, Work]:
    def by_buckets(mib: int) -> Work:
        parts = [shared[part] for part in buckets(shared.size, mib << 20)]

        def work() -> None:
            for part in parts:
                engine.sum_int32(part)

        return work

    cases: dict[str, Work] = {OURS: lambda: engine.sum_int32(shared)}
    cases |= {f"{OURS}, calls of {mib} MiB": by_buckets(mib) for mib in BUCKETS_MIB}
    cases[f"{OURS}, ordinary memory"] = lambda: engine.sum_int32(ordinary)
    cases["MPI_Allreduce"] = lambda: MPI.COMM_WORLD.Allreduce(MPI.IN_PLACE, ordinary)
    return cases


def _horovod_cases(hvd: Any, array: NDArray[np.int32], sizes: list[int]) -> dict[str, Work]:
    """Return the ways to hand a gradient to Horovod; the tensors share the array's memory."""
    ends = np.cumsum(sizes)
    layouts = {
        "one tensor": [slice(0, array.size)],
        "tensors of 4 MiB": buckets(array.size, 4 << 20),
        "one tensor a parameter": [
            slice(int(end) - size, int(end)) for end, size in zip(ends, sizes, strict=True)
        ],
    }
    whole = torch.from_numpy(array)

    def work_of(layout: str, parts: list[slice]) -> Work:
        tensors = {f"{layout} {part.start}": whole[part] for part in parts}

        def work() -> None:
            handles = [
                hvd.allreduce_async_(tensor, op=hvd.Sum, name=name)
                for name, tensor in tensors.items()
            ]
            for handle in handles:
                hvd.synchronize(handle)

        return work

    return {f"{PEER}, {layout}": work_of(layout, parts) for layout, parts in layouts.items()}


def _check_equal(
    engine: MpiCollective,
    hvd: Any,
    arrays: list[NDArray[np.int32]],
    ours: dict[str, Work],
    theirs: dict[str, Work],
) -> None:
    """Raise RunError unless every case gives the same sums; warms everything up as well."""
    rng = np.random.default_rng(engine.rank)
    values = rng.integers(-(2**20), 2**20, arrays[0].size, np.int32)
    expected = values.copy()
    MPI.COMM_WORLD.Allreduce(MPI.IN_PLACE, expected)
    hvd.init()
    for name, work in (*ours.items(), *theirs.items()):
        for array in arrays:
            array[:] = values
        engine.barrier()
        work()
        if not any(np.array_equal(array, expected) for array in arrays):
            raise RunError(f"bench allreduce: {name} gives other sums than MPI_Allreduce")
    hvd.shutdown()


def _sample(engine: MpiCollective, work: Work) -> Sample:
    """Return wall seconds of the slowest rank and processor seconds of all ranks."""
    engine.barrier()
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    spent = time.perf_counter() - wall, time.process_time() - cpu
    slowest = MPI.COMM_WORLD.allreduce(spent[0], op=MPI.MAX)
    return slowest, MPI.COMM_WORLD.allreduce(spent[1])


def _medians(samples: list[Sample]) -> dict[str, float]:
    wall, cpu = (statistics.median(values) for values in zip(*samples, strict=True))
    return {"seconds": wall, "cpu_s": cpu}


if __name__ == "__main__":
    with guarded():
        result = measure(int(sys.argv[1]), sys.argv[2])
        if MPI.COMM_WORLD.rank == 0:
            Path(sys.argv[3]).write_text(json.dumps(result))
