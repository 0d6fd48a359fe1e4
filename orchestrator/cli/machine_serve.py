"""``regatta machine serve``."""

import signal
from pathlib import Path
from types import FrameType

from rich.console import Console

from orchestrator.virtual.running import RunningCores
from orchestrator.virtual.serving.configuration import load_virtual_machine
from orchestrator.virtual.serving.faults import NO_FAULTS_ON_DEMAND, load_faults
from orchestrator.virtual.serving.machine import VirtualMachine

_MOST_LISTED = 12


def serve(config: Path, faults: Path | None, *, beyond_loopback: bool) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises
    ------
    ConfigError, ArgumentError
        A file that cannot be read, a key or value that is not allowed, addresses beyond loopback.
    RunError
        An address is in use, or the machine met a mistake of its own.
    """
    console = Console(highlight=False, soft_wrap=True)
    plan = NO_FAULTS_ON_DEMAND if faults is None else load_faults(faults)
    machine = VirtualMachine(
        load_virtual_machine(config),
        open_cores=RunningCores,
        faults=plan,
        beyond_loopback=beyond_loopback,
        report=console.print,
    )

    def stop(number: int, frame: FrameType | None) -> None:
        machine.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for place in machine.places[:_MOST_LISTED]:
            name = ",".join(map(str, place.board))
            console.print(f"board {name} at {place.address}, BMP {place.bmp_address}")
        if len(machine.places) > _MOST_LISTED:
            console.print(f"and {len(machine.places) - _MOST_LISTED} more")
        console.print(f"serving {config.stem}; Ctrl-C ends it")
        machine.serve()
        console.print("ended")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
