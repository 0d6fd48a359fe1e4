"""``regatta plan``."""

from pathlib import Path

from orchestrator.cli.cache import cache_folder
from orchestrator.cli.output import check_json, print_facts, print_table, write_json
from orchestrator.compiler import compile_program, single_strategies
from orchestrator.config import load_config
from orchestrator.config.run import RunConfig
from orchestrator.data import open_dataset
from orchestrator.errors import ArgumentError
from orchestrator.machine import Machine, single_board, single_chip, spinn3
from orchestrator.machine.constants import Level
from orchestrator.model.graph import Graph
from orchestrator.model.zoo import build_network
from orchestrator.perf.rates import check_overrides, rates
from orchestrator.studies.plan_pictures import write_pictures
from orchestrator.studies.plan_report import PlanReport
from orchestrator.studies.plan_strategies import compare, comparison_columns, comparison_rows
from orchestrator.studies.plan_tables import (
    BOUND_COLUMNS,
    LAYER_COLUMNS,
    ROOFLINE_COLUMNS,
    SDRAM_COLUMNS,
    SWING_COLUMNS,
    bound_rows,
    layer_rows,
    roofline_rows,
    sdram_rows,
    summary_facts,
    swing_rows,
)
from orchestrator.studies.plan_timeline import plan_timeline
from orchestrator.studies.scaling_machine import boards_of
from orchestrator.train.disk import writing
from orchestrator.train.setup import check_ghost_batch


def plan(
    config_path: Path,
    overrides: list[str],
    *,
    board: str,
    level: str,
    constants: list[str],
    beside: bool,
    output: Path,
    timeline: Path | None,
    json_path: Path | None,
) -> None:
    """Compile a step of the configuration's network for its slice, and show what it takes."""
    check_json(json_path)
    check_file("--timeline", timeline)
    if output.exists() and not output.is_dir():
        raise ArgumentError(f"--output {output}: is a file; give a folder")
    config = load_config(config_path, overrides)
    changed = parse_constants(constants)
    at = parse_level(level)
    graph = network(config)
    machine = slice_of(board, config.slice.boards)
    images, typical = config.train.ghost_batch, rates(Level.TYPICAL, changed)
    program = compile_program(graph, machine, images, typical, cache=cache_folder() / "plans")
    report = PlanReport(config.model.name, graph, machine, program, at, changed)
    print_facts(report.title, summary_facts(report))
    print_table("Operations (ms of a step)", LAYER_COLUMNS, layer_rows(report))
    print_table("What holds it back", ROOFLINE_COLUMNS, roofline_rows(report))
    print_table("Memory", SDRAM_COLUMNS, sdram_rows(report))
    print_table("What no step can be below", BOUND_COLUMNS, bound_rows(report))
    print_table("What constants do", SWING_COLUMNS, swing_rows(report))
    result = report.as_json()
    if beside:
        others = single_strategies(graph, machine, images, typical)
        compared = compare(program, others, changed)
        title = "Beside single strategies, whether or not these fit the memory"
        print_table(title, comparison_columns(compared), comparison_rows(compared))
        result["strategies"] = [each.as_json() for each in compared]
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    write_pictures(output, report)
    print(f"Pictures (slice, layers, memory, sensitivity; PNG and SVG) are in {output}")
    if timeline is not None:
        plan_timeline(report.walk).write(timeline)
        print(f"The timeline, for ui.perfetto.dev, is {timeline}")
    write_json(json_path, result)


def check_file(option: str, path: Path | None) -> None:
    """Refuse a file whose folder does not exist, before the work."""
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        raise ArgumentError(f"{option} {path}: give a file in a folder that exists")


def network(config: RunConfig) -> Graph:
    """Return the network of a configuration; its data is opened only to count classes.

    Raises
    ------
    ConfigError
        There is no such network, or it cannot be built for these images or ghost batches.
    DataError
        The number of classes is left to data that is missing.
    """
    classes = config.model.classes
    if classes is None:
        classes = len(open_dataset(config.data, config.model, "train", config.train.seed).classes)
    graph = build_network(config.model, classes)
    check_ghost_batch(config, graph)
    return graph


def slice_of(board: str, n_boards: int) -> Machine:
    """Return a slice without dead parts: boards of the largest machine, a small board, a chip.

    Raises
    ------
    ArgumentError
        There is no such board, or one of the small ones is asked for several times.
    """
    small = {"spinn3": spinn3, "chip": lambda: single_chip(single_board(), 0, 0)}
    if board == "spinn5":
        return boards_of(n_boards).machine
    if board not in small:
        raise ArgumentError(f"--board {board}: there are spinn5, {', '.join(small)}")
    if n_boards > 1:
        raise ArgumentError(
            f"--board {board} is alone, and slice.boards is {n_boards}; give --set slice.boards=1"
        )
    return small[board]()


def parse_level(text: str) -> Level:
    """Return the level of a name.

    Raises
    ------
    ArgumentError
        There is none of this name.
    """
    try:
        return Level(text)
    except ValueError:
        raise ArgumentError(f"--level {text}: there are {', '.join(Level)}") from None


def parse_constants(options: list[str]) -> dict[str, float]:
    """Return values by name of ``NAME=VALUE`` texts.

    Raises
    ------
    ArgumentError
        A text has another form, or the machine has no such constant or cannot have its value.

    Examples
    --------
    >>> parse_constants(["clock=400e6"])
    {'clock': 400000000.0}
    """
    found: dict[str, float] = {}
    for option in options:
        name, _, text = option.partition("=")
        name = name.strip()
        if name in found:
            raise ArgumentError(f"--set-constant: {name} is given twice")
        try:
            found[name] = float(text)
        except ValueError:
            raise ArgumentError(
                f"--set-constant: {option!r} is not NAME=VALUE, as link_rate=24e6"
            ) from None
    check_overrides(found)
    return found
