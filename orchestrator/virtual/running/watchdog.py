"""Finds cores that no longer answer the monitor.

The monitor asks cores in turn and waits for the answer. Here those that are awake are asked, all
at once; a core that sleeps is taken to live, so that it costs nothing.

References
----------
spinnaker_tools ``scamp-3.c`` (``soft_wdog``, ``shm_ping``), ``sark.h`` (``soft_wdog``).
"""

from collections.abc import Collection
from typing import Final

from orchestrator.virtual.running.application_core import ApplicationCore
from orchestrator.wire.layout import SYSTEM_VARIABLES, Sv
from orchestrator.wire.numbers import CoreState

PERIOD_CYCLES: Final = 2_000_000
"""10 ms at 200 MHz, in which SC&MP asks one core."""


class Watchdog:
    """Counts the questions that a core has not answered."""

    def __init__(self) -> None:
        self._due = PERIOD_CYCLES
        self._unanswered: dict[ApplicationCore, int] = {}

    def look(self, now: int, awake: Collection[ApplicationCore]) -> list[ApplicationCore]:
        """Return the cores that have not answered as often as their chip's variable allows.

        Parameters
        ----------
        now
            Machine time in cycles; nothing happens before the period is over.
        awake
            Whom to ask.
        """
        if now < self._due:
            return []
        self._due = now + PERIOD_CYCLES
        asked: dict[ApplicationCore, int] = {}
        lifeless = []
        for core in awake:
            limit = core.memory.read(SYSTEM_VARIABLES + Sv.WATCHDOG_COUNT, 1)[0]
            if not limit or core.state < CoreState.INITIALISING:
                continue
            if core.is_idle:
                core.ping(now)
                asked[core] = 0
                continue
            asked[core] = self._unanswered.get(core, 0) + 1
            if asked[core] >= limit:
                lifeless.append(core)
        self._unanswered = asked
        return lifeless
