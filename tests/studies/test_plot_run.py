"""The picture of a run: what it draws, and what it says without a run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.image import imread

from orchestrator.errors import DataError, RunError
from orchestrator.studies.plot_run import draw_run, plot_run

ROOT = Path(__file__).parents[2]
STEPS = [
    {"kind": "step", "step": 1, "epoch": 0, "loss": 2.0, "accuracy": 0.1, "samples": 10},
    {"kind": "step", "step": 2, "epoch": 0, "loss": 1.0, "accuracy": 0.4, "samples": 30},
    {"kind": "step", "step": 3, "epoch": 1, "loss": 0.5, "accuracy": 0.6, "samples": 10},
]
EVALUATIONS = [{"kind": "evaluation", "step": 2, "epoch": 0, "loss": 1.5, "accuracy": 0.3}]


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / "digits"
    folder.mkdir()
    lines = [json.dumps(record) + "\n" for record in (*STEPS, *EVALUATIONS)]
    (folder / "metrics.jsonl").write_text("".join(lines))
    return folder


def test_curves_hold_the_records():
    loss, accuracy = draw_run([*STEPS[:2], *EVALUATIONS, STEPS[2]], "digits").axes
    every, means, tested = loss.lines
    assert list(every.get_xdata()) == [1, 2, 3]
    assert list(every.get_ydata()) == [2.0, 1.0, 0.5]
    assert list(means.get_xdata()) == [1.5, 3]
    assert list(means.get_ydata()) == [1.25, 0.5]  # weighted by samples
    assert (list(tested.get_xdata()), list(tested.get_ydata())) == ([2], [1.5])
    assert list(accuracy.lines[0].get_ydata()) == [10, 40, 60]  # percent


def test_a_picture_is_written(run_folder, tmp_path):
    plot_run(run_folder, tmp_path / "run.png", None)
    height, width, _ = imread(tmp_path / "run.png").shape
    assert width > height > 300


def test_a_run_without_a_step_is_refused(run_folder, tmp_path):
    with pytest.raises(DataError, match="no step"):
        draw_run(EVALUATIONS, "digits")
    with pytest.raises(DataError, match="nowhere"):
        plot_run(tmp_path / "nowhere", tmp_path / "run.png", None)
    with pytest.raises(RunError, match="missing"):
        plot_run(run_folder, tmp_path / "missing" / "run.png", None)


def test_the_command_answers_bad_input_in_one_line(tmp_path):
    command = [sys.executable, "-m", "orchestrator.studies.plot_run"]
    answer = subprocess.run(
        [*command, str(tmp_path / "nowhere"), str(tmp_path / "run.png")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 2
    assert answer.stderr.startswith("plot_run: ") and answer.stderr.count("\n") == 1
