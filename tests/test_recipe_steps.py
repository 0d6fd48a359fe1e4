"""Every published recipe takes a step on synthetic images, through the whole trainer."""

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from orchestrator.boards.base import open_board
from orchestrator.collectives import open_collective
from orchestrator.config import load_config
from orchestrator.model.initialise import initial_masters
from orchestrator.train.keeper import NullKeeper
from orchestrator.train.recorder import NullRecorder
from orchestrator.train.setup import prepare
from orchestrator.train.trainer import Trainer

FOLDER = Path(__file__).resolve().parents[1] / "configs"
PUBLISHED = [p for p in sorted(FOLDER.glob("*.yaml")) if re.search(r"20\d\d$|mlperf", p.stem)]

SMALL = [
    "data.source=synthetic",
    "data.train_samples=4",
    "data.eval_samples=2",
    "data.resize=64",
    "model.image_size=64",
    "train.global_batch=4",
    "train.ghost_batch=2",
    "train.batch_schedule=[]",
    "train.eval_batch=2",
    "train.max_steps=1",
    "lr_schedule.warmup_start=0.01",
]
"""Two ghost batches of two synthetic images at 64 x 64; a rate above 0 in the first step."""


class NeverStop:
    requested = False


@cache
def start(zero_init_last_gamma):
    """Return the first masters of ResNet-50; recipes with the same network share them."""
    name = "resnet50_goyal2017" if zero_init_last_gamma else "resnet50_he2015"
    return initial_masters(prepare(load_config(FOLDER / f"{name}.yaml", SMALL)).graph, 0)


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_it_takes_a_step(path):
    config = load_config(path, SMALL)
    setup = prepare(config)
    masters = start(config.model.zero_init_last_gamma)
    collective = open_collective(config.collective, {})
    board = open_board(config.slice, setup.graph, setup.settings, config.train.threads)
    try:
        board.load(masters)
        summary = Trainer(
            config, setup, board, collective, NullRecorder(), NullKeeper(), NeverStop()
        ).run()
        assert summary.steps == 1
        assert summary.last.samples == 2
        # Behind a zero gamma nothing has a gradient yet; the last layer always has one.
        assert not np.array_equal(board.masters.views["fc.weight"], masters["fc.weight"])
        assert all(not hits for hits in board.saturations().values())
    finally:
        board.close()
        collective.close()
