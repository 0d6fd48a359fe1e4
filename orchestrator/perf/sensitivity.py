"""How far each constant moves a result, alone: the data of a tornado plot."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from orchestrator.machine.constants import Constant, Level, Status, constant
from orchestrator.perf.energy import POWER_NAMES, StepEnergy
from orchestrator.perf.rates import NAMES


class Outcome(Protocol):
    """Time and energy of a step, as `orchestrator.perf.step.StepTime`."""

    @property
    def total_s(self) -> float:
        """Return seconds."""
        ...

    @property
    def energy(self) -> StepEnergy:
        """Return the energy."""
        ...


@dataclass(frozen=True, slots=True)
class Swing:
    """What a constant's low and high values do to a step, all others being typical.

    Attributes
    ----------
    constant : with its values, unit and status.
    low_s, high_s : seconds with its low and its high value.
    low_j, high_j : J.
    """

    constant: Constant
    low_s: float
    high_s: float
    low_j: float
    high_j: float

    @property
    def swing_s(self) -> float:
        """Return the difference in time."""
        return abs(self.high_s - self.low_s)

    @property
    def swing_j(self) -> float:
        """Return the difference in energy."""
        return abs(self.high_j - self.low_j)

    @property
    def is_assumed(self) -> bool:
        """Return whether nobody has measured the constant."""
        return self.constant.status is Status.ASSUMED

    def as_json(self) -> dict[str, Any]:
        """Return all figures by name."""
        return {
            "constant": self.constant.name,
            "unit": self.constant.unit,
            "status": str(self.constant.status),
            "low": self.constant.low,
            "high": self.constant.high,
            "low_s": self.low_s,
            "high_s": self.high_s,
            "low_j": self.low_j,
            "high_j": self.high_j,
        }


def tornado(
    evaluate: Callable[[Mapping[str, float]], Outcome],
    names: Iterable[str] = (*NAMES, *POWER_NAMES),
) -> tuple[Swing, ...]:
    """Return the swing of each constant that has one, the largest in time first.

    Parameters
    ----------
    evaluate : returns a step with some constants changed, given as values by name.
    names : of the constants to vary. Those whose low and high values are the same, or that change
        nothing, are left out.
    """
    swings = []
    for each in map(constant, names):
        if each.low == each.high:
            continue
        low, high = (evaluate({each.name: each.at(level)}) for level in (Level.LOW, Level.HIGH))
        swing = Swing(each, low.total_s, high.total_s, low.energy.total_j, high.energy.total_j)
        if swing.swing_s or swing.swing_j:
            swings.append(swing)
    return tuple(sorted(swings, key=lambda swing: (-swing.swing_s, -swing.swing_j)))
