"""Paired trainings: what is run, what is kept, and what the table says of it."""

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.config import load_config, parse_config
from orchestrator.errors import ArgumentError
from orchestrator.studies import float_arm, parity

CONFIG = Path(__file__).parents[2] / "configs" / "digits_quickstart.yaml"


def write_result(folder: Path, seed: int, arm: str, top1: int) -> None:
    """Leave the result file of a training that got `top1` of 1,000 images right."""
    record = {
        "network": "resnet8",
        "epochs": 10,
        "seed": seed,
        "arm": arm,
        "top1": top1,
        "samples": 1000,
    }
    path = folder / f"{seed}-{arm}" / "result.json"
    path.parent.mkdir()
    path.write_text(json.dumps(record))


def test_both_arms_train_the_same_network_on_the_same_images(tmp_path):
    config = load_config(CONFIG, ["train.epochs=4"])
    parity.run(config, [0], parity.ARMS, tmp_path)
    exact, twin = (
        json.loads((path / "result.json").read_text()) for path in sorted(tmp_path.iterdir())
    )
    assert (exact["arm"], twin["arm"]) == ("exact", "float32")
    assert exact["samples"] == twin["samples"] > 300
    # Four epochs lift both from one in ten to most digits; a wrong weight, image, rate or
    # momentum in either would part them by far more than a tenth.
    assert exact["top1"] > 0.6 * exact["samples"]
    assert abs(exact["top1"] - twin["top1"]) < 0.1 * exact["samples"]
    assert parse_config(exact["config"]).train == replace(config.train, seed=0)


def test_a_finished_training_is_not_run_again(tmp_path):
    config = load_config(CONFIG, ["train.epochs=2"])
    name = f"{config.model.name}-2-s3-exact"
    (tmp_path / name).mkdir()
    kept = tmp_path / name / "result.json"
    kept.write_text("kept")
    parity.run(config, [3], ["exact"], tmp_path)
    assert kept.read_text() == "kept"


def test_an_interrupted_float_training_goes_on(tmp_path, monkeypatch):
    config = load_config(CONFIG, ["train.epochs=3"])
    parity.run(config, [0], ["float32"], tmp_path / "whole")
    keep, kept = float_arm._keep, []

    def keep_one(*state):
        keep(*state)
        kept.append(state)
        if len(kept) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(float_arm, "_keep", keep_one)
    for _ in range(2):
        with suppress(KeyboardInterrupt):
            parity.run(config, [0], ["float32"], tmp_path / "cut")
    assert len(kept) == 3  # no epoch was trained twice
    whole, cut = (
        json.loads((tmp_path / folder / "digits_resnet-3-s0-float32" / "result.json").read_text())
        for folder in ("whole", "cut")
    )
    assert whole == cut


def test_a_float_training_of_another_configuration_is_refused(tmp_path, monkeypatch):
    def stop(*state):
        keep(*state)
        raise KeyboardInterrupt

    keep = float_arm._keep
    monkeypatch.setattr(float_arm, "_keep", stop)
    with suppress(KeyboardInterrupt):
        parity.run(load_config(CONFIG, ["train.epochs=3"]), [0], ["float32"], tmp_path)
    other = load_config(CONFIG, ["train.epochs=3", "lr_schedule.base_lr=1/100"])
    with pytest.raises(ArgumentError, match="another configuration"):
        parity.run(other, [0], ["float32"], tmp_path)


def test_another_optimizer_has_no_twin(tmp_path):
    config = load_config(CONFIG, ["optimizer.name=lars"])
    with pytest.raises(ArgumentError, match=r"optimizer\.name lars"):
        parity.run(config, [0], ["float32"], tmp_path)


def test_table_pairs_seeds_and_gives_the_interval(tmp_path):
    for seed, exact, twin in ((0, 801, 800), (1, 803, 800), (2, 799, 800), (3, 801, 800)):
        write_result(tmp_path, seed, "exact", exact)
        write_result(tmp_path, seed, "float32", twin)
    write_result(tmp_path, 4, "exact", 900)  # its pair is not there yet
    lines = parity.table(tmp_path).splitlines()
    assert len(lines) == 2 + 4 + 1
    assert lines[3] == "| resnet8 | 10 | 1 | 80.30 | 80.00 | +0.30 |"
    # Differences 0.1, 0.3, -0.1, 0.1: standard deviation 0.163, t(3, 97.5 %) 3.182.
    assert "4 seeds" in lines[-1] and "+0.10 ± 0.26" in lines[-1]
