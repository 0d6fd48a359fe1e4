"""Chips that do not answer, and boards: a silent board is not asked again for each of its chips."""

from orchestrator.boards.hardware.failures import BoardDead, JobLost, ServerAway
from orchestrator.boards.hardware.selftest.report import Fault, Finding
from orchestrator.errors import RunError
from orchestrator.machine.machine import Chip, Machine


class Silence:
    """What does not answer.

    Parameters
    ----------
    machine : the one under test.

    Attributes
    ----------
    findings : a chip each, or the first chip of a board.
    """

    def __init__(self, machine: Machine) -> None:
        self._board_at = machine.board_at
        self._boards: set[int] = set()
        self.findings: list[Finding] = []

    def covers(self, chip: Chip) -> bool:
        """Return whether a chip is on a board that has fallen silent."""
        return int(self._board_at[chip]) in self._boards

    def note(self, chip: Chip, doing: str, error: RunError) -> None:
        """Note a chip that does not answer, or its whole board.

        Raises
        ------
        JobLost, ServerAway
            The boards are no longer ours: that ends the test.
        """
        if isinstance(error, JobLost | ServerAway):
            raise error
        text = str(error)
        if isinstance(error, BoardDead):
            self._boards.add(int(self._board_at[chip]))
            text += "; the rest of its board is left out"
        x, y = chip
        self.findings.append(Finding(x=x, y=y, fault=Fault.SILENT, test=doing, text=text))
