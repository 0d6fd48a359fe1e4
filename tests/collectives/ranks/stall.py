"""One rank does not come, or the ranks come to different exchanges; run under mpirun.

Usage: stall.py shared|messages|hosts MISSING_RANK|different|late
"""

import sys
import time

import numpy as np
from mpi4py import MPI

from orchestrator.collectives.mpi import MpiCollective

kind, who = sys.argv[1:]
engine = MpiCollective(
    MPI.COMM_WORLD,
    bucket_bytes=1 << 20,
    timeout_s=1,
    host_of=(lambda rank: rank // 2) if kind == "hosts" else None,
    shared=kind != "messages",
)
buffer = np.ones(10, np.int32)
engine.sum_int32(buffer)
engine.stage = "step 17"
if who == "late":
    if engine.rank == 1:
        time.sleep(1.6)  # past the time-out, within the time in which ranks answer
elif who == "different":
    if engine.rank == 1:
        engine.broadcast(np.ones(3), 0)
        engine.barrier()
elif engine.rank == int(who):
    time.sleep(60)
engine.sum_int32(buffer)
if engine.rank == 0:
    print(buffer[0])
engine.close()
