"""The chosen program beside those of single strategies, at every level and each constant alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.compiler.program import Program
from orchestrator.machine.constants import Level, constant
from orchestrator.perf.rates import NAMES, rates
from orchestrator.perf.timing import walk_program


@dataclass(frozen=True, slots=True)
class Comparison:
    """Step times with one set of constants.

    Attributes
    ----------
    case : the level, or the constant and its value, the others being typical.
    chosen_s : of the chosen program.
    others_s : of every other program, by name.
    """

    case: str
    chosen_s: float
    others_s: dict[str, float]

    @property
    def gain(self) -> float:
        """Return how many times as long the best of the others takes."""
        return min(self.others_s.values()) / self.chosen_s

    def as_json(self) -> dict[str, Any]:
        """Return all figures by name."""
        return {"case": self.case, "chosen_s": self.chosen_s, **self.others_s, "gain": self.gain}


def compare(
    chosen: Program, others: Mapping[str, Program], overrides: Mapping[str, float]
) -> list[Comparison]:
    """Return the comparison at every level, and with each constant alone at its ends.

    Parameters
    ----------
    overrides : constants with other values throughout, by name.
    """
    found = []
    for case, level, changed in cases():
        at = rates(level, {**overrides, **changed})
        found.append(
            Comparison(
                case,
                walk_program(chosen, at).total_s,
                {name: walk_program(program, at).total_s for name, program in others.items()},
            )
        )
    return found


def cases() -> Iterator[tuple[str, Level, dict[str, float]]]:
    """Yield a name, a level and changed constants for every set that is compared."""
    for level in Level:
        yield str(level), level, {}
    for each in map(constant, NAMES):
        for end in (Level.LOW, Level.HIGH):
            if each.at(end) != each.typical:
                yield f"{each.name} {each.at(end):g}", Level.TYPICAL, {each.name: each.at(end)}


def comparison_columns(comparisons: list[Comparison]) -> tuple[str, ...]:
    """Return the heads of the table."""
    return ("constants", "chosen, s", *(f"{n}, s" for n in comparisons[0].others_s), "gain")


def comparison_rows(comparisons: list[Comparison]) -> list[tuple[str, ...]]:
    """Return a row for each set of constants."""
    return [
        (each.case, f"{each.chosen_s:.3f}", *(f"{s:.3f}" for s in each.others_s.values()))
        + (f"{each.gain:.2f}x",)
        for each in comparisons
    ]
