"""What a plan says: the time and energy of a step on a slice, layer by layer, with its bounds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from orchestrator.compiler.program import Program, Split
from orchestrator.machine.constants import Level, constant
from orchestrator.machine.machine import Machine
from orchestrator.model.graph import Graph
from orchestrator.perf.bounds import Bounds, bounds_of, demand_of
from orchestrator.perf.rates import rates
from orchestrator.perf.sensitivity import Swing, tornado
from orchestrator.perf.step import StepTime, step_time
from orchestrator.perf.timing import Walk, walk_program


@dataclass(frozen=True, eq=False)
class PlanReport:
    """A program on its slice, timed.

    Attributes
    ----------
    name : of the network, for titles.
    graph, machine, program : what was compiled, for which slice, and to what.
    level : of the constants.
    overrides : constants with other values, by name.
    """

    name: str
    graph: Graph
    machine: Machine
    program: Program
    level: Level
    overrides: Mapping[str, float]

    @cached_property
    def walk(self) -> Walk:
        """Return the program, timed at the level."""
        return walk_program(self.program, rates(self.level, self.overrides))

    @cached_property
    def steps(self) -> dict[Level, StepTime]:
        """Return the step at every level; overrides hold at all of them."""
        return {level: self._step(level, self.overrides) for level in Level}

    @property
    def step(self) -> StepTime:
        """Return the step at the report's level."""
        return self.steps[self.level]

    @cached_property
    def bounds(self) -> Bounds:
        """Return the closed-form lower bounds at the level."""
        demand = demand_of(self.graph, self.program.images)
        return bounds_of(self.program, self.machine, demand, self.walk.rates)

    @cached_property
    def swings(self) -> tuple[Swing, ...]:
        """Return what each constant alone does to the step, the others being at the level."""
        return tornado(lambda changed: self._step(self.level, {**self.overrides, **changed}))

    def _step(self, level: Level, overrides: Mapping[str, float]) -> StepTime:
        walk = walk_program(self.program, rates(level, overrides))
        return step_time(walk, level=level, overrides=overrides)

    @property
    def title(self) -> str:
        """Return the network, its images and its slice in a line."""
        chips, boards = self.program.n_chips, self.machine.n_boards
        return (
            f"{self.name}: a step of {self.program.images} images on {count(boards, 'board')}, "
            f"{count(chips, 'chip')}"
        )

    def as_json(self) -> dict[str, Any]:
        """Return all figures by name."""
        program = self.program
        return {
            "network": self.name,
            "boards": self.machine.n_boards,
            "chips": program.n_chips,
            "cores": int(program.cores.sum()),
            "packet_cores": int(program.packet_cores.sum()),
            "level": str(self.level),
            "constants": dict(self.overrides),
            **self.step.as_json(),
            "core_seconds": self.walk.core_seconds,
            "from_roofline_s": self.walk.from_roofline,
            "levels": {str(level): step.as_json() for level, step in self.steps.items()},
            "bounds_s": asdict(self.bounds),
            "layers": layers_json(self.walk),
            "splits": {name: split_json(split) for name, split in program.splits.items()},
            "weight_splits": {
                name: {**split_json(cut.split), "over_outputs": cut.over_outputs}
                for name, cut in program.weight_splits.items()
            },
            "sdram": sdram_json(program),
            "dtcm_bytes": program.dtcm_bytes,
            "router_entries": int(program.router_entries.max()),
            "input_bytes": program.input_bytes.tolist(),
            "sensitivity": [swing.as_json() for swing in self.swings],
        }


def count(number: int, what: str) -> str:
    """Return a number of things in words."""
    return f"{number} {what}" if number == 1 else f"{number:,} {what}s"


def split_json(split: Split) -> dict[str, Any]:
    """Return how something is cut over chips."""
    return {
        "chips": list(split.chips),
        "parts": split.parts,
        "groups": split.groups,
        "whole_images": split.whole_images,
    }


def layers_json(walk: Walk) -> list[dict[str, Any]]:
    """Return every operation with the seconds of its passes by component."""
    return [
        {
            "layer": node,
            "passes": {
                str(pass_): {str(component): s for component, s in parts.items()}
                for pass_, parts in passes.items()
            },
        }
        for node, passes in walk.by_node.items()
    ]


def sdram_json(program: Program) -> dict[str, Any]:
    """Return what SDRAM is used for on the fullest chip, and how full it is."""
    chip = int(program.sdram_bytes.argmax())
    return {
        "chip": program.chips[chip].tolist(),
        "bytes": int(program.sdram_bytes[chip]),
        "mean_bytes": float(program.sdram_bytes.mean()),
        "available_bytes": int(constant("sdram").typical),
        "regions": [
            {
                "name": region.name,
                "purpose": region.purpose,
                "address": int(region.address[chip]),
                "bytes": int(region.bytes[chip]),
                "first_phase": region.first_phase,
                "last_phase": region.last_phase,
            }
            for region in program.regions
            if region.bytes[chip]
        ],
    }
