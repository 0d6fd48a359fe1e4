"""SpiNNaker machines as values: chips, boards, triads, links, dead parts, slices, constants."""

from orchestrator.machine.boards import BoardGraph, board_graph
from orchestrator.machine.build import single_board, spinn3, torus, triads
from orchestrator.machine.links import Link
from orchestrator.machine.machine import Faults, Machine
from orchestrator.machine.slices import rectangle, run_of_boards, single_chip, take

__all__ = [
    "BoardGraph",
    "Faults",
    "Link",
    "Machine",
    "board_graph",
    "rectangle",
    "run_of_boards",
    "single_board",
    "single_chip",
    "spinn3",
    "take",
    "torus",
    "triads",
]
