"""The way over the hosts: each board's Ethernet up, MPI between hosts, Ethernet down."""

from dataclasses import dataclass

from orchestrator.collectives.plan.wire import Wire
from orchestrator.errors import ArgumentError
from orchestrator.machine.constants import Level, constant
from orchestrator.machine.machine import Machine

SUM_BYTES = 4
"""Hosts exchange int32."""


@dataclass(frozen=True, slots=True)
class HostRates:
    """What boards' Ethernet and the network between hosts do; bytes/s and seconds.

    Attributes
    ----------
    read, write : one board's Ethernet, from and to the board.
    boards : one host from, or to, all its boards together.
    round_trip : a request to a board and its reply.
    network, latency : between hosts, each way; of one message.
    """

    read: float
    write: float
    boards: float
    round_trip: float
    network: float
    latency: float


def host_rates(level: Level = Level.TYPICAL) -> HostRates:
    """Return the rates of slow (low), typical or fast (high) hosts."""
    return HostRates(
        read=constant("host_read").at(level),
        write=constant("host_write").at(level),
        boards=constant("host_boards_rate").at(level),
        round_trip=constant("host_round_trip").at(level.opposite),
        network=constant("network_rate").at(level),
        latency=constant("network_latency").at(level.opposite),
    )


@dataclass(frozen=True, slots=True)
class HostPath:
    """The hosts of a machine, which can sum what its boards hold; made by `host_path`.

    Attributes
    ----------
    n_boards : boards, shared evenly among the hosts.
    n_hosts : 1 to n_boards.
    wire : the width of sums.
    rates : of the hosts.
    """

    n_boards: int
    n_hosts: int
    wire: Wire
    rates: HostRates

    def seconds(self, n_elements: int) -> float:
        """Return the time to sum n_elements over all boards: read, sum between hosts, write.

        The sum between hosts is a reduce-scatter and an all-gather, 2 (h - 1) / h of the buffer in
        2 ceil(log2 h) messages (Rabenseifner 2004). The stages follow each other.
        """
        if not n_elements:
            return 0.0
        rates, hosts = self.rates, self.n_hosts
        share = -(-self.n_boards // hosts)
        up = n_elements * self.wire.element_bytes(1)
        down = n_elements * self.wire.element_bytes(self.n_boards)
        between = 2 * (hosts - 1) / hosts * n_elements * SUM_BYTES / rates.network
        return (
            2 * rates.round_trip
            + max(up / rates.read, share * up / rates.boards)
            + between
            + 2 * (hosts - 1).bit_length() * rates.latency
            + max(down / rates.write, share * down / rates.boards)
        )


def host_path(machine: Machine, n_hosts: int, wire: Wire, rates: HostRates) -> HostPath:
    """Return the way over the hosts of a machine.

    Raises
    ------
    ArgumentError
        A host without a board, or a board whose Ethernet chip is dead.
    """
    if not 1 <= n_hosts <= machine.n_boards:
        raise ArgumentError(
            f"{n_hosts} hosts for {machine.n_boards} boards: each host has at least one"
        )
    if not machine.has_host_link.all():
        board = tuple(machine.boards[~machine.has_host_link][0].tolist())
        raise ArgumentError(
            f"the Ethernet chip of board {board} is dead: what it holds cannot be summed over "
            "hosts; sum over cables alone"
        )
    return HostPath(machine.n_boards, n_hosts, wire, rates)
