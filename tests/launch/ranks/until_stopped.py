"""Exchanges until a signal comes, then writes SAVED.RANK and ends with code 3.

Usage: until_stopped.py FOLDER SECONDS_TO_SAVE; writes STARTED.RANK with its process id first.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np

from orchestrator.collectives import StopSignal, open_collective
from orchestrator.config import CollectiveConfig

folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
engine = open_collective(CollectiveConfig(timeout_s=60))
with StopSignal() as stop:
    (folder / f"started.{engine.rank}").write_text(str(os.getpid()))
    requested = np.zeros(1, np.int32)
    while not requested[0]:
        time.sleep(0.01)
        requested[0] = stop.requested
        engine.max_int32(requested)
    time.sleep(seconds)
    (folder / f"saved.{engine.rank}").touch()
engine.close()
sys.exit(3)
