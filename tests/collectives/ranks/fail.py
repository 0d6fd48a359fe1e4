"""Ranks that fail alike, alone, or by a bug, guarded as a command is; run under mpirun.

Usage: fail.py alike|different|one|bug|interrupt|early
"""

import sys
import time

import numpy as np

from orchestrator.collectives import guarded, open_collective
from orchestrator.config import CollectiveConfig
from orchestrator.errors import ConfigError, RunError

kind = sys.argv[1]
with guarded():
    if kind == "alike":
        raise ConfigError("train.epochs: -1 is not allowed")
    engine = open_collective(CollectiveConfig(timeout_s=60))
    if kind == "different":
        raise RunError(f"disk of rank {engine.rank} is full")
    if engine.rank == 1:
        if kind == "one":
            raise RunError("disk full")
        if kind == "bug":
            {}["key"]
        if kind == "interrupt":
            raise KeyboardInterrupt
    if kind == "bug":
        time.sleep(60)  # computing: does not look at messages
    engine.sum_int32(np.ones(3, np.int32))
    print("not reached")
