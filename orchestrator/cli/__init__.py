"""The ``regatta`` command: parse, call one function, turn errors into messages and exit codes."""

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from orchestrator import __version__
from orchestrator.cli.bench import bench_app
from orchestrator.cli.machine import machine_app
from orchestrator.cli.options import JsonPath
from orchestrator.errors import ArgumentError, RegattaError, RunError

# Typer keeps the base of its errors to itself.
_UsageError: type[Exception] = typer.BadParameter.__mro__[2]
_TYPER_INTERRUPTED = 130

app = typer.Typer(
    name="regatta",
    help="Exact data-parallel training of residual networks on SpiNNaker machines.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(bench_app, name="bench")
app.add_typer(machine_app, name="machine")

ConfigPath = Annotated[Path, typer.Argument(help="Configuration file (YAML).", metavar="CONFIG")]
CheckpointPath = Annotated[
    Path, typer.Argument(help="Checkpoint file, or a run directory.", metavar="CHECKPOINT")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a configuration key; repeatable."),
]


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"regatta {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Exact data-parallel training of residual networks on SpiNNaker machines."""


@app.command()
def train(
    config: ConfigPath,
    overrides: Overrides = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the run directory's last checkpoint.")
    ] = False,
    allow_other_decoder: Annotated[
        bool,
        typer.Option(
            "--allow-other-decoder",
            help="Resume although another image decoder made the pixels so far.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and stop.")
    ] = False,
    json_path: JsonPath = None,
) -> None:
    """Train: alone, or one rank per process under mpirun."""
    from orchestrator.cli.train import train as run

    run(
        config,
        overrides or [],
        resume=resume,
        allow_other_decoder=allow_other_decoder,
        dry_run=dry_run,
        json_path=json_path,
    )


@app.command()
def evaluate(
    checkpoint: CheckpointPath,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="CONFIG", help="Configuration; the checkpoint's own by default."
        ),
    ] = None,
    overrides: Overrides = None,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="Also list the accuracy of every class.")
    ] = False,
    json_path: JsonPath = None,
) -> None:
    """Evaluate a checkpoint: top-1, top-5 and loss, from exact counts."""
    from orchestrator.cli.evaluate import evaluate as run

    run(checkpoint, config, overrides or [], per_class=per_class, json_path=json_path)


@app.command()
def sweep(
    config: ConfigPath,
    batches: Annotated[
        str, typer.Option("--batches", help="Global batches, separated by commas.")
    ] = "128,1024,8192",
    optimizers: Annotated[
        str, typer.Option("--optimizers", help="Optimizers, separated by commas.")
    ] = "sgd,lars",
    seeds: Annotated[str, typer.Option("--seeds", help="Seeds, separated by commas.")] = "0",
    rates: Annotated[
        list[str] | None,
        typer.Option(
            "--rates",
            metavar="OPTIMIZER=R1,R2,...",
            help="Base rates to try for an optimizer; each batch keeps its best. Repeatable.",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", help="Directory of the sweep's runs and tables.")
    ] = Path("runs/sweep"),
    overrides: Overrides = None,
    json_path: JsonPath = None,
) -> None:
    """Train over batch sizes, optimizers and seeds; continues where it was interrupted."""
    from orchestrator.cli.sweep import sweep as run

    run(
        config,
        batches=batches,
        optimizers=optimizers,
        seeds=seeds,
        rates=rates or [],
        output=output,
        overrides=overrides or [],
        json_path=json_path,
    )


@app.command()
def plan(
    config: ConfigPath,
    overrides: Overrides = None,
    board: Annotated[
        str,
        typer.Option("--board", help="spinn5 (48 chips, slice.boards of them), spinn3, or chip."),
    ] = "spinn5",
    level: Annotated[
        str, typer.Option("--level", help="The machine's constants: low (slow), typical, high.")
    ] = "typical",
    constants: Annotated[
        list[str] | None,
        typer.Option(
            "--set-constant",
            metavar="NAME=VALUE",
            help="What if a constant of docs/machine.md were another: link_rate=24e6. Repeatable.",
        ),
    ] = None,
    beside: Annotated[
        bool,
        typer.Option(
            "--beside", help="Also compare with images, channels and pipeline alone (a minute)."
        ),
    ] = False,
    output: Annotated[Path, typer.Option("--output", help="Directory of the pictures.")] = Path(
        "runs/plan"
    ),
    timeline: Annotated[
        Path | None,
        typer.Option("--timeline", metavar="FILE", help="Also write a timeline for Perfetto."),
    ] = None,
    json_path: JsonPath = None,
) -> None:
    """Show how a step runs on a board slice: mapping, memory, exchanges, time and energy."""
    from orchestrator.cli.plan import plan as run

    run(
        config,
        overrides or [],
        board=board,
        level=level,
        constants=constants or [],
        beside=beside,
        output=output,
        timeline=timeline,
        json_path=json_path,
    )


@app.command()
def scale(
    config: ConfigPath,
    boards: Annotated[
        str, typer.Option("--boards", help="Numbers of boards, separated by commas.")
    ] = "1,3,6,12,24,48,120,240,600,1200",
    scaling: Annotated[
        str,
        typer.Option(
            "--scaling", help="weak (the batch grows with the boards), strong (it stays), or both."
        ),
    ] = "both",
    batch: Annotated[
        int | None,
        typer.Option("--batch", help="Weak scaling: images a slice and step; train.ghost_batch."),
    ] = None,
    global_batch: Annotated[
        int | None,
        typer.Option("--global-batch", help="Strong scaling: images a step; train.global_batch."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Network in place of model.name.")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            help="Epochs to train: mlperf (by batch, ResNet-50), a published training such as "
            "goyal-2017, or config (train.epochs).",
        ),
    ] = None,
    extrapolate: Annotated[
        bool,
        typer.Option("--extrapolate", help="Say how long beyond the batches a recipe is known at."),
    ] = False,
    epoch_images: Annotated[
        int, typer.Option("--epoch-images", help="Images of an epoch; by default ImageNet's.")
    ] = 1_281_167,
    what_if: Annotated[
        list[str] | None,
        typer.Option(
            "--what-if",
            metavar="NAME=VALUE",
            help="Change the machine: clock (MHz), cores (a chip), mantissa (bits); links, cables, "
            "ethernet, memory, packets (times today); or a constant of docs/machine.md. "
            "Repeatable.",
        ),
    ] = None,
    closed: Annotated[
        bool,
        typer.Option("--closed", help="Machines closed to tori, not parts of the largest one."),
    ] = False,
    overrides: Overrides = None,
    output: Annotated[
        Path,
        typer.Option("--output", help="Directory for scale.json, scale.png and scale.html."),
    ] = Path("runs/scale"),
    json_path: JsonPath = None,
) -> None:
    """Predict speed, time and energy of training on 1 to 1,200 SpiNNaker boards and beyond."""
    from orchestrator.cli.scale import scale as run

    run(
        config,
        boards=boards,
        scaling=scaling,
        batch=batch,
        global_batch=global_batch,
        model=model,
        recipe=recipe,
        extrapolate=extrapolate,
        epoch_images=epoch_images,
        what_if=what_if or [],
        closed=closed,
        overrides=overrides or [],
        output=output,
        json_path=json_path,
    )


@app.command()
def fingerprint(
    checkpoint: CheckpointPath,
    state: Annotated[
        bool, typer.Option("--state", help="Include momentum, histories and step.")
    ] = False,
) -> None:
    """Print the hash of a checkpoint's canonical parameters."""
    from orchestrator.cli.fingerprint import fingerprint as run

    typer.echo(run(checkpoint, state=state))


@app.command()
def export(
    checkpoint: CheckpointPath,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    file_format: Annotated[
        str, typer.Option("--format", help="safetensors or onnx.", metavar="FORMAT")
    ] = "safetensors",
) -> None:
    """Export a checkpoint under torchvision's names, or as an ONNX model."""
    from orchestrator.cli.export import export as run

    run(checkpoint, file_format, output)
    typer.echo(f"wrote {output}")


@app.command()
def doctor(json_path: JsonPath = None) -> None:
    """Tell what is installed, what is missing, and how to get it."""
    from orchestrator.cli.doctor import doctor as run

    run(json_path)


class _Interrupted(KeyboardInterrupt):
    """Ctrl-C. After a plain KeyboardInterrupt inside exec(), CPython ends without our exit code."""


def main() -> None:
    """Run the command; every error a user can meet ends in one message and its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, _interrupt)
    try:
        status = app(prog_name="regatta", standalone_mode=False)
        if status == _TYPER_INTERRUPTED:
            raise KeyboardInterrupt
    except _UsageError as error:
        message = _usage_message(error)
        if message is None:
            sys.exit(ArgumentError.exit_code)
        _end(ArgumentError(message))
    except (typer.Abort, KeyboardInterrupt):
        _end(RunError("interrupted"))
    except MemoryError as error:
        detail = f" ({error})" if str(error) else ""
        _end(RunError(f"memory ran out{detail}; choose smaller images, a smaller batch or network"))
    except RegattaError as error:
        _end(error)
    sys.exit(status)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End for Ctrl-C and for launchers' signals, until a training takes them as a request."""
    raise _Interrupted


def _usage_message(error: Exception) -> str | None:
    """Return what Typer says about wrong arguments; None where it has shown the help instead."""
    message = str(getattr(error, "format_message", lambda: error)()).strip().rstrip(".")
    if not message:
        return None
    context = getattr(error, "ctx", None)
    command = "regatta" if context is None else context.command_path
    return f"{message} (see {command} --help)"


def _end(error: RegattaError) -> NoReturn:
    """Report an error: once for all ranks."""
    from orchestrator.collectives import guarded

    with guarded():
        raise error
    raise AssertionError("guarded leaves by SystemExit")
