"""``regatta evaluate``."""

from pathlib import Path

import numpy as np

from orchestrator.boards.base import Board, open_board
from orchestrator.cli.output import check_json, print_facts, print_table, write_json
from orchestrator.collectives import guarded, open_collective
from orchestrator.config import load_config, parse_config
from orchestrator.data import GhostRequest, Loader
from orchestrator.errors import CheckpointError
from orchestrator.train.checkpoint import check_network, load_checkpoint
from orchestrator.train.evaluation import EvaluationCounts
from orchestrator.train.evaluation import evaluate as evaluate_split
from orchestrator.train.keeper import find_checkpoint
from orchestrator.train.setup import open_loader, prepare
from orchestrator.train.state import TrainState


def evaluate(
    checkpoint: Path,
    config_path: Path | None,
    overrides: list[str],
    *,
    per_class: bool,
    json_path: Path | None,
) -> None:
    """Evaluate a checkpoint on the evaluation split, on all ranks of the job."""
    with guarded():
        check_json(json_path)
        path = find_checkpoint(checkpoint)
        state = load_checkpoint(path)
        if config_path is None:
            config = parse_config(state.config_text, overrides)
        else:
            config = load_config(config_path, overrides)
        setup = prepare(config, training=False)
        check_network(path, state, setup.graph)
        collective = open_collective(config.collective)
        board = open_board(config.slice, setup.graph, setup.settings, config.train.threads)
        board.load(state.masters, running=state.running)
        loader = open_loader(config, setup.eval_data, training=False)
        load_histories(board, path, state, loader, config.train.eval_batch)
        counts = evaluate_split(
            board,
            loader,
            collective,
            samples=len(setup.eval_data),
            classes=len(setup.classes),
            batch=config.train.eval_batch,
        )
        assert counts is not None
        if collective.rank == 0:
            _show(path, counts, setup.classes, per_class=per_class)
            write_json(json_path, values(path, state.step, counts, setup.classes))
        board.close()
        collective.close()


def load_histories(board: Board, path: Path, state: TrainState, loader: Loader, batch: int) -> None:
    """Give the board the exponents of a checkpoint.

    One that was never trained has none: then the first batch of the split decides, on every rank.

    Raises
    ------
    CheckpointError
        The checkpoint's exponents are not those of its network.
    """
    try:
        board.histories.load(state.histories)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    if board.histories.is_empty():
        for part in loader.ghost_batches([GhostRequest(0, np.arange(min(batch, len(loader))), 0)]):
            board.calibrate_evaluation(part.images[part.own])


def values(
    path: Path, step: int, counts: EvaluationCounts, classes: tuple[str, ...]
) -> dict[str, object]:
    """Return an evaluation as JSON values."""
    return {
        "checkpoint": str(path),
        "step": step,
        "samples": counts.samples,
        "top1": counts.top1,
        "top5": counts.top5,
        "accuracy": counts.top1 / counts.samples,
        "top5_accuracy": counts.top5 / counts.samples,
        "loss": counts.loss,
        "classes": {
            name: {"samples": int(samples), "top1": int(right)}
            for name, samples, right in zip(
                classes, counts.class_samples, counts.class_top1, strict=True
            )
        },
    }


def _show(
    path: Path, counts: EvaluationCounts, classes: tuple[str, ...], *, per_class: bool
) -> None:
    n = counts.samples
    print_facts(
        "Evaluation",
        {
            "checkpoint": str(path),
            "images": f"{n:,}",
            "top-1": f"{counts.top1 / n:.2%} ({counts.top1:,})",
            "top-5": f"{counts.top5 / n:.2%} ({counts.top5:,})",
            "loss": f"{counts.loss:.4f}",
        },
    )
    if per_class:
        rows = [
            [name, f"{samples:,}", f"{right:,}", f"{right / samples:.2%}" if samples else "-"]
            for name, samples, right in zip(
                classes, counts.class_samples.tolist(), counts.class_top1.tolist(), strict=True
            )
        ]
        print_table("By class", ["class", "images", "right", "top-1"], rows)
