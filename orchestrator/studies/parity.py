"""Does exact 13-bit training reach float32's accuracy? Paired trainings, seed by seed.

``python -m orchestrator.studies.parity CONFIG --seeds 0,1,2,3,4 --output DIR`` trains the network
of a configuration twice per seed: here, and as its float32 PyTorch twin with the same initial
weights, images, ghost batches and learning rates. Each training leaves a result file in DIR and is
skipped when the command is run again; ``--table FILE`` writes the Markdown table of all results.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from torch.nn import functional

from orchestrator.collectives import SingleCollective
from orchestrator.config import RunConfig, RunSection, dump_config, load_config
from orchestrator.data import GhostRequest, Loader
from orchestrator.errors import ArgumentError, RegattaError
from orchestrator.model.initialise import initial_masters
from orchestrator.optim import Rates, plan_batches, plan_updates
from orchestrator.studies.torch_twin import TorchTwin, torch_module
from orchestrator.train.disk import replace_text
from orchestrator.train.session import run_training
from orchestrator.train.setup import Setup, open_loader, prepare
from orchestrator.train.state import MASTER_EXPONENT

ARMS = ("exact", "float32")

Result = dict[str, Any]


def train_exact(config: RunConfig, folder: Path) -> Result:
    """Train on exact integers and return counts of the last evaluation and the last loss."""
    config = replace(config, run=replace(config.run, dir=str(folder / "run")))
    resume = (folder / "run" / "checkpoints").is_dir()
    summary, _ = run_training(config, SingleCollective(), name="exact", resume=resume)
    if summary.reason != "all epochs done" or summary.last is None:
        raise RegattaError(f"{folder}: the training ended early ({summary.reason})")
    last = summary.last
    return {"top1": last.top1, "samples": last.samples, "test_loss": last.loss}


def train_float(config: RunConfig, setup: Setup) -> Result:
    """Train the float32 twin and return counts of an evaluation at its end."""
    assert setup.train_data is not None
    torch.set_num_threads(config.train.threads)
    twin = torch_module(setup.graph)
    masters = initial_masters(setup.graph, config.train.seed)
    twin.load({name: value * 2.0**MASTER_EXPONENT for name, value in masters.items()})
    twin.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = Images(config, setup)
    batches = plan_batches(config.train, len(setup.train_data))
    rates = Rates(config.lr_schedule, config.train.global_batch, config.train.epochs)
    optimizer = _optimizer(config, setup, twin)
    for epoch in range(config.train.epochs):
        twin.train()
        parts = images.epoch(epoch, batches.batch(epoch) * batches.steps(epoch))
        first, batch = batches.first_step(epoch), batches.batch(epoch)
        for step in range(first, first + batches.steps(epoch)):
            lr = float(rates.at(batches.position(step).exact_epoch))
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.zero_grad(set_to_none=True)
            for _ in range(batch // config.train.ghost_batch):
                x, labels = next(parts)
                loss = functional.cross_entropy(
                    twin(x),
                    labels,
                    reduction="sum",
                    label_smoothing=float(config.train.label_smoothing),
                )
                (loss / batch).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            twin.finish_step()
    return _evaluate(twin, images, config)


class Images:
    """The images of both arms as the twin's input: normalised through the same table."""

    def __init__(self, config: RunConfig, setup: Setup) -> None:
        assert setup.train_data is not None
        self._table = setup.settings.table * np.float32(2.0**setup.settings.table_exponent)
        self._ghost = config.train.ghost_batch
        self._train = open_loader(config, setup.train_data, training=True)
        self._test = open_loader(config, setup.eval_data, training=False)

    def epoch(self, epoch: int, count: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the ghost batches of an epoch."""
        return self._batches(self._train, epoch, count, self._ghost)

    def test(self, batch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the evaluation images in order."""
        return self._batches(self._test, 0, len(self._test), batch)

    def _batches(
        self, loader: Loader, epoch: int, count: int, batch: int
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        starts = range(0, count, batch)
        requests = (
            GhostRequest(epoch, np.arange(start, min(start + batch, count))) for start in starts
        )
        channels = np.arange(self._table.shape[1])
        for part in loader.ghost_batches(requests):
            x = torch.from_numpy(self._table[part.images, channels].astype(np.float32))
            yield x.permute(0, 3, 1, 2), torch.from_numpy(part.labels.astype(np.int64))


def _optimizer(config: RunConfig, setup: Setup, twin: TorchTwin) -> torch.optim.SGD:
    """Return PyTorch's SGD with the configuration's momentum and decay exclusions."""
    if config.optimizer.name != "sgd" or config.optimizer.momentum_form != "unscaled":
        raise ArgumentError(
            f"optimizer.name {config.optimizer.name}: the twin trains with sgd, unscaled momentum"
        )
    plan = plan_updates(config.optimizer, setup.graph.parameters)
    groups = [
        {"params": [parameter], "weight_decay": float(plan.weight_decay(name))}
        for name, parameter in twin.named_parameters()
    ]
    momentum, nesterov = float(config.optimizer.momentum), config.optimizer.nesterov
    return torch.optim.SGD(groups, lr=1.0, momentum=momentum, nesterov=nesterov)


def _evaluate(twin: TorchTwin, images: Images, config: RunConfig) -> Result:
    twin.eval()
    top1 = samples = 0
    loss = 0.0
    with torch.no_grad():
        for x, labels in images.test(config.train.eval_batch):
            logits = twin(x)
            top1 += int((logits.argmax(1) == labels).sum())
            samples += len(labels)
            loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
    return {"top1": top1, "samples": samples, "test_loss": loss / samples}


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
            result = (
                train_exact(seeded, folder)
                if arm == "exact"
                else train_float(seeded, prepare(seeded))
            )
            record = {
                "network": config.model.name,
                "epochs": config.train.epochs,
                "seed": seed,
                "arm": arm,
                **result,
                "torch": torch.__version__,
                "config": dump_config(_without_places(seeded)),
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
