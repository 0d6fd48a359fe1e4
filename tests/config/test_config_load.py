"""Reading, overriding, writing and comparing configurations."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config import (
    EarlyStopConfig,
    RunSection,
    dump_config,
    load_config,
    numeric_differences,
    parse_config,
)
from orchestrator.errors import ConfigError

SMALL = """
model: {name: mlp, image_size: 8, channels: 1}
data: {source: digits, mean: [0.5], std: [1/3]}
train: {global_batch: 64, epochs: 4}
lr_schedule: {base_lr: 1e-1, decay: cosine}
"""
STEPS = ["lr_schedule.decay=steps", "lr_schedule.milestones=[2]"]
PLATEAU = ["lr_schedule.decay=plateau"]


def test_numbers_are_exact():
    config = parse_config(SMALL)
    assert config.lr_schedule.base_lr == Fraction(1, 10)
    assert config.data.std == (Fraction(1, 3),)
    assert config.optimizer.momentum == Fraction(9, 10)


@given(
    lr=st.fractions(min_value=Fraction(1, 10**6), max_value=100),
    seed=st.integers(0, 2**64 - 1),
    name=st.none() | st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=8),
    stop=st.none() | st.integers(1, 9),
)
def test_a_written_configuration_reads_back_equal(lr, seed, name, stop):
    config = parse_config(SMALL, [f"lr_schedule.base_lr={lr}", f"train.seed={seed}"])
    early_stop = None if stop is None else EarlyStopConfig(patience=stop)
    train = replace(config.train, early_stop=early_stop)
    config = replace(config, run=RunSection(name=name), train=train)
    assert parse_config(dump_config(config)) == config


@pytest.mark.parametrize("name", ["0.1", "true", "null", "2017-11-12", "1e5", "a: b", "x/y"])
def test_a_name_that_looks_like_something_else_stays_text(name):
    config = replace(parse_config(SMALL), run=RunSection(name=name))
    assert parse_config(dump_config(config)) == config


def test_overrides_reach_every_depth_and_make_missing_sections():
    config = parse_config(
        SMALL,
        [
            "train.epochs=7",
            "train.early_stop.patience=3",
            "optimizer.name=lars",
            "data.mean=[0.25]",
            "lr_schedule.plateau={patience: 2}",
        ],
    )
    assert config.train.epochs == 7
    assert config.train.early_stop.patience == 3
    assert config.optimizer.name == "lars"
    assert config.data.mean == (Fraction(1, 4),)
    assert config.lr_schedule.plateau.patience == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epochs", "is not key=value"),
        ("=3", "is not key=value"),
        ("train..epochs=3", "is not key=value"),
        ("train.epoch=3", r"train.epoch: unknown key \(did you mean epochs\?\); allowed in train:"),
        ("trian.epochs=3", r"trian: unknown key \(did you mean train\?\); allowed at the top"),
        ("data.mean.red=1", "data.mean has no keys inside"),
        ("train.epochs={", "not valid YAML"),
        ("train=3", "train: '3' is not a mapping of global_batch"),
        ("train.epochs=1.5", "train.epochs: '1.5' is not allowed; it must be a whole number"),
        ("train.keep_best=yes", "it must be true or false"),
        ("data.mean=[0.5, 0.5]", "data.std: 1 values, but data.mean has 2"),
        ("model.channels=3", "data.mean: 1 values, but model.channels is 3"),
        ("lr_schedule.warmup_epochs=4", "warmup_epochs: 4 does not end before train.epochs 4"),
    ],
)
def test_a_bad_override_is_named(override, message):
    with pytest.raises(ConfigError, match=message):
        parse_config(SMALL, [override])


def test_evaluation_may_not_crop_more_than_it_resizes_to():
    crop = ["data.augmentation=imagenet", "model.image_size=257"]
    with pytest.raises(ConfigError, match="data.resize: 256 is smaller than model.image_size 257"):
        parse_config(SMALL, crop)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "null is not a mapping"),
        ("- 1", "is not a mapping; a configuration has the sections model, data"),
        ("model: {", r"not valid YAML \(line 1, column 9\)"),
        ("model: 3\nmodel: 4", r"not valid YAML \(line 2.*'model' is written twice"),
        ("3: 4", "3: unknown key"),
        ("null: 4", "a key must be text"),
        ("model: !!python/object:os.system {}", "could not determine a constructor"),
        ("[" * 5000, "not valid YAML"),
        ("model: {name: mlp}", "model.image_size: missing; it must be a whole number"),
        ("model: {name: [mlp], image_size: 8}", "model.name: .* it must be text"),
    ],
)
def test_a_bad_text_is_explained(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_config(text)


def test_a_missing_section_names_its_first_missing_key():
    with pytest.raises(ConfigError, match="data.source: missing; it must be one of digits"):
        parse_config("model: {name: mlp, image_size: 8}")


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(ConfigError, match="absent.yaml: no such file"):
        load_config(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"model: \xe9")
    with pytest.raises(ConfigError, match="latin.yaml: cannot be read: it is not UTF-8 text"):
        load_config(tmp_path / "latin.yaml")


def test_an_error_in_a_file_names_the_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(SMALL)
    assert load_config(path) == parse_config(SMALL)
    with pytest.raises(ConfigError, match=r"mine.yaml: train.seed: -1 is out of range"):
        load_config(path, ["train.seed=-1"])


@pytest.mark.parametrize(
    "override",
    [
        "run.name=other",
        "data.path=elsewhere",
        "data.workers=9",
        "data.on_error=skip",
        "train.threads=2",
        "train.max_steps=5",
        "train.eval_every_epochs=3",
        "train.early_stop.patience=3",
        "data.eval_samples=10",
        "slice.backend=reference",
        "collective.engine=horovod",
    ],
)
def test_keys_that_never_change_numbers_may_differ(override):
    assert numeric_differences(parse_config(SMALL), parse_config(SMALL, [override])) == []


@pytest.mark.parametrize(
    "override",
    [
        "model.name=resnet8",
        "model.bn_momentum=0.2",
        "data.mean=[0.4]",
        "train.seed=1",
        "train.global_batch=128",
        "train.ghost_batch=16",
        "train.epochs=5",
        "optimizer.momentum=0.8",
        "lr_schedule.base_lr=0.2",
        "lr_schedule.plateau.patience=9",
    ],
)
def test_keys_that_change_numbers_are_named(override):
    changed = parse_config(SMALL, [override])
    assert numeric_differences(parse_config(SMALL), changed) == [override.split("=")[0]]
    assert numeric_differences(changed, parse_config(SMALL)) == [override.split("=")[0]]


def test_epochs_matter_only_where_the_decay_ends_with_the_training():
    longer = [*STEPS, "train.epochs=9"]
    assert numeric_differences(parse_config(SMALL, STEPS), parse_config(SMALL, longer)) == []
    fixed = "lr_schedule.decay_epochs=4"
    first, second = parse_config(SMALL, [fixed]), parse_config(SMALL, [fixed, "train.epochs=9"])
    assert numeric_differences(first, second) == []


def test_evaluations_matter_where_they_steer_the_rate():
    rarer = [*PLATEAU, "train.eval_every_epochs=2", "data.eval_samples=10"]
    found = numeric_differences(parse_config(SMALL, PLATEAU), parse_config(SMALL, rarer))
    assert found == ["data.eval_samples", "train.eval_every_epochs"]
