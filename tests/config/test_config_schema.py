"""Values are exact, typed and inside their ranges, whether they come from YAML or from Python."""

import dataclasses
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config import (
    DataConfig,
    LrScheduleConfig,
    ModelConfig,
    OptimizerConfig,
    PieceConfig,
    TrainConfig,
)
from orchestrator.config.schema import fraction_text, number
from orchestrator.errors import ConfigError


@given(st.fractions(max_denominator=10**12))
def test_the_text_of_a_number_is_exact(value):
    assert number(fraction_text(value), "key") == value


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-1e9, max_value=1e9))
def test_decimal_text_is_read_exactly(value):
    assert number(f"{value:f}", "key") == Fraction(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", Fraction(1, 10_000)),
        (".5", Fraction(1, 2)),
        ("5.", Fraction(5)),
        ("2.5E+2", Fraction(250)),
        ("1_000", Fraction(1000)),
        ("-1/3", Fraction(-1, 3)),
        ("12.8/256", Fraction(1, 20)),
    ],
)
def test_ways_to_write_a_number(text, value):
    assert number(text, "key") == value


@pytest.mark.parametrize(
    "text", ["", "x", "0.1x", ".", "1/0", "1//2", "nan", ".inf", "1e999999999", "0x10", "9" * 200]
)
def test_what_is_no_number_is_refused_with_its_key(text):
    with pytest.raises(ConfigError, match="optimizer.momentum: .* is not a number such as 0.1"):
        number(text, "optimizer.momentum")


def test_binary_floats_are_refused_because_they_are_not_exact():
    with pytest.raises(ConfigError, match="optimizer.momentum: 0.9 is not allowed"):
        OptimizerConfig(momentum=0.9)


def test_python_code_may_write_integers_and_text_for_fractions():
    schedule = LrScheduleConfig(base_lr="0.1", warmup_epochs=5)
    assert schedule.base_lr == Fraction(1, 10)
    assert type(schedule.warmup_epochs) is Fraction


def test_a_section_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        OptimizerConfig().momentum = Fraction(1, 2)


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (TrainConfig, {"global_batch": -64, "epochs": 1}, "global_batch: -64 .* at least 1"),
        (TrainConfig, {"global_batch": 64, "epochs": 0}, "train.epochs: 0 .* at least 1"),
        (TrainConfig, {"global_batch": 64, "epochs": True}, "epochs: true .* a whole number"),
        (TrainConfig, {"global_batch": 65, "epochs": 1}, "65 is not a multiple .* use 64 or 96"),
        (TrainConfig, {"global_batch": 16, "epochs": 1}, "16 is not a multiple .* use 32,"),
        (
            TrainConfig,
            {"global_batch": 65_537 * 2, "ghost_batch": 2, "epochs": 1},
            "65537 ghost batches of 2; at most 65536",
        ),
        (
            TrainConfig,
            {"global_batch": 64, "epochs": 9, "batch_schedule": [[3, 96], [3, 128]]},
            r"batch_schedule\[1\]: epoch 3 does not come after 3",
        ),
        (
            TrainConfig,
            {"global_batch": 64, "epochs": 9, "batch_schedule": [[3, 100]]},
            r"batch_schedule\[0\]: 100 is not a multiple",
        ),
        (ModelConfig, {"name": "mlp", "image_size": 0}, "model.image_size: 0 .* at least 1"),
        (ModelConfig, {"name": "mlp", "image_size": 8, "hidden": [4, 0]}, r"hidden\[1\]: 0"),
        (DataConfig, {"source": "disk"}, "'disk' .* one of digits, folder"),
        (DataConfig, {"source": "folder"}, "data.path: missing"),
        (DataConfig, {"source": "synthetic"}, "data.train_samples: missing"),
        (DataConfig, {"source": "digits", "crop_area": [1, "0.1"]}, "smaller value first"),
        (DataConfig, {"source": "digits", "mean": ["0.5"]}, "data.std: 3 values"),
        (OptimizerConfig, {"momentum": 1}, "optimizer.momentum: 1 .* less than 1"),
        (OptimizerConfig, {"name": "rmsprop_warmup", "nesterov": True}, "optimizer.nesterov"),
        (LrScheduleConfig, {"base_lr": 0}, "base_lr: 0 .* more than 0"),
        (LrScheduleConfig, {"base_lr": 1, "decay": "steps"}, "milestones: missing"),
        (LrScheduleConfig, {"base_lr": 1, "decay": "joined"}, "pieces: decay joined needs"),
        (
            LrScheduleConfig,
            {"base_lr": 1, "decay": "steps", "milestones": [30, 20]},
            r"milestones\[1\]: epoch 20 does not come after 30",
        ),
        (
            LrScheduleConfig,
            {"base_lr": 1, "warmup_epochs": 5, "decay_epochs": 5},
            "decay_epochs: 5 must be more than lr_schedule.warmup_epochs 5",
        ),
        (PieceConfig, {"start": 0, "factor": 1, "shape": "cosine"}, "end_factor: null"),
        (PieceConfig, {"start": 0, "factor": 1, "end_factor": 1}, "end_factor: 1 .* constant"),
    ],
)
def test_a_bad_value_names_key_value_and_what_is_allowed(section, values, message):
    with pytest.raises(ConfigError, match=message):
        section(**values)
