"""Batch-size sweeps: what is run, what is kept, how it goes on, what it refuses."""

import json
import signal
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console

from orchestrator.cli.sweep import sweep
from orchestrator.collectives import SingleCollective
from orchestrator.config import parse_config
from orchestrator.studies import sweep_runs
from orchestrator.studies.sweep import Outcome, Point, choose, plan_sweep, table_rows
from orchestrator.studies.sweep_plot import draw_sweep
from orchestrator.train.recorder import FileRecorder
from orchestrator.train.session import run_training

CONFIG = """
model: {name: mlp, image_size: 4, channels: 1, classes: 3, hidden: [8]}
data:
  {source: synthetic, mean: [0.5], std: [0.3], train_samples: 64, eval_samples: 30}
train: {global_batch: 16, ghost_batch: 8, epochs: 2}
optimizer: {weight_decay: 1e-4, eta: 0.01}
lr_schedule: {base_lr: 0.1}
"""
ARGUMENTS = {
    "batches": "16,32",
    "optimizers": "sgd,lars",
    "seeds": "0",
    "rates": [],
    "overrides": [],
    "json_path": None,
}


@pytest.fixture
def config_path(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def run(config_path, tmp_path, monkeypatch):
    """Run a sweep into a folder and return what it says it found, without times."""

    def call(name="out", plot=False, **arguments):
        if not plot:
            monkeypatch.setattr("orchestrator.cli.sweep.write_plot", lambda *_: None)
        sweep(config_path, output=tmp_path / name, **{**ARGUMENTS, **arguments})
        return results(tmp_path / name)

    return call


def results(output: Path):
    found = json.loads((output / "sweep.json").read_text())
    for point in found["points"]:
        for outcome in point["runs"] + point["tried"]:
            assert outcome.pop("train_s") > 0
            outcome.pop("ranks")
    return found


def outcome(**values) -> Outcome:
    plain = {
        "optimizer": "sgd", "batch": 16, "seed": 0, "base_lr": "0.1", "peak_lr": 0.1, "steps": 4,
        "epochs": 2, "top1": 80, "samples": 100, "accuracy": 0.8, "loss": 1.0,
        "best_accuracy": 0.8, "train_loss": 1.0, "train_s": 1.0, "ranks": 1, "reason": "max_steps",
        "fingerprint": "0",
    }  # fmt: skip
    return Outcome(**{**plain, **values})


def test_a_sweep_leaves_table_plot_and_numbers(run, tmp_path, capsys):
    found = run(plot=True, seeds="0,1", json_path=tmp_path / "copy.json")
    shown = capsys.readouterr()
    assert "run 8 of 8: lars-b32-lr0.1-s1" in shown.err
    assert "lars" in shown.out and "One rate each, by rule and not tuned" in shown.out
    points = {(p["optimizer"], p["batch"]): p for p in found["points"]}
    assert list(points) == [("sgd", 16), ("lars", 16), ("sgd", 32), ("lars", 32)]
    # sgd scales its rate from the configuration's batch of 16, lars does not; same epochs.
    assert points["sgd", 32]["peak_lr"] == 0.2 and points["lars", 32]["peak_lr"] == 0.1
    assert [points["sgd", batch]["steps"] for batch in (16, 32)] == [8, 4]
    for point in points.values():
        accuracies = [r["accuracy"] for r in point["runs"]]
        assert [r["seed"] for r in point["runs"]] == [0, 1]
        assert point["accuracy"] == np.mean(accuracies)
        assert (point["accuracy_low"], point["accuracy_high"]) == (min(accuracies), max(accuracies))
    assert json.loads((tmp_path / "copy.json").read_text())["notes"] == found["notes"]
    page = (tmp_path / "out" / "sweep.md").read_text()
    assert "| sgd | 32 | 4 | 0.2 |" in page and "sweep.png" in page
    pixels = imread(tmp_path / "out" / "sweep.png")
    assert pixels.shape == (660, 1050, 4) and len(np.unique(pixels.reshape(-1, 4), axis=0)) > 50


def test_a_run_of_a_sweep_is_an_ordinary_training(run, tmp_path):
    found = run(batches="32", optimizers="lars")
    overrides = [
        "train.global_batch=32",
        "optimizer.name=lars",
        f"run.dir={tmp_path / 'alone'}",
    ]
    config = parse_config(CONFIG, overrides)
    summary, _ = run_training(config, SingleCollective(), name="a", console=Console(quiet=True))
    (outcome,) = found["points"][0]["runs"]
    assert outcome["fingerprint"] == summary.fingerprint
    assert outcome["top1"] == summary.last.top1 and outcome["loss"] == summary.last.loss


def test_what_is_done_is_not_run_again(run, capsys):
    first = run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep_runs, "run_training", None)
        # Keys that change no result may change.
        assert run(overrides=["train.checkpoint_every_epochs=0", "data.workers=1"]) == first
    assert "sgd-b16-lr0.1-s0: done before, accuracy" in capsys.readouterr().err
    more = run(batches="16,64")
    assert more["points"][:2] == first["points"][:2]


@pytest.mark.parametrize(("at_run", "at_step"), [(1, 1), (2, 5), (3, 4)])
def test_an_interrupted_sweep_goes_on(run, capsys, at_run, at_step):
    expected = run("whole")
    starts = []
    start, step = FileRecorder.run_start, FileRecorder.step

    def counted(recorder, info):
        starts.append(info)
        start(recorder, info)

    def interrupted(recorder, record):
        step(recorder, record)
        if len(starts) == at_run and record.step == at_step:
            signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileRecorder, "run_start", counted)
        patch.setattr(FileRecorder, "step", interrupted)
        with pytest.raises(SystemExit) as caught:
            run("parts")
    assert caught.value.code == 3
    assert "the same command goes on from there" in capsys.readouterr().err
    assert run("parts") == expected
    assert ", resumed" in capsys.readouterr().err


def test_a_run_that_died_before_its_first_checkpoint_starts_again(run, tmp_path):
    expected = run("whole")
    folder = tmp_path / "out" / "sgd-b16-lr0.1-s0"
    folder.mkdir(parents=True)
    copy = tmp_path / "whole" / "sgd-b16-lr0.1-s0" / "config.yaml"
    (folder / "config.yaml").write_text(copy.read_text())
    (folder / "metrics.jsonl").touch()
    assert run("out") == expected


def test_a_run_that_died_before_its_result_was_written_is_not_computed_again(run, tmp_path):
    expected = run()
    (tmp_path / "out" / "sgd-b16-lr0.1-s0" / "result.json").unlink()
    assert run() == expected


def test_each_batch_keeps_the_best_rate(run, tmp_path, capsys):
    found = run(rates=["sgd=0.001,0.2", "lars=1/3,0.001"], seeds="0,1", batches="16")
    assert "Every optimizer tried 2 base rates at every batch with seed 0" in found["notes"][1]
    for point in found["points"]:
        tried = point["tried"]
        assert len(tried) == 2 and {outcome["seed"] for outcome in tried} == {0}
        best = min(tried, key=lambda o: (-o["top1"], o["loss"]))
        assert point["runs"][0] == best
        assert point["base_lr"] == best["base_lr"] == point["runs"][1]["base_lr"]
    assert "lars-b16-lr1_3-s0" in capsys.readouterr().err
    page = (tmp_path / "out" / "sweep.md").read_text()
    assert "| lars | 16 | 1/3: " in page and ", 0.001: " in page


def test_the_best_rate_has_most_images_right_then_lowest_loss():
    tried = [
        outcome(top1=80, loss=0.5, base_lr="0.4"),
        outcome(top1=81, loss=0.9, base_lr="0.2"),
        outcome(top1=81, loss=0.8, base_lr="0.3"),
        outcome(top1=81, loss=0.8, base_lr="1/4"),
    ]
    assert choose(tried) == 3
    assert choose(tried[:3]) == 2
    assert choose(tried[:2]) == 1


def test_given_rates_scale_as_the_configuration_says():
    base = parse_config(CONFIG, ["lr_schedule.scale=sqrt", "lr_schedule.scale_batch=16"])
    rates = {"sgd": [Fraction(1, 2)], "lars": [Fraction(2)]}
    plan = plan_sweep(base, [64], ["sgd", "lars"], [0], rates)
    assert [plan.first_trials(name, 64)[0].peak_lr for name in ("sgd", "lars")] == [1, 4]
    # Without rates to try, a configuration that scales is taken as it is.
    by_rule = plan_sweep(base, [64], ["sgd"], [0], {})
    assert by_rule.first_trials("sgd", 64)[0].config.lr_schedule == base.lr_schedule
    given = plan_sweep(parse_config(CONFIG), [64], ["sgd", "lars"], [0], rates)
    assert [given.first_trials(name, 64)[0].peak_lr for name in ("sgd", "lars")] == [
        Fraction(1, 2),
        2,
    ]


def test_curves_and_rows_are_ordered_by_batch():
    points = [
        Point((one, replace(one, seed=1, accuracy=one.accuracy - 0.02)), (one,))
        for batch in (512, 128)
        for name in ("sgd", "lars")
        for one in [outcome(optimizer=name, batch=batch, accuracy=0.5 + batch / 2048)]
    ]
    assert [row[:2] for row in table_rows(points)] == [
        ["sgd", "128"],
        ["sgd", "512"],
        ["lars", "128"],
        ["lars", "512"],
    ]
    axes = draw_sweep(points, "title").axes[0]
    assert axes.get_xscale() == "log" and axes.xaxis.get_transform().base == 2
    assert axes.get_legend_handles_labels()[1] == ["SGD", "LARS"]
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [128, 512])
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [55.25, 74])


BAD = [
    ({"optimizers": "sgd,adam"}, "--optimizers: 'adam' is not allowed; it must be one of sgd"),
    ({"optimizers": ""}, "--optimizers: empty"),
    ({"batches": "16,12"}, "sweep of sgd at batch 12: train.global_batch: 12 is not a multiple"),
    ({"batches": "16,128"}, "train.global_batch: 128 images in epoch 0, but the data set has 64"),
    ({"batches": "16,x"}, "--batches: 'x' is not a whole number"),
    ({"batches": "-16"}, "--batches: '-16' is not a whole number"),
    ({"batches": "16,16"}, "--batches: 16 is listed twice"),
    ({"batches": "0"}, "train.global_batch: 0 is out of range"),
    ({"seeds": "0,0"}, "--seeds: 0 is listed twice"),
    ({"rates": ["sgd=0.1"]}, "--rates: none for lars"),
    ({"rates": ["sgd=0.1", "lars=1,2"]}, "sgd has 1, lars has 2; a fair comparison"),
    ({"rates": ["sgd"]}, "--rates: 'sgd' is not OPTIMIZER=R1,R2"),
    ({"rates": ["sgd=0.1", "lars=fast"]}, "--rates lars: 'fast' is not a number"),
    ({"rates": ["sgd=0", "lars=1"]}, "base_lr: 0 is out of range"),
    ({"rates": ["sgd=1,1.0", "lars=1,2"]}, "--rates: sgd lists a rate twice"),
    ({"rates": ["sgd=1", "sgd=2"]}, "--rates: sgd is given twice"),
    ({"rates": ["sgd=1", "lars=1", "adam=1"]}, "'adam' is not one of the swept optimizers"),
    ({"overrides": ["train.batch_schedule=[[1,32]]"]}, "train.batch_schedule: a sweep chooses"),
    ({"overrides": ["data.source=memory"]}, "data.source: memory stands for arrays"),
    ({"name": "tiny.yaml"}, "is a file; give a folder"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_input_is_named_before_anything_runs(run, tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        run(**arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("override", ["optimizer.weight_decay=0", "train.epochs=3"])
@pytest.mark.parametrize("left", ["result.json", "config.yaml"])
def test_runs_of_another_configuration_are_not_taken(run, tmp_path, capsys, override, left):
    run()
    if left == "config.yaml":
        (tmp_path / "out" / "sgd-b16-lr0.1-s0" / "result.json").unlink()
    with pytest.raises(SystemExit) as caught:
        run(overrides=[override])
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert f"holds a run of another configuration ({override.partition('=')[0]} differ)" in message
    assert "sgd-b16-lr0.1-s0" in message


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"config": "a: 1", "outcome": {}}'])
def test_a_damaged_result_is_named(run, tmp_path, capsys, content):
    run(batches="16", optimizers="sgd")
    (tmp_path / "out" / "sgd-b16-lr0.1-s0" / "result.json").write_text(content)
    with pytest.raises(SystemExit) as caught:
        run(batches="16", optimizers="sgd")
    assert caught.value.code == 2
    assert "sgd-b16-lr0.1-s0" in capsys.readouterr().err


def test_ranks_share_every_run(run, mpirun, config_path, tmp_path):
    expected = run(batches="32")
    options = ["--batches", "32", "--optimizers", "sgd,lars", "--output", tmp_path / "ranks"]
    done = mpirun(2, "-m", "orchestrator", "sweep", config_path, *options)
    assert done.returncode == 0, done.stderr
    assert results(tmp_path / "ranks") == expected
    assert done.stdout.count("Batch-size sweep of mlp") == 1
