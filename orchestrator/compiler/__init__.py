"""Maps a replica onto a slice of a machine: what every chip and core computes, keeps and sends."""

from orchestrator.compiler.cache import compile_program
from orchestrator.compiler.compile import single_strategies, step_seconds

__all__ = ["compile_program", "single_strategies", "step_seconds"]
