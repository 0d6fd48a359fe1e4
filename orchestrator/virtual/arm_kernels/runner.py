"""Runs tasks on one emulated core: arrays into SDRAM, a tape, results back."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import RunError
from orchestrator.virtual.core import Core, Stop
from orchestrator.virtual.tasks import Report, Task, tape
from orchestrator.wire.layout import SDRAM

Array = NDArray[Any]
Number = TypeVar("Number", bound=np.generic)

_ALIGNMENT = 8
_USER0, _USER1, _USER2, _DONE = 112, 116, 120, 96


class TaskDoor(ABC):
    """Where kernels put their operands and tasks: memory for one call at a time, and a tape."""

    @property
    @abstractmethod
    def symbols(self) -> Mapping[str, int]:
        """Addresses in the image that runs the tasks."""

    @abstractmethod
    def clear(self) -> None:
        """Forget all arrays."""

    @abstractmethod
    def take(self, size: int) -> int:
        """Return the address of so many bytes, aligned to 8, with what was there before."""

    @abstractmethod
    def put(self, array: Array) -> int:
        """Copy an array into SDRAM and return its address."""

    def put_optional(self, array: Array | None) -> int:
        """Do as `put`; return 0, which kernels take for "not there", where there is no array."""
        return 0 if array is None else self.put(array)

    @abstractmethod
    def get(self, address: int, dtype: type[Number], shape: tuple[int, ...]) -> NDArray[Number]:
        """Return a copy of an array in SDRAM."""

    @abstractmethod
    def run(self, *tasks: Task) -> None:
        """Run tasks, one after the other."""

    def report(self, address: int) -> tuple[int, int]:
        """Return the bits and the saturations of a task's report."""
        found = Report.from_buffer_copy(self.get(address, np.uint8, (16,)).tobytes())
        return found.bits_high << 32 | found.bits_low, found.saturated


class CoreRunner(TaskDoor):
    """One core, booted, and the SDRAM of its chip as memory for one call at a time.

    Parameters
    ----------
    core : with the board's image; nobody else uses it or its chip's SDRAM.

    Attributes
    ----------
    cycles : of the last `run`.
    dma_bytes : moved in it.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self.cycles = self.dma_bytes = 0
        self._next = SDRAM
        self._sequence = 0
        core.boot()

    @property
    def symbols(self) -> Mapping[str, int]:
        """Addresses in the core's image."""
        return self.core.image.symbols

    def clear(self) -> None:
        """Forget all arrays."""
        self._next = SDRAM

    def take(self, size: int) -> int:
        """Return the address of so many bytes, aligned to 8, with what was there before.

        Raises
        ------
        RunError
            The chip's SDRAM is full.
        """
        address = self._next
        end = address + -(-size // _ALIGNMENT) * _ALIGNMENT
        if end > SDRAM + self.core.chip.sdram.size:
            raise RunError(
                f"the tensors of one call take more than the emulated chip's SDRAM, "
                f"{self.core.chip.sdram.size} bytes"
            )
        self._next = end
        return address

    def put(self, array: Array) -> int:
        """Copy an array into SDRAM and return its address."""
        data = np.ascontiguousarray(array)
        address = self.take(data.nbytes)
        self.core.chip.memory(address, data.nbytes)[:] = data.reshape(-1).view(np.uint8)
        return address

    def get(self, address: int, dtype: type[Number], shape: tuple[int, ...]) -> NDArray[Number]:
        """Return a copy of an array in SDRAM."""
        count = int(np.prod(shape))
        found = self.core.chip.memory(address, count * np.dtype(dtype).itemsize)
        return found.view(dtype).reshape(shape).copy()

    def run(self, *tasks: Task) -> None:
        """Run tasks, one after the other.

        Raises
        ------
        CoreStopped
            A task met a fault.
        RunError
            The core sleeps before all tasks are done.
        """
        chip, vcpu = self.core.chip, self.core.chip.vcpu(self.core.number)
        self._sequence += 1
        chip.write_word(vcpu + _USER0, self.put(np.frombuffer(tape(tasks), np.uint8)))
        chip.write_word(vcpu + _USER1, self._sequence)
        before, moved = self.core.cycles, self.core.dma_bytes
        self.core.interrupt()
        stop = self.core.run()
        self.cycles = self.core.cycles - before
        self.dma_bytes = self.core.dma_bytes - moved
        if stop is not Stop.SLEEPING or chip.read_word(vcpu + _DONE) != self._sequence:
            done = chip.read_word(vcpu + _USER2)
            raise RunError(
                f"core {self.core.number} stopped after {done} of {len(tasks)} tasks: {stop.name}"
            )
