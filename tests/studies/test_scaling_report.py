"""The figures of the report, on a slice with a closed form."""

import json
from pathlib import Path

import pytest
from slice_stand_in import ClosedForm

from orchestrator.config import load_config
from orchestrator.perf.rates import NAMES
from orchestrator.studies.scaling_report import WHAT_IFS, figures

CONFIG = Path(__file__).parents[2] / "configs" / "resnet50_spinnaker1m.yaml"


@pytest.fixture(scope="module")
def found():
    asked = []

    def slice_of(config):
        asked.append(config.model.name)
        return ClosedForm()

    result = figures(load_config(CONFIG), slice_of, None, (1, 24, 1200))
    assert asked == ["resnet50", "vgg16", "alexnet"]
    return result


def test_all_figures_are_json(found):
    assert json.loads(json.dumps(found)) == found
    assert [point["boards"] for point in found["points"]] == 2 * [1, 24, 1200]
    assert [point["machines"] for point in found["several_machines"]] == [2, 5, 10]
    assert found["several_machines"][0]["epochs_basis"] == "extrapolated"


def test_a_faster_machine_is_faster(found):
    whole = next(p for p in found["points"] if (p["boards"], p["scaling"]) == (1200, "weak"))
    assert [each["changes"] for each in found["what_if"]] == [dict(each) for each in WHAT_IFS]
    for each in found["what_if"]:
        assert each["point"]["predicted_s"] <= whole["predicted_s"] * (1 + 1e-12), each["words"]
    clock = found["what_if"][0]["point"]
    assert clock["predicted_s"] == pytest.approx(whole["predicted_s"] - 2.0)  # of 4 s at 200 MHz


def test_every_constant_is_slow_and_fast_once(found):
    whole = next(p for p in found["points"] if (p["boards"], p["scaling"]) == (1200, "weak"))
    names = [each["name"] for each in found["constants"]]
    assert names == [*NAMES, "host_write", "host_boards_rate"]
    for each in found["constants"]:
        between = each["slow_images_per_s"], whole["images_per_s"], each["fast_images_per_s"]
        assert list(between) == pytest.approx(sorted(between)), each["name"]
    clock = next(each for each in found["constants"] if each["name"] == "clock")
    assert clock["slow_images_per_s"] < clock["fast_images_per_s"]
