"""How much memory one side of ``regatta bench step`` needs; a program, as a process has one peak.

Usage: python -m orchestrator.bench.step_memory regatta|peer CASE, where CASE is a StepCase in JSON.
"""

import json
import subprocess
import sys
from dataclasses import asdict
from typing import Final

from orchestrator.bench.machine import peak_mib
from orchestrator.bench.step_sides import StepCase, our_step, peer_step
from orchestrator.errors import RunError

OURS: Final = "regatta"
PEER: Final = "peer"
STEPS: Final = 2


def measure_alone(side: str, case: StepCase) -> dict[str, float]:
    """Return ``peak_mib`` of a process that trains, and ``before_mib``, its libraries alone.

    Raises
    ------
    RunError
        The process failed, for lack of memory for example.
    """
    command = [sys.executable, "-m", "orchestrator.bench.step_memory", side]
    done = subprocess.run(
        [*command, json.dumps(asdict(case))],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RunError(
            f"bench step: the process that measures the memory of {side} ended with code "
            f"{done.returncode}: {last}"
        )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _train(side: str, case: StepCase) -> dict[str, float]:
    if side == PEER:
        import torch

        import orchestrator.bench.peer_network  # noqa: F401  (libraries count as such)

        torch.set_num_threads(case.threads)
    before = peak_mib()
    step = our_step(case) if side == OURS else peer_step(case)
    for _ in range(STEPS):
        step()
    return {"before_mib": round(before, 1), "peak_mib": round(peak_mib(), 1)}


if __name__ == "__main__":
    print(json.dumps(_train(sys.argv[1], StepCase(**json.loads(sys.argv[2])))))
