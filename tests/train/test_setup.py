"""What a run refuses before its first image."""

import pytest

from orchestrator.config import parse_config
from orchestrator.errors import ConfigError
from orchestrator.train.setup import MOST_POSITIONS, prepare

CONFIG = """
model: {name: resnet8, image_size: 32, classes: 3}
data: {source: synthetic, train_samples: 65536, eval_samples: 4}
train: {global_batch: 16384, ghost_batch: 16384, epochs: 1}
lr_schedule: {base_lr: 0.1}
"""


def test_a_ghost_batch_of_too_many_positions_is_refused() -> None:
    fits = parse_config(CONFIG)
    assert fits.train.ghost_batch * 32 * 32 == MOST_POSITIONS
    prepare(fits)
    too_large = parse_config(CONFIG, ["train.ghost_batch=32768", "train.global_batch=32768"])
    with pytest.raises(ConfigError, match=r"train\.ghost_batch: 32768 .* at most 16384"):
        prepare(too_large)
