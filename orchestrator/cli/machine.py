"""``regatta machine``: virtual machines to serve, machines to look at and to test."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import JsonPath

machine_app = typer.Typer(
    help="Serve a virtual machine; show and test machines, real and virtual.", no_args_is_help=True
)

VirtualPath = Annotated[
    Path,
    typer.Argument(help="Configuration of a virtual machine (YAML).", metavar="CONFIG"),
]
OptionalPath = Annotated[
    Path | None,
    typer.Argument(help="Configuration of a virtual machine (YAML).", metavar="[CONFIG]"),
]
Host = Annotated[
    str | None,
    typer.Option("--host", metavar="HOST", help="Name or address of the machine's first board."),
]
BmpHost = Annotated[
    str | None,
    typer.Option("--bmp", metavar="HOST", help="Board management processor: temperatures, power."),
]
Slots = Annotated[
    str | None,
    typer.Option("--slots", metavar="N,N", help="Positions of our boards in its frame; 0."),
]
Server = Annotated[
    str | None,
    typer.Option("--spalloc", metavar="HOST[:PORT]", help="Allocation server (spalloc)."),
]


@machine_app.command()
def serve(
    config: VirtualPath,
    faults: Annotated[
        Path | None,
        typer.Option("--faults", metavar="FILE", help="Plan of faults on demand (YAML)."),
    ] = None,
    beyond_loopback: Annotated[
        bool,
        typer.Option(
            "--beyond-loopback",
            help="Allow addresses that other computers reach. Nothing asks them for a password.",
        ),
    ] = False,
) -> None:
    """Serve a virtual machine on loopback addresses until Ctrl-C; spinnman and spalloc find it."""
    from orchestrator.cli.machine_serve import serve as run

    run(config, faults, beyond_loopback=beyond_loopback)


@machine_app.command()
def show(
    config: OptionalPath = None,
    host: Host = None,
    bmp: BmpHost = None,
    slots: Slots = None,
    spalloc: Server = None,
    name: Annotated[
        str | None,
        typer.Option("--machine", help="Which of the server's machines, if it has several."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Also write a picture (.png or .svg)."),
    ] = None,
    json_path: JsonPath = None,
) -> None:
    """Show a machine: chips, dead parts, states, temperatures, and who has which boards.

    One of CONFIG, --host and --spalloc says which. Looking changes nothing on it.
    """
    from orchestrator.cli.machine_show import show as run

    run(
        config, host=host, bmp=bmp, slots=slots, server=spalloc, name=name, plot=plot,
        json_path=json_path,
    )  # fmt: skip


@machine_app.command()
def selftest(
    config: OptionalPath = None,
    host: Host = None,
    bmp: BmpHost = None,
    slots: Slots = None,
    spalloc: Server = None,
    boards: Annotated[
        int | None, typer.Option("--boards", help="How many to ask the server for; 1.")
    ] = None,
    owner: Annotated[
        str | None, typer.Option("--owner", help="Who asks it, by custom an e-mail address.")
    ] = None,
    chips: Annotated[
        str | None,
        typer.Option("--chips", metavar="X,Y ...", help="Only these chips, as '0,0 4,3'."),
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", help="Seconds that the kernels may take.")
    ] = 600.0,
    json_path: JsonPath = None,
) -> None:
    """Run every kernel on every core, try every link, and list the sick parts (exit code 3).

    One of CONFIG (a virtual machine, served for the test), --host and --spalloc says where. What
    runs there as application 16 is stopped.
    """
    from orchestrator.cli.machine_selftest import selftest as run

    run(
        config, host=host, bmp=bmp, slots=slots, server=spalloc, boards=boards, owner=owner,
        chips=chips, timeout=timeout, json_path=json_path,
    )  # fmt: skip
