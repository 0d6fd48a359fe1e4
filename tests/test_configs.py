"""Every file in configs/ loads, fits its network and data, and says where its values come from."""

import re
from fractions import Fraction
from pathlib import Path

import pytest

from orchestrator.config import dump_config, load_config, parse_config
from orchestrator.model.zoo import build_network
from orchestrator.optim import Rates, StepRates, plan_batches, plan_updates, rmsprop_scalars

FOLDER = Path(__file__).resolve().parents[1] / "configs"
FILES = [p for p in sorted(FOLDER.glob("*.yaml")) if not p.stem.startswith("machine_")]
PUBLISHED = [path for path in FILES if re.search(r"20\d\d$|mlperf", path.stem)]
SAMPLES = {"digits": 1438, "cifar10": 50_000, "folder": 1_281_167}
MARK = re.compile(r"# (stated|from notes|recalled, unchecked|inferred)\b")


def named(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)


def samples_of(path, config):
    return 500 if path.stem == "resnet50_imagenet_sample" else SAMPLES[config.data.source]


@named(FILES)
def test_it_loads_and_reads_back_equal(path):
    config = load_config(path)
    assert parse_config(dump_config(config)) == config


@named(FILES)
def test_its_network_and_exclusions_fit(path):
    config = load_config(path)
    graph = build_network(config.model, config.model.classes or 10)
    plan = plan_updates(config.optimizer, graph.parameters)
    kinds = {parameter.kind for parameter in graph.parameters if parameter.name in plan.excluded}
    assert kinds <= {"gamma", "beta", "bias"}


@named(FILES)
def test_its_rates_are_finite_and_end_below_the_peak(path):
    config = load_config(path)
    batches = plan_batches(config.train, samples_of(path, config))
    rates = Rates(config.lr_schedule, config.train.global_batch, config.train.epochs)
    last = batches.position(batches.total_steps - 1)
    assert last.epoch == config.train.epochs - 1
    reductions = 3 if config.lr_schedule.decay == "plateau" else 0
    assert 0 < rates.at(last.exact_epoch, reductions) < rates.peak / 50
    highest = max(rates.at(Fraction(quarter, 4)) for quarter in range(4 * config.train.epochs))
    assert rates.peak / 2 <= highest <= rates.peak


@named(FILES)
def test_its_scalars_fit_the_kernels(path):
    config = load_config(path)
    rates = Rates(config.lr_schedule, config.train.global_batch, config.train.epochs)
    plan = plan_updates(config.optimizer, [])
    now, before = rates.at(Fraction(2)), rates.at(Fraction(19, 10))
    step = StepRates(now, before, config.train.global_batch)
    scalars = plan.scalars("w", step, -20)
    if config.optimizer.name == "rmsprop_warmup":
        found = rmsprop_scalars(plan, "w", step, -20, Fraction(2))
        scalars = (found.momentum, found.gradient, found.decay, found.sgd, found.rms)
    assert all(2**15 <= m < 2**16 and -80 < exponent < 8 for m, exponent in scalars)


@named(PUBLISHED)
def test_it_says_of_every_value_where_it_comes_from(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    keys = [line for line in lines if re.match(r"  \w+:", line)]
    ours = ("source:", "path:")
    unmarked = [line for line in keys if not MARK.search(line) and line.split()[0] not in ours]
    assert len(keys) > 15
    assert unmarked == []
    head = "\n".join(line for line in lines if line.startswith("#"))
    assert all(mark in head for mark in ("stated", "from notes", "recalled", "inferred"))


def test_the_published_recipes_are_all_there():
    names = {path.stem.removeprefix("resnet50_") for path in PUBLISHED}
    assert names >= {
        "he2015",
        "goyal2017",
        "smith2017",
        "akiba2017",
        "you2017",
        "jia2018",
        "mikami2018",
        "ying2018",
    }
    ladder = {int(name.rsplit("_", 1)[1]) for name in names if "rcp" in name}
    assert {4096, 8192, 32_768, 65_536} <= ladder
