"""``regatta bench``: measurements of single parts, each beside its peer in the same run."""

import shlex
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.options import JsonPath

if TYPE_CHECKING:
    from rich.table import Table

bench_app = typer.Typer(
    help="Measure a part beside its peer, both in one run.", no_args_is_help=True
)

Rounds = Annotated[int, typer.Option("--rounds", help="Rounds; figures are their medians.")]
Threads = Annotated[int, typer.Option("--threads", help="Threads of both sides.")]
KernelSet = Annotated[
    str | None,
    typer.Option(
        "--set",
        metavar="SET",
        help="Kernel set: portable, neon, avx2, avxvnni, avx512, avx512vnni; by default the best.",
    ),
]


class Target(StrEnum):
    """Whose kernels."""

    HOST = "host"
    ARM968 = "arm968"


_OF_THE_HOST = ("rounds", "threads", "kernel_set")


@bench_app.command()
def kernels(
    context: typer.Context,
    target: Annotated[
        Target,
        typer.Option("--target", help="This machine's, or an emulated SpiNNaker core's."),
    ] = Target.HOST,
    layers: Annotated[
        str, typer.Option("--layers", help="Kernel size, such as 3x3, or all.")
    ] = "all",
    batch: Annotated[int, typer.Option("--batch", help="Images.")] = 16,
    rounds: Rounds = 5,
    threads: Threads = 1,
    kernel_set: KernelSet = None,
    network: Annotated[str, typer.Option("--network", help="Whose convolutions.")] = "resnet50",
    image_size: Annotated[
        int, typer.Option("--image-size", help="Height and width of its input.")
    ] = 224,
    json_path: JsonPath = None,
) -> None:
    """Convolutions by layer and pass: beside PyTorch's in float32, or a core's beside plain C."""

    def measure() -> "tuple[dict[str, Any], Table]":
        if target is Target.ARM968:
            return _arm_kernels(context, layers, batch, network, image_size)
        from orchestrator.bench.kernels import run, table

        result = run(
            layers=layers,
            batch=batch,
            rounds=rounds,
            threads=threads,
            kernel_set=kernel_set,
            network=network,
            image_size=image_size,
        )
        return result, table(result)

    _report(context, measure, json_path)


def _arm_kernels(
    context: typer.Context, layers: str, batch: int, network: str, image_size: int
) -> "tuple[dict[str, Any], Table]":
    from orchestrator.bench.arm_kernels import run, table
    from orchestrator.errors import ArgumentError

    for name in _OF_THE_HOST:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = "set" if name == "kernel_set" else name
            raise ArgumentError(f"--{option} is for --target host: an emulated core counts cycles")
    result = run(layers=layers, batch=batch, network=network, image_size=image_size)
    return result, table(result)


@bench_app.command()
def step(
    context: typer.Context,
    network: Annotated[str, typer.Option("--network", help="What is trained.")] = "resnet50",
    batch: Annotated[int, typer.Option("--batch", help="Images of a step.")] = 16,
    ghost_batch: Annotated[
        int | None, typer.Option("--ghost-batch", help="Images of a pass; the batch by default.")
    ] = None,
    rounds: Rounds = 5,
    threads: Threads = 1,
    kernel_set: KernelSet = None,
    image_size: Annotated[
        int | None,
        typer.Option("--image-size", help="Height and width; the network's usual by default."),
    ] = None,
    json_path: JsonPath = None,
) -> None:
    """Whole training steps and their memory, beside PyTorch's in float32."""

    def measure() -> "tuple[dict[str, Any], Table]":
        from orchestrator.bench.step import run, table

        result = run(
            network=network,
            batch=batch,
            ghost_batch=ghost_batch,
            rounds=rounds,
            threads=threads,
            kernel_set=kernel_set,
            image_size=image_size,
        )
        return result, table(result)

    _report(context, measure, json_path)


@bench_app.command()
def data(
    context: typer.Context,
    path: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER]", help="Image folder or tar; made images by default."),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="Folder inside it.")] = "train",
    images: Annotated[int, typer.Option("--images", help="Images of a round.")] = 128,
    rounds: Rounds = 5,
    size: Annotated[int, typer.Option("--size", help="Height and width of the input.")] = 224,
    json_path: JsonPath = None,
) -> None:
    """JPEGs to input tensors, beside Pillow and torch."""

    def measure() -> "tuple[dict[str, Any], Table]":
        from orchestrator.bench.data import run, table

        result = run(path, split=split, images=images, rounds=rounds, size=size)
        return result, table(result)

    _report(context, measure, json_path)


@bench_app.command()
def allreduce(
    context: typer.Context,
    ranks: Annotated[int, typer.Option("--ranks", help="Ranks, on this host.")] = 2,
    rounds: Rounds = 9,
    network: Annotated[str, typer.Option("--network", help="Whose gradient.")] = "resnet50",
    json_path: JsonPath = None,
) -> None:
    """Exchange of a network's gradient, beside Horovod."""

    def measure() -> "tuple[dict[str, Any], Table]":
        from orchestrator.bench.allreduce import run, table

        result = run(ranks=ranks, rounds=rounds, network=network)
        return result, table(result)

    _report(context, measure, json_path)


@bench_app.command()
def emulator(
    context: typer.Context,
    layers: Annotated[
        str, typer.Option("--layers", help="Kernel size, such as 3x3, or all.")
    ] = "all",
    batch: Annotated[int, typer.Option("--batch", help="Images.")] = 16,
    rounds: Rounds = 3,
    network: Annotated[str, typer.Option("--network", help="Whose convolutions.")] = "resnet20",
    image_size: Annotated[
        int, typer.Option("--image-size", help="Height and width of its input.")
    ] = 32,
    json_path: JsonPath = None,
) -> None:
    """Convolutions on an emulated core, beside itself with host functions as inner products."""

    def measure() -> "tuple[dict[str, Any], Table]":
        from orchestrator.bench.emulator import run, table

        result = run(
            layers=layers, batch=batch, rounds=rounds, network=network, image_size=image_size
        )
        return result, table(result)

    _report(context, measure, json_path)


@bench_app.command()
def transfer(
    context: typer.Context,
    megabytes: Annotated[
        float, typer.Option("--megabytes", help="Of a transfer, 10^6 bytes, at most 100.")
    ] = 16,
    rounds: Rounds = 3,
    json_path: JsonPath = None,
) -> None:
    """Memory to and from a virtual board, beside spinnman; with datagrams lost as well."""

    def measure() -> "tuple[dict[str, Any], Table]":
        from orchestrator.bench.transfer import run, table

        result = run(megabytes=megabytes, rounds=rounds)
        return result, table(result)

    _report(context, measure, json_path)


def _report(
    context: typer.Context,
    measure: "Callable[[], tuple[dict[str, Any], Table]]",
    json_path: Path | None,
) -> None:
    """Measure, print the table and what it was measured on, and write the JSON file."""
    from rich.console import Console

    from orchestrator.bench.machine import machine
    from orchestrator.cli.output import check_json, write_json

    check_json(json_path)
    facts = machine()
    result, shown = measure()
    console = Console()
    console.print(shown)
    console.print(
        f"{facts['processor']}, {facts['cores']} cores, load {facts['load']} at the start"
    )
    facts["load_at_end"] = machine()["load"]
    names = {"bench": context.info_name, "command": _command(context)}
    write_json(json_path, names | {"machine": facts} | result)


def _command(context: typer.Context) -> str:
    """Return the command as it was given, without the JSON file and without folders of paths."""
    words = ["regatta", "bench", str(context.info_name)]
    for parameter in context.command.params:
        key = str(parameter.name)
        source = context.get_parameter_source(key)
        if key == "json_path" or source is None or source.name != "COMMANDLINE":
            continue
        value = context.params[key]
        if parameter.param_type_name == "option":
            words.append(parameter.opts[0])
        words.append(value.name if isinstance(value, Path) else str(value))
    return shlex.join(words)
