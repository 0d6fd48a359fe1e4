"""A slice whose step is a closed form: what the scaling study makes of it can be worked out."""

from dataclasses import dataclass

from orchestrator.machine.constants import Level
from orchestrator.perf.rates import rates
from orchestrator.studies.scaling import SliceStep

CYCLES_A_GHOST_BATCH = 8e8
UPDATE_S = 0.25
SLOWER = {Level.LOW: 2.0, Level.TYPICAL: 1.0, Level.HIGH: 0.5}


@dataclass(frozen=True)
class ClosedForm:
    """Computes, sums with nothing overlapped, and updates."""

    boards: int = 1
    ghost_batch: int = 32
    input_bytes: int = 32 * 224 * 224 * 3
    n_parameters: int = 25_557_032
    slower: float = 1.0

    def step(self, level, overrides, ghost_batches, sums):
        at = rates(level, overrides)
        compute = ghost_batches * CYCLES_A_GHOST_BATCH * SLOWER[level] * self.slower / at.clock
        exchange = sums.fastest(self.n_parameters)[1] if sums else 0.0
        components = {"compute": compute, "exchange": exchange, "update": UPDATE_S}
        seconds = sum(components.values())
        return SliceStep(
            components=components,
            energy={"idle": 30.0 * seconds, "cores": 24.0 * compute},
            idle_w=30.0,
            roofline_s=0.8 * compute,
        )
