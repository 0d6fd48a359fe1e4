"""What a scaling study writes: tables, JSON, picture and page."""

import json
import re

import pytest
from matplotlib.image import imread
from slice_stand_in import ClosedForm

from orchestrator.machine.constants import Level
from orchestrator.studies.records import records_of
from orchestrator.studies.scaling import Scaling, Study
from orchestrator.studies.scaling_epochs import ReferenceRecipe
from orchestrator.studies.scaling_page import page, write_page
from orchestrator.studies.scaling_plot import draw_scaling, names_left, write_plot
from orchestrator.studies.scaling_table import (
    COST_COLUMNS,
    RECORD_COLUMNS,
    SPEED_COLUMNS,
    as_json,
    by_scaling,
    component_columns,
    component_rows,
    cost_rows,
    notes,
    points_of,
    record_rows,
    speed_rows,
)

BOARDS = (1, 24, 1200, 2400)
RECORDS = records_of("resnet50")


@pytest.fixture(scope="module")
def points():
    study = Study(
        slice_model=ClosedForm(),
        recipe=ReferenceRecipe(),
        overrides={level: {} for level in Level},
    )
    return [*study.weak(BOARDS, 1), *study.strong(BOARDS[:2], 20)]


def test_rows_have_a_cell_for_every_column(points):
    for columns, rows in (
        (SPEED_COLUMNS, speed_rows(points)),
        (COST_COLUMNS, cost_rows(points)),
        (component_columns(points), component_rows(points)),
        (RECORD_COLUMNS, record_rows(RECORDS)),
    ):
        assert rows and {len(row) for row in rows} == {len(columns)}


def test_a_row_shows_the_points_figures(points):
    at = points[0].at[Level.TYPICAL]
    row = speed_rows(points)[0]
    assert row[:3] == ("1", "32", "4.25")
    assert row[3] == f"{at.images_per_s:.2f}"
    assert cost_rows(points)[0][2] == "35.0†"
    assert speed_rows(points)[3][0] == "2 x 1,200"


def test_components_add_up_to_the_step(points):
    for row in component_rows(points):
        assert sum(map(float, row[1:-1])) == pytest.approx(float(row[-1]), abs=2e-3)


def test_unknown_epochs_leave_gaps_that_a_note_explains(points):
    row = cost_rows(points)[3]  # 2 x 1,200 boards: a batch of 76,800
    assert row[2:6] == ("unknown", "–", "–", "–")
    said = notes(points)
    assert any("--extrapolate" in note for note in said)
    assert any(note.startswith("* interpolated") for note in said)
    assert any("4 of 24 slices have no images" in note for note in said)


def test_json_names_and_values(points):
    found = as_json(points, {"model": "resnet50"})
    assert found["model"] == "resnet50" and json.loads(json.dumps(found)) == found
    point, beyond = found["points"][2], found["points"][3]
    at = points[2].at[Level.TYPICAL]
    assert point["predicted_s"] == at.step_s
    assert point["images_per_s"] == at.images_per_s and point["efficiency"] == at.efficiency
    assert point["energy_j"] == pytest.approx(at.power_w * at.step_s)
    assert point["low"]["predicted_s"] > point["predicted_s"] > point["high"]["predicted_s"]
    assert point["epochs_basis"] == "interpolated"
    assert sum(point["components"].values()) == pytest.approx(point["predicted_s"])
    assert beyond["epochs"] is None and beyond["train_s"] is None
    assert beyond["train_energy_j"] is None and beyond["machines"] == 2


def test_points_come_back_from_json(points):
    found = points_of(json.loads(json.dumps(as_json(points, {})))["points"])
    assert speed_rows(found) == speed_rows(points) and cost_rows(found) == cost_rows(points)
    assert component_rows(found) == component_rows(points) and notes(found) == notes(points)


def test_curves_are_sorted_by_boards(points):
    curves = by_scaling(points[::-1])
    assert [p.boards for p in curves[Scaling.WEAK]] == list(BOARDS)
    assert list(by_scaling(points[:4])) == [Scaling.WEAK]


def test_the_picture_names_what_it_shows(points):
    figure = draw_scaling(points, RECORDS, "A study")
    speed, efficiency, spent, cost = figure.axes
    assert (speed.get_xlabel(), speed.get_ylabel()) == ("boards", "images/s")
    assert efficiency.get_ylabel() == "per cent"
    assert spent.get_ylabel() == "seconds of a step"
    assert (cost.get_xlabel(), cost.get_ylabel()) == ("power (kW)", "time to train")
    assert {text.get_text() for text in speed.texts} == {record.name for record in RECORDS}
    for axes in figure.axes:
        assert axes.get_legend() and axes.get_title()
    names = [text.get_text() for text in spent.get_legend().get_texts()]
    assert names == ["update", "exchange", "compute"]  # from the top; nobody waits for images


def test_the_picture_is_the_same_file_every_time(points, tmp_path):
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    write_plot(one, points, RECORDS, "A study")
    write_plot(two, points, RECORDS, "A study")
    assert one.read_bytes() == two.read_bytes()
    assert imread(one).shape[0] > 500


def test_networks_without_published_trainings_have_a_picture_too(points, tmp_path):
    write_plot(tmp_path / "none.png", points[4:], (), "A study")
    assert (tmp_path / "none.png").stat().st_size > 10_000


def test_names_of_close_records_go_to_different_sides():
    trained = [record for record in RECORDS if record.seconds]
    left = dict(zip([record.name for record in trained], names_left(trained), strict=True))
    assert left["Akiba 2017"] and not left["You 2017"]


def test_the_page_stands_alone_and_escapes_what_it_is_given(points, tmp_path):
    text = page(points, RECORDS, "Boards <1,200>", ["Facts & figures."])
    write_page(tmp_path / "page.html", points, RECORDS, "Boards <1,200>", ["Facts & figures."])
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == text
    assert "<h1>Boards &lt;1,200&gt;</h1>" in text and "Facts &amp; figures." in text
    assert not re.search(r'<(?:script|link|img)[^>]*(?:src|href)="?http', text)
    assert "prefers-color-scheme" in text and "Plotly.newPlot" in text
    for record in RECORDS:
        assert f"<td>{record.name}</td>" in text
    assert text.count("<table>") == 7
