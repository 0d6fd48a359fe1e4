"""What the scaling study asks of the plan of one slice: `orchestrator.perf` on its program."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from orchestrator.compiler import compile_program
from orchestrator.compiler.program import Program
from orchestrator.config import RunConfig
from orchestrator.machine.constants import Level
from orchestrator.model.zoo import build_network
from orchestrator.perf.energy import power
from orchestrator.perf.rates import rates
from orchestrator.perf.step import step_time
from orchestrator.perf.timing import Walk, walk_program
from orchestrator.studies.scaling import SliceStep, Sums
from orchestrator.studies.scaling_machine import boards_of

CLASSES = 1000
"""Outputs where the configuration leaves them to its data: those of ImageNet-1k."""


def plan_slice(config: RunConfig, folder: Path) -> "ProgramSlice":
    """Return the plan of a configuration's replica on its slice, made or from the folder.

    Raises
    ------
    ConfigError
        There is no such network, or it cannot be built for these images.
    ArgumentError
        It does not fit the slice, or the folder cannot be written.
    MissingToolError
        There is no table of measured cycles.
    """
    graph = build_network(config.model, config.model.classes or CLASSES)
    machine = boards_of(config.slice.boards).machine
    return ProgramSlice(
        compile_program(graph, machine, config.train.ghost_batch, rates(), cache=folder)
    )


class ProgramSlice:
    """A slice that runs a program; walks of it are kept for each set of constants.

    Parameters
    ----------
    program : of one ghost batch and the update, from `orchestrator.compiler`.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._walks: dict[tuple[object, ...], Walk] = {}
        self.boards = int(program.board.max()) + 1
        self.ghost_batch = program.images
        self.input_bytes = int(program.input_bytes.max())
        self.n_parameters = sum(gradient.elements for gradient in program.gradients)

    def step(
        self, level: Level, overrides: Mapping[str, float], ghost_batches: int, sums: Sums | None
    ) -> SliceStep:
        """Return a step of so many ghost batches; sums is None for a slice that is alone."""
        key = (level, *sorted(overrides.items()))
        if key not in self._walks:
            self._walks[key] = walk_program(self._program, rates(level, overrides))
        found = step_time(
            self._walks[key], sums, ghost_batches=ghost_batches, level=level, overrides=overrides
        )
        return SliceStep(
            components=found.components,
            energy=asdict(found.energy),
            idle_w=power(level, overrides).idle_watts(self.boards),
            roofline_s=found.roofline_s,
        )
