"""What virtual machine to serve: a YAML file's keys, and the addresses of its boards.

A board is a loopback address of its own. Boards stand in frames: in a frame with the addresses
``a.b.c.0`` and up, the BMP is at ``a.b.c.0`` and board ``n`` at ``a.b.c.(8 n + 1)``; the next frame
is at ``a.b.(c + 1).0``. This is how spalloc numbers real machines (spalloc_server
``configuration.py``, ``Machine.with_standard_ips``).
"""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from orchestrator.config.load import load_section, parse_section
from orchestrator.config.schema import about, check_fields
from orchestrator.errors import ConfigError
from orchestrator.machine.build import single_board, spinn3, triads
from orchestrator.machine.links import Link
from orchestrator.machine.machine import Board, Faults, Machine

_BOARD_STEP: Final = 8
_FRAME_STEP: Final = 256
_REFUSED: Final = "127.0.0.1"


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadConfig:
    """Parts that do not work from the start, in the coordinates of the machine as it is built."""

    boards: tuple[tuple[int, int, int], ...] = field(
        default=(), metadata=about("boards (x, y, z)", low=0)
    )
    chips: tuple[tuple[int, int], ...] = field(default=(), metadata=about("chips (x, y)", low=0))
    cores: tuple[tuple[int, int, int], ...] = field(
        default=(), metadata=about("cores (x, y, physical number)", low=0)
    )
    links: tuple[tuple[int, int, int], ...] = field(
        default=(), metadata=about("links (x, y, link 0 to 5), dead both ways", low=0)
    )
    cables: tuple[tuple[int, int, int, int], ...] = field(
        default=(), metadata=about("cables (x, y, z, direction 0 to 5)", low=0)
    )

    def __post_init__(self) -> None:
        check_fields(self, "dead")
        for name in ("links", "cables"):
            for part in getattr(self, name):
                if part[-1] not in set(Link):
                    raise ConfigError(f"dead.{name}: link {part[-1]} is not one of 0 to 5")

    def faults(self) -> Faults:
        """Return the same as a machine's faults."""
        return Faults(
            boards=frozenset(self.boards),
            chips=frozenset(self.chips),
            cores=frozenset(self.cores),
            links=frozenset((x, y, Link(link)) for x, y, link in self.links),
            cables=frozenset((x, y, z, Link(link)) for x, y, z, link in self.cables),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class VirtualMachineConfig:
    """A virtual machine."""

    shape: Literal["spinn3", "spinn5", "triads"] = field(
        default="spinn5",
        metadata=about("one board of 4 chips, one of 48, or triads of boards of 48"),
    )
    triads: tuple[int, int] = field(
        default=(1, 1), metadata=about("columns and rows of triads, for that shape", low=1)
    )
    torus: tuple[bool, bool] = field(
        default=(True, True), metadata=about("whether columns and rows of triads close")
    )
    base_address: str = field(
        default="127.0.64.0", metadata=about("address of the first frame's BMP; ends in .0")
    )
    boards_per_frame: int = field(
        default=24, metadata=about("boards behind one BMP", low=1, high=24)
    )
    booted: bool = field(
        default=False, metadata=about("whether the boards are booted when serving starts")
    )
    powered: bool = field(
        default=True, metadata=about("whether the boards have power when serving starts")
    )
    boot_ms: int = field(
        default=500, metadata=about("from the end of the image to a machine, ms", low=0, high=60000)
    )
    dead: DeadConfig = field(
        default_factory=DeadConfig, metadata=about("parts that do not work from the start")
    )

    def __post_init__(self) -> None:
        check_fields(self, "")
        if self.booted and not self.powered:
            raise ConfigError("booted: true is not allowed where powered is false")
        if self.shape != "triads" and self.triads != (1, 1):
            raise ConfigError(f"triads: {list(self.triads)} is of use with shape triads only")
        try:
            address = ipaddress.IPv4Address(self.base_address)
        except ValueError:
            raise ConfigError(f"base_address: {self.base_address} is no IPv4 address") from None
        if int(address) % _FRAME_STEP:
            raise ConfigError(f"base_address: {address} does not end in .0")
        try:
            places = board_places(self)
        except ipaddress.AddressValueError:
            raise ConfigError(
                f"base_address: behind {address} are too few addresses for the boards"
            ) from None
        if _REFUSED in (place.address for place in places):
            raise ConfigError(
                f"base_address: {address} would put a board at {_REFUSED}, which spinnman takes "
                "for its own simulation; take another one, such as 127.0.64.0"
            )

    def machine(self) -> Machine:
        """Return the machine as it is built, without its dead parts.

        Raises
        ------
        ArgumentError
            A dead part that is not in the machine, or no board that works.
        """
        dead = self.dead.faults()
        if self.shape == "spinn3":
            return spinn3(dead)
        if self.shape == "spinn5":
            return single_board(dead)
        return triads(*self.triads, self.torus, dead)


@dataclass(frozen=True, kw_only=True, slots=True)
class BoardPlace:
    """Where a board is: (x, y, z) in the machine, frame and slot, addresses of it and its BMP."""

    board: Board
    frame: int
    slot: int
    address: str
    bmp_address: str


def board_places(config: VirtualMachineConfig) -> list[BoardPlace]:
    """Return the places of all boards, dead ones too, column by column of triads.

    Examples
    --------
    >>> places = board_places(VirtualMachineConfig(shape="triads", boards_per_frame=3))
    >>> [(place.board, place.address, place.bmp_address) for place in places][1]
    ((0, 0, 1), '127.0.64.9', '127.0.64.0')
    """
    width, height = config.triads
    each = range(3) if config.shape == "triads" else range(1)
    boards = [(x, y, z) for x in range(width) for y in range(height) for z in each]
    base = ipaddress.IPv4Address(config.base_address)
    places = []
    for index, board in enumerate(boards):
        frame, slot = divmod(index, config.boards_per_frame)
        bmp = base + _FRAME_STEP * frame
        address = str(bmp + _BOARD_STEP * slot + 1)
        places.append(
            BoardPlace(board=board, frame=frame, slot=slot, address=address, bmp_address=str(bmp))
        )
    return places


def load_virtual_machine(path: str | Path) -> VirtualMachineConfig:
    """Return the machine that a YAML file describes.

    Raises
    ------
    ConfigError
        The file cannot be read, or a key or value is not allowed.
    """
    return load_section(VirtualMachineConfig, path)


def parse_virtual_machine(text: str) -> VirtualMachineConfig:
    """Return the machine that YAML text describes.

    >>> parse_virtual_machine("{shape: triads, triads: [2, 1], booted: true}").triads
    (2, 1)
    """
    return parse_section(VirtualMachineConfig, text, "the virtual machine")
