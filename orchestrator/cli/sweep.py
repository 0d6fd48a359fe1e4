"""``regatta sweep``."""

import json
from fractions import Fraction
from pathlib import Path

from rich.console import Console

from orchestrator.cli.lists import items, whole_numbers
from orchestrator.cli.output import check_json, print_table, write_json
from orchestrator.collectives import guarded, open_collective
from orchestrator.config import load_config
from orchestrator.config.schema import number
from orchestrator.errors import ArgumentError, ConfigError
from orchestrator.studies.sweep import (
    COLUMNS,
    Point,
    SweepPlan,
    as_json,
    markdown,
    plan_sweep,
    table_rows,
)
from orchestrator.studies.sweep_plot import write_plot
from orchestrator.studies.sweep_runs import Sweep
from orchestrator.train.disk import replace_text, writing


def sweep(
    config_path: Path,
    *,
    batches: str,
    optimizers: str,
    seeds: str,
    rates: list[str],
    output: Path,
    overrides: list[str],
    json_path: Path | None,
) -> None:
    """Train over batches, optimizers and seeds, on all ranks of the job."""
    with guarded():
        check_json(json_path)
        base = load_config(config_path, overrides)
        plan = plan_sweep(
            base,
            whole_numbers("--batches", batches),
            items(optimizers),
            whole_numbers("--seeds", seeds),
            parse_rates(rates),
        )
        if output.exists() and not output.is_dir():
            raise ArgumentError(f"--output {output}: is a file; give a folder")
        collective = open_collective(base.collective)
        title = f"Batch-size sweep of {base.model.name} ({config_path.stem})"
        work = Sweep(plan, output, collective, Console(stderr=True))
        work.check()

        def keep(points: list[Point]) -> None:
            if collective.rank == 0:
                write_files(output, title, plan, points)

        points = work.run(keep)
        if collective.rank == 0:
            print_table(title, COLUMNS, table_rows(points))
            for note in plan.notes():
                print(note)
            print(f"Table, JSON and plot are in {output}")
            write_json(json_path, as_json(points, plan.notes()))
        collective.close()


def write_files(output: Path, title: str, plan: SweepPlan, points: list[Point]) -> None:
    """Write what is known so far: ``sweep.json``, ``sweep.md`` and ``sweep.png``."""
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    notes = plan.notes()
    replace_text(output / "sweep.json", json.dumps(as_json(points, notes), indent=2) + "\n")
    write_plot(output / "sweep.png", points, title)
    replace_text(output / "sweep.md", markdown(title, points, notes, "sweep.png"))


def parse_rates(options: list[str]) -> dict[str, list[Fraction]]:
    """Return base rates by optimizer from ``OPTIMIZER=R1,R2`` texts.

    Raises
    ------
    ArgumentError
        If a text has another form, a rate is not a number, or an optimizer comes twice.

    Examples
    --------
    >>> parse_rates(["sgd=0.1,1/3"])
    {'sgd': [Fraction(1, 10), Fraction(1, 3)]}
    """
    found: dict[str, list[Fraction]] = {}
    for option in options:
        name, equals, text = option.partition("=")
        name = name.strip()
        if not equals or not name or not items(text):
            raise ArgumentError(f"--rates: {option!r} is not OPTIMIZER=R1,R2,..., as sgd=0.1,0.2")
        if name in found:
            raise ArgumentError(f"--rates: {name} is given twice; list its rates in one option")
        try:
            found[name] = [number(item, f"--rates {name}") for item in items(text)]
        except ConfigError as error:
            raise ArgumentError(str(error)) from None
    return found
