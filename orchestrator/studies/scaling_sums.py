"""What boards exchange: sums over cables, and between machines over hosts; pixels from the hosts.

Counting what every algorithm puts on a machine's cables takes seconds for hundreds of boards, and
depends on nothing but the machine; so the counts are kept in a folder between studies.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import astuple, replace
from functools import cache
from pathlib import Path

import numpy as np

import orchestrator.collectives.plan
from orchestrator.collectives.plan import Wire, host_rates, link_algorithms
from orchestrator.collectives.plan.host import SUM_BYTES, HostRates
from orchestrator.collectives.plan.traffic import CHIPS_ACROSS, LinkRates, Traffic
from orchestrator.collectives.plan.wire import GROUP
from orchestrator.machine import Machine
from orchestrator.machine.boards import CHANNELS
from orchestrator.machine.constants import Level
from orchestrator.perf.rates import check_overrides, rates, value_of
from orchestrator.studies.scaling_machine import HOST_BOARDS, Boards
from orchestrator.train.disk import replace_text

Traffics = tuple[tuple[str, Traffic], ...]
"""The algorithms of a machine by name, with what each needs."""


class BoardSums:
    """Sums over boards, at one set of constants.

    Parameters
    ----------
    boards : that hold what is summed.
    ghost_batches : that the busiest slice has summed before.
    level : of the constants.
    overrides : constants by name, in place of the level's.
    folder : where counts are kept; None for nowhere.

    Raises
    ------
    ArgumentError
        The sum of all ghost batches could leave int32.
    """

    def __init__(
        self,
        boards: Boards,
        ghost_batches: int,
        level: Level,
        overrides: Mapping[str, float],
        folder: Path | None = None,
    ) -> None:
        Wire(ghost_batches).element_bytes(boards.n_boards)
        self._boards = boards
        self._hosts = hosts_at(level, overrides)
        cables = cable_rates(level, overrides)
        traffics = traffics_of(boards.machine, ghost_batches, folder)
        self._names = [name for name, _ in traffics]
        # Columns as in Traffic.seconds, for all algorithms at once.
        counts = np.array([astuple(traffic) for _, traffic in traffics], float).reshape(-1, 4)
        self._pieces, n_rounds, crossings, busiest = counts.T
        self._latency = n_rounds * cables.round_start + crossings * cables.crossing
        self._per_element = busiest / cables.cable

    def fastest(self, n_elements: int) -> tuple[str, float]:
        """Return the fastest algorithm over the cables, and the time to sum over all boards.

        A single board sums nothing over cables; its algorithm is empty.
        """
        between = self._between_machines(n_elements)
        if not self._names or not n_elements:
            return "", between
        in_piece = GROUP * np.ceil(n_elements / (GROUP * self._pieces))
        seconds = self._latency + in_piece * self._per_element
        best = int(seconds.argmin())
        return self._names[best], float(seconds[best]) + between

    def _between_machines(self, n_elements: int) -> float:
        """Return the time to sum over machines what each has summed.

        Half-way through a machine's sum every board holds an equal share of it. Boards hand their
        shares to their hosts, corresponding hosts of all machines sum them (a reduce-scatter and an
        all-gather, Rabenseifner 2004), and the boards take them back.
        """
        machines, hosts = self._boards.machines, self._hosts
        if machines == 1 or not n_elements:
            return 0.0
        n_bytes = n_elements * SUM_BYTES
        board, host = n_bytes / self._boards.machine.n_boards, n_bytes / self._boards.n_hosts
        return (
            2 * hosts.round_trip
            + max(board / hosts.read, host / hosts.boards)
            + 2 * (machines - 1) / machines * host / hosts.network
            + 2 * (machines - 1).bit_length() * hosts.latency
            + max(board / hosts.write, host / hosts.boards)
        )


def cable_rates(level: Level, overrides: Mapping[str, float]) -> LinkRates:
    """Return what the cables between boards do."""
    at = rates(level, overrides)
    return LinkRates(
        cable=CHANNELS * at.cable_link,
        round_start=at.round_start,
        crossing=CHIPS_ACROSS * at.hop_latency,
    )


def hosts_at(level: Level, overrides: Mapping[str, float]) -> HostRates:
    """Return what hosts do."""
    check_overrides(overrides)
    return replace(
        host_rates(level),
        read=value_of("host_read", level, overrides),
        write=value_of("host_write", level, overrides),
        boards=value_of("host_boards_rate", level, overrides),
    )


def input_seconds(
    n_boards: int, board_bytes: int, level: Level, overrides: Mapping[str, float]
) -> float:
    """Return how long pixels take from the hosts into the boards, each over its own Ethernet.

    Parameters
    ----------
    n_boards : of a machine.
    board_bytes : into each board.
    """
    hosts = hosts_at(level, overrides)
    return max(board_bytes / hosts.write, min(HOST_BOARDS, n_boards) * board_bytes / hosts.boards)


@cache
def traffics_of(machine: Machine, ghost_batches: int, folder: Path | None) -> Traffics:
    """Return the algorithms of a machine, from the folder where they have been counted before."""
    if folder is None or machine.n_boards == 1:
        return _count(machine, ghost_batches)
    path = folder / f"sums-{_key(machine, ghost_batches)}.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return tuple((name, Traffic(*counts)) for name, *counts in kept)
    except (OSError, ValueError, TypeError):  # not there, or not what was written
        found = _count(machine, ghost_batches)
        folder.mkdir(parents=True, exist_ok=True)
        replace_text(path, json.dumps([[name, *astuple(traffic)] for name, traffic in found]))
        return found


def _count(machine: Machine, ghost_batches: int) -> Traffics:
    algorithms = link_algorithms(machine, Wire(ghost_batches))
    return tuple((algorithm.name, algorithm.traffic) for algorithm in algorithms)


def _key(machine: Machine, ghost_batches: int) -> str:
    """Return a hash of all that the counts depend on, the program that counts among it."""
    text = hashlib.sha256(f"{ghost_batches} {machine.wraps} {machine.cores.shape}".encode())
    for array in (machine.boards, machine.board_at, machine.cores, machine.links):
        text.update(np.ascontiguousarray(array).tobytes())
    text.update(_sources())
    return text.hexdigest()[:32]


@cache
def _sources() -> bytes:
    """Return a hash of the modules that plan sums and describe machines."""
    text = hashlib.sha256()
    for package in (orchestrator.collectives.plan, orchestrator.machine):
        for path in sorted(Path(str(package.__file__)).parent.glob("*.py")):
            text.update(path.read_bytes())
    return text.digest()
