"""Does exact 13-bit training reach float32's accuracy? Paired trainings, seed by seed.

``python -m orchestrator.studies.parity CONFIG --seeds 0,1,2,3,4 --output DIR`` trains the network
of a configuration twice per seed: here, and as its float32 PyTorch twin with the same initial
weights, images, ghost batches and learning rates. Each training leaves a result file in DIR and is
skipped when the command is run again; one that was interrupted goes on from its last epoch.
``--table FILE`` writes the Markdown table of all results.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Annotated

import torch
import typer
from rich.console import Console

from orchestrator.collectives import SingleCollective
from orchestrator.config import RunConfig, RunSection, dump_config, load_config
from orchestrator.errors import RegattaError
from orchestrator.studies.float_arm import Result, train_float
from orchestrator.train.disk import replace_text
from orchestrator.train.session import run_training
from orchestrator.train.setup import prepare

ARMS = ("exact", "float32")


def train_exact(config: RunConfig, folder: Path) -> Result:
    """Train on exact integers and return counts of the last evaluation and the last loss."""
    config = replace(config, run=replace(config.run, dir=str(folder / "run")))
    resume = (folder / "run" / "checkpoints").is_dir()
    summary, _ = run_training(config, SingleCollective(), name="exact", resume=resume)
    if summary.reason != "all epochs done" or summary.last is None:
        raise RegattaError(f"{folder}: the training ended early ({summary.reason})")
    last = summary.last
    return {"top1": last.top1, "samples": last.samples, "test_loss": last.loss}


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """Return mean and half width of the 95 % interval of paired differences (Student's t).

    Examples
    --------
    >>> interval([0.1, 0.3, -0.1, 0.1])
    (0.1, 0.259...)
    """
    from scipy import stats

    n = len(differences)
    centre = mean(differences)
    if n < 2:
        return centre, float("inf")
    deviation = (sum((d - centre) ** 2 for d in differences) / (n - 1)) ** 0.5
    return centre, float(stats.t.ppf(0.975, n - 1)) * deviation / n**0.5


def table(folder: Path) -> str:
    """Return the Markdown table of all pairs in a folder, one network after the other."""
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*/result.json"))]
    found = {(r["network"], r["epochs"], r["seed"], r["arm"]): r for r in results}
    lines = [
        "| network | epochs | seed | exact, top-1 % | float32, top-1 % | difference |",
        "|---|---|---|---|---|---|",
    ]
    for network, epochs in sorted({(r["network"], r["epochs"]) for r in results}):
        seeds = sorted(
            seed
            for (name, length, seed, arm) in found
            if (name, length, arm) == (network, epochs, "exact")
            and (network, epochs, seed, "float32") in found
        )
        differences = []
        for seed in seeds:
            exact, twin = (
                100 * r["top1"] / r["samples"]
                for r in (found[network, epochs, seed, arm] for arm in ARMS)
            )
            differences.append(exact - twin)
            lines.append(
                f"| {network} | {epochs} | {seed} | {exact:.2f} | {twin:.2f} "
                f"| {exact - twin:+.2f} |"
            )
        if differences:
            centre, half = interval(differences)
            lines.append(
                f"| **{network}** | {epochs} | {len(seeds)} seeds | | "
                f"| **{centre:+.2f} ± {half:.2f}** (95 %) |"
            )
    return "\n".join(lines) + "\n"


def run(config: RunConfig, seeds: Sequence[int], arms: Sequence[str], output: Path) -> None:
    """Train every arm of every seed that has no result yet."""
    for seed in seeds:
        seeded = replace(config, train=replace(config.train, seed=seed))
        for arm in arms:
            name = f"{config.model.name}-{config.train.epochs}-s{seed}-{arm}"
            folder = output / name
            if (folder / "result.json").is_file():
                continue
            folder.mkdir(parents=True, exist_ok=True)
            described = dump_config(_without_places(seeded))
            result = (
                train_exact(seeded, folder)
                if arm == "exact"
                else train_float(seeded, prepare(seeded), folder / "epochs.safetensors", described)
            )
            record = {
                "network": config.model.name,
                "epochs": config.train.epochs,
                "seed": seed,
                "arm": arm,
                **result,
                "torch": torch.__version__,
                "config": described,
            }
            replace_text(folder / "result.json", json.dumps(record, indent=2) + "\n")
            Console().print(f"{name}: {result['top1']} of {result['samples']} right")


def _without_places(config: RunConfig) -> RunConfig:
    """Return the configuration without this machine's folders, which say nothing of a result."""
    path = None if config.data.path is None else Path(config.data.path).name
    return replace(config, data=replace(config.data, path=path), run=RunSection())


def main(
    config: Annotated[Path, typer.Argument(help="Configuration file.")],
    output: Annotated[Path, typer.Option(help="Folder of runs and results.")],
    seeds: Annotated[str, typer.Option(help="Seeds, separated by commas.")] = "0,1,2,3,4",
    arms: Annotated[str, typer.Option(help="exact, float32 or both.")] = ",".join(ARMS),
    overrides: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE.")] = None,
    table_path: Annotated[
        Path | None, typer.Option("--table", help="Markdown file for the table of all results.")
    ] = None,
) -> None:
    """Train pairs of exact and float32 networks and compare their accuracy."""
    parsed = load_config(config, overrides or [])
    run(parsed, [int(seed) for seed in seeds.split(",")], arms.split(","), output)
    if table_path is not None:
        replace_text(table_path, table(output))


if __name__ == "__main__":
    typer.run(main)
