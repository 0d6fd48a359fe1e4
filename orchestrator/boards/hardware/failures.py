"""What can go wrong between a host and its SpiNNaker boards; `errors.py` has the exit codes.

RunError
├── ServerAway        the allocation server does not answer, or left
├── JobLost           the server took the boards back
├── BoardDead         a board or its BMP does not answer
├── BootFailed        a board answers but does not come up
├── Refused           a chip refused a command
│   └── LinkDead          because a link to its neighbour does not work
├── MachineTimeout    cores are not where they should be in time
└── CoreFailed        cores met a run-time error or a watchdog, or lost their program
"""

from orchestrator.errors import RunError
from orchestrator.wire.numbers import Result


class ServerAway(RunError):
    """The allocation server does not answer."""


class JobLost(RunError):
    """The allocation server has ended the job, so the boards are no longer ours."""


class BoardDead(RunError):
    """A board, or the processor that manages it, does not answer."""


class BootFailed(RunError):
    """A board did not come up after its boot image was sent."""


class Refused(RunError):
    """A chip answered a command with something else than OK.

    Attributes
    ----------
    result
        The answer's result code; None if the answer was OK and not of the form expected.
    """

    def __init__(self, message: str, result: Result | None):
        super().__init__(message)
        self.result = result


class LinkDead(Refused):
    """A chip could not reach its neighbour over a link."""


class MachineTimeout(RunError):
    """Cores did not reach a state in the time allowed."""


class CoreFailed(RunError):
    """Cores met a run-time error or a watchdog (the first is shown whole), or lost the program."""
