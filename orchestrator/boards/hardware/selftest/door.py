"""What a self-test needs of a machine: memory, tapes, neighbours' memory."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from orchestrator.boards.hardware.pieces import Read, Write
from orchestrator.boards.hardware.reports import CoreId, CoreReport
from orchestrator.machine import Faults, Link, Machine


class Door(Protocol):
    """A machine whose application cores run the image and wait for tapes.

    `MachineControl` is one over the network. Whatever does not answer raises a `RunError`.
    """

    @property
    def machine(self) -> Machine:
        """The chips and links that work, as far as the machine knows."""

    @property
    def dead(self) -> Faults:
        """The parts that its boards ought to have and that the machine itself lacks."""

    @property
    def cores(self) -> tuple[CoreId, ...]:
        """The cores that run the image."""

    def take(self, x: int, y: int, size: int, /) -> int:
        """Return the address of SDRAM of a chip that is ours from now on, aligned to 8 bytes."""

    def write(self, x: int, y: int, address: int, data: bytes, /) -> None:
        """Write a chip's memory."""

    def read(self, x: int, y: int, address: int, size: int, /) -> bytes | bytearray:
        """Read a chip's memory."""

    def write_many(self, writes: Sequence[Write], /) -> None:
        """Write many, boards side by side."""

    def read_many(self, reads: Sequence[Read], /) -> Sequence[bytes | bytearray]:
        """Read many, boards side by side."""

    def fill(self, x: int, y: int, address: int, word: int, size: int, /) -> None:
        """Fill memory with a word."""

    def start_tapes(self, tapes: Mapping[CoreId, int], /) -> int:
        """Start all of these tapes at once; addresses are in the SDRAM of each core's chip."""

    def wait_tapes(self, cores: Sequence[CoreId], timeout: float, /) -> Mapping[CoreId, CoreReport]:
        """Return what each core says once it has ended its tape or failed, or time has run out."""

    def link_read(
        self, x: int, y: int, link: Link, address: int, size: int, /
    ) -> bytes | bytearray:
        """Read the memory of the chip at the other end of a link."""

    def link_write(self, x: int, y: int, link: Link, address: int, data: bytes, /) -> None:
        """Write the memory of the chip at the other end of a link."""
