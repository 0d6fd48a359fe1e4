"""The figures of the report, on a slice with a closed form."""

import json
from pathlib import Path

import pytest
from slice_stand_in import ClosedForm

from orchestrator.config import load_config
from orchestrator.errors import ArgumentError
from orchestrator.machine.constants import Level
from orchestrator.perf.rates import NAMES
from orchestrator.studies.records import records_of
from orchestrator.studies.scaling_report import WHAT_IFS, figures
from orchestrator.studies.scaling_report_plot import draw_constants, draw_what_if, write_figure
from orchestrator.studies.scaling_table import points_of

WHOLE = (1200, "weak")
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


def test_a_network_without_a_plan_is_left_out_with_the_reason():
    def slice_of(config):
        if config.model.name == "vgg16":
            raise ArgumentError("it does not fit")
        return ClosedForm()

    networks = figures(load_config(CONFIG), slice_of, None, (1200,))["networks"]
    assert networks["vgg16"] == {"refused": "it does not fit", "points": []}
    assert (networks["alexnet"]["refused"], networks["alexnet"]["ghost_batch"]) == (None, 32)
    assert len(networks["alexnet"]["points"]) == 2


def test_a_faster_machine_is_faster(found):
    whole = next(p for p in found["points"] if (p["boards"], p["scaling"]) == WHOLE)
    assert [each["changes"] for each in found["what_if"]] == [dict(each) for each in WHAT_IFS]
    for each in found["what_if"]:
        assert each["point"]["predicted_s"] <= whole["predicted_s"] * (1 + 1e-12), each["words"]
    clock = found["what_if"][0]["point"]
    assert clock["predicted_s"] == pytest.approx(whole["predicted_s"] - 2.0)  # of 4 s at 200 MHz


def test_every_constant_is_slow_and_fast_once(found):
    whole = next(p for p in found["points"] if (p["boards"], p["scaling"]) == WHOLE)
    names = [each["name"] for each in found["constants"]]
    assert names == [*NAMES, "host_write", "host_boards_rate"]
    for each in found["constants"]:
        between = each["slow_images_per_s"], whole["images_per_s"], each["fast_images_per_s"]
        assert list(between) == pytest.approx(sorted(between)), each["name"]
    clock = next(each for each in found["constants"] if each["name"] == "clock")
    assert clock["slow_images_per_s"] < clock["fast_images_per_s"]


def test_the_pictures_name_every_change_and_constant(found, tmp_path):
    (whole,) = points_of(p for p in found["points"] if (p["boards"], p["scaling"]) == WHOLE)
    records = records_of("resnet50")
    (changed,) = draw_what_if(found, whole, records).axes
    assert len(changed.get_yticklabels()) == 1 + len(WHAT_IFS)
    assert {text.get_text() for text in changed.texts} == {record.name for record in records}
    figure = draw_constants(found["constants"], whole.at[Level.TYPICAL].images_per_s)
    (constants,) = figure.axes
    labels = [label.get_text() for label in constants.get_yticklabels()]
    assert labels[0] == "clock (data sheet)" and len(labels) == len(found["constants"])
    write_figure(tmp_path / "one.png", figure)
    write_figure(tmp_path / "two.png", figure)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
