"""``regatta machine selftest``."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestrator.boards.hardware import MachineControl, allocated, given_host, open_machine
from orchestrator.boards.hardware.control import LOADED
from orchestrator.boards.hardware.failures import MachineTimeout
from orchestrator.boards.hardware.reports import FAILED
from orchestrator.boards.hardware.selftest import SelfTestReport, count, run_selftest
from orchestrator.cli.machine_options import (
    check_belongs,
    check_one,
    parse_chips,
    parse_slots,
)
from orchestrator.cli.output import check_json, write_json
from orchestrator.errors import ArgumentError, RunError
from orchestrator.virtual.image import build_image
from orchestrator.virtual.running import RunningCores
from orchestrator.virtual.serving.configuration import load_virtual_machine
from orchestrator.virtual.serving.machine import VirtualMachine


def selftest(
    config: Path | None,
    *,
    host: str | None,
    bmp: str | None,
    slots: str | None,
    server: str | None,
    boards: int | None,
    owner: str | None,
    chips: str | None,
    timeout: float,
    json_path: Path | None,
) -> None:
    """Test a machine and print what is sick.

    Raises
    ------
    ArgumentError
        Options that do not fit together, or parts that the machine does not have.
    RunError
        Something is sick, or the machine fails altogether.
    MissingToolError
        The image cannot be built, or spinnman is not installed.
    """
    check_json(json_path)
    check_one(config, host, server)
    for option, value in (("--boards", boards), ("--owner", owner)):
        check_belongs(option, value, "--spalloc", server)
    check_belongs("--bmp", bmp, "--host", host)
    check_belongs("--slots", slots, "--bmp", bmp)
    chosen, places = parse_chips(chips), parse_slots(slots)
    if not 0 < timeout < float("inf"):
        raise ArgumentError(f"--timeout is {timeout:g}: give a number of seconds above 0")
    progress = Console(stderr=True, highlight=False)

    def note(text: str) -> None:
        progress.print(escape(text), style="dim", soft_wrap=True)

    image = build_image()
    with contextlib.ExitStack() as stack:
        if config is not None:
            control = stack.enter_context(_virtual(config))
        elif server is not None:
            control = stack.enter_context(
                _from_server(server, 1 if boards is None else boards, owner, note)
            )
        else:
            assert host is not None  # by check_one
            given = given_host(host, bmp=bmp, slots=places)
            control = stack.enter_context(open_machine(given))
        cores = [core for core in control.cores if chosen is None or core[:2] in chosen]
        if cores:  # else `run_selftest` says what is wrong with the chips
            note(f"loading the image on {count(len(cores), 'core')}")
            try:
                control.load(image.binary, cores, LOADED | FAILED)
            except MachineTimeout as error:  # the test names these cores too
                note(str(error))
        report = run_selftest(control, image.symbols, chips=chosen, timeout=timeout, note=note)
        print_report(report)
        write_json(json_path, report.as_json())
        try:
            control.stop()
        except RunError as error:
            note(f"the program is still on the cores, until the next start ends it: {error}")
    if not report.well:
        sick = ", ".join(count(n, part) for part, n in report.counts() if n)
        raise RunError(f"the machine is not well: {sick}")


@contextlib.contextmanager
def _virtual(config: Path) -> Iterator[MachineControl]:
    """Serve a virtual machine, switched on, and open it."""
    settings = dataclasses.replace(load_virtual_machine(config), powered=True)
    with VirtualMachine(settings, open_cores=RunningCores) as machine:
        version = 3 if settings.shape == "spinn3" else 5
        boards = given_host(machine.places[0].address, version=version)
        with open_machine(boards) as control:
            yield control


@contextlib.contextmanager
def _from_server(
    server: str, boards: int, owner: str | None, note: Callable[[str], None]
) -> Iterator[MachineControl]:
    """Wait for boards of a server and open them."""
    if owner is None:
        raise ArgumentError("--spalloc: the server wants to know who asks; give --owner E-MAIL")
    with allocated(server, boards, owner=owner, on_state=note) as job:
        with open_machine(job.boards, job=job) as control:
            yield control


def print_report(report: SelfTestReport, console: Console | None = None) -> None:
    """Print a table of sick parts, what stopped cores say, and a summary."""
    console = console or Console(highlight=False)
    if report.findings:
        table = Table(title="Sick parts", title_justify="left")
        for column in ("part", "fault", "test", "what was found"):
            table.add_column(column, overflow="fold")
        for finding in report.findings:
            table.add_row(
                finding.part, finding.fault.value, escape(finding.test), escape(finding.text)
            )
        console.print(table)
        for finding in report.findings:
            if finding.detail:
                console.print(escape(finding.detail))
    tried = (
        f"{report.cases} cases on {count(report.cores, 'core')} of {count(report.chips, 'chip')}, "
        f"and {count(report.links, 'link end')}, in {report.seconds:.1f} s"
    )
    console.print(f"{tried}: {'all well' if report.well else 'not all well'}")
