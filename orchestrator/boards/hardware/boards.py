"""Which boards a host may use, and how to reach them."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

from orchestrator.errors import ArgumentError

SIMULATED: Final = "127.0.0.1"
"""spinnman takes this address for a machine of its own making and talks to nobody."""

VERSIONS: Final = (3, 5)
"""Board types: SpiNN-3 of 4 chips, SpiNN-5 of 48."""


class Bmp(NamedTuple):
    """A board management processor and the slots of its frame that are ours.

    Attributes
    ----------
    host
        Name or address.
    slots
        Positions in the frame, 0 to 23; a single board is in slot 0.
    """

    host: str
    slots: tuple[int, ...] = (0,)


@dataclass(frozen=True, kw_only=True)
class Boards:
    """Boards that make one machine.

    Attributes
    ----------
    host
        Name or address of the board whose Ethernet chip is (0, 0).
    version
        3 or 5; None to ask a booted board, and to boot a silent one as 5.
    connections
        Address of each board by the coordinates of its Ethernet chip; empty to find them.
    size
        Chips in x and y that the machine must have; None to take what is there.
    bmp
        What powers the boards; None if that is not ours to do.
    """

    host: str
    version: int | None = None
    connections: Mapping[tuple[int, int], str] = field(default_factory=lambda: MappingProxyType({}))
    size: tuple[int, int] | None = None
    bmp: Bmp | None = None


def given_host(
    host: str,
    *,
    version: int | None = None,
    bmp: str | None = None,
    slots: tuple[int, ...] = (0,),
) -> Boards:
    """Return the boards behind a host name: those that come up together when this one boots.

    Parameters
    ----------
    host
        Of the board whose Ethernet chip is (0, 0).
    version
        3 or 5; None to ask the board.
    bmp
        Name or address of the processor that powers the boards; None if they are on.
    slots
        Their positions in its frame, 0 to 23.

    Raises
    ------
    ArgumentError
        No such host, or a value that is not allowed.
    """
    if version is not None and version not in VERSIONS:
        raise ArgumentError(f"board version is {version}: 3 (4 chips) or 5 (48 chips)")
    check_host("board", host)
    if bmp is None:
        return Boards(host=host, version=version)
    check_host("BMP", bmp)
    if not slots or not all(0 <= slot < 24 for slot in slots):
        raise ArgumentError(f"BMP slots are {slots}: at least one of 0 to 23")
    return Boards(host=host, version=version, bmp=Bmp(bmp, tuple(slots)))


def check_host(what: str, host: str) -> None:
    """Raise ArgumentError for a name that has no address, or that spinnman would not ask."""
    if not host:
        raise ArgumentError(f"the {what}'s host name is empty")
    try:
        address = socket.gethostbyname(host)
    except OSError as error:
        raise ArgumentError(f"{what} {host}: {error.strerror}") from error
    except UnicodeError as error:  # a part of it is empty or too long
        raise ArgumentError(f"{what} {host}: this is no host name") from error
    if address == SIMULATED:
        raise ArgumentError(
            f"{what} {host} is {SIMULATED}, which spinnman takes for a machine of its own making; "
            "a virtual machine has other addresses of 127.0.0.0/8, such as 127.0.5.1"
        )
