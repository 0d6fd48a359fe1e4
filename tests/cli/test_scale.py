"""The command ``regatta scale``: tables, files, options, and what is refused."""

import importlib
import json
from pathlib import Path

import pytest
from slice_stand_in import ClosedForm

from orchestrator.perf import cycles

CONFIG = Path(__file__).parents[2] / "configs" / "resnet50_spinnaker1m.yaml"


@pytest.fixture
def planned(monkeypatch):
    """Plans nothing: every slice is a closed form; returns the networks that were asked for."""
    asked = []

    def plan_slice(config, folder):
        asked.append(config.model.name)
        return ClosedForm(ghost_batch=config.train.ghost_batch, boards=config.slice.boards)

    module = importlib.import_module("orchestrator.cli.scale")  # the package's `scale` is a command
    monkeypatch.setattr(module, "plan_slice", plan_slice)
    return asked


@pytest.fixture
def study(regatta, planned, tmp_path, monkeypatch):
    """Runs `regatta scale` on the report's configuration; returns how it ended and its JSON."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(*arguments):
        file = tmp_path / "found.json"
        file.unlink(missing_ok=True)
        ended = regatta("scale", CONFIG, "--json", file, *arguments)
        return ended, json.loads(file.read_text()) if file.exists() else None

    return run


def test_both_scalings_are_shown_and_written(study, tmp_path):
    ended, found = study("--boards", "24,1,6", "--output", "out")
    assert ended.code == 0, ended.err
    for words in ("Weak scaling: speed", "Strong scaling: training", "Goyal 2017", "75.9 % top-1"):
        assert words in ended.out
    boards = [(point["scaling"], point["boards"]) for point in found["points"]]
    assert boards == [(kind, n) for kind in ("weak", "strong") for n in (1, 6, 24)]
    assert found["points"][2]["global_batch"] == 24 * 32
    assert found["points"][5]["global_batch"] == 38_400
    assert found["recipe"] == "mlperf" and found["what_if"] == {}
    assert {record["name"] for record in found["published"]} >= {"He 2015", "MLPerf v0.6"}
    assert json.loads((tmp_path / "out" / "scale.json").read_text()) == found
    assert (tmp_path / "out" / "scale.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "out" / "scale.html").read_text(encoding="utf-8").startswith("<!doctype")


def test_the_same_study_is_the_same_to_the_byte(study, tmp_path):
    files = []
    for name in ("out-1", "out-2"):
        ended, _ = study("--boards", "1,3", "--scaling", "weak", "--output", name)
        assert ended.code == 0
        kept = sorted((tmp_path / name).iterdir())
        files.append(({path.name: path.read_bytes() for path in kept}, ended.out))
    assert files[0][0] == files[1][0] and len(files[0][0]) == 3
    assert files[0][1].replace("out-1", "out-2") == files[1][1]


def test_options_reach_the_study(study, planned):
    ended, found = study(
        *("--boards", "2,2", "--scaling", "weak", "--batch", 64, "--recipe", "config"),
        *("--what-if", "clock=400", "--what-if", "cables=2", "--model", "vgg16"),
    )
    assert ended.code == 0, ended.err
    (point,) = found["points"]
    assert planned == ["vgg16"] and found["model"] == "vgg16"
    assert (point["global_batch"], point["ghost_batches"], point["epochs"]) == (128, 2, 63)
    assert found["what_if"] == {"clock": 400.0, "cables": 2.0}
    assert point["components"]["compute"] == pytest.approx(2 * 8e8 / 400e6)
    assert "What if: clock 400 MHz, cables 2 times today." in ended.out


def test_epochs_may_have_other_numbers_of_images(study):
    arguments = ("--boards", "1", "--scaling", "weak", "--recipe", "config")
    times = []
    for images in (64, 128):
        _, found = study(*arguments, "--epoch-images", images)
        times.append(found["points"][0]["train_s"])
    assert times[1] == pytest.approx(2 * times[0])


def test_strong_scaling_takes_a_batch_of_its_own(study):
    ended, found = study("--boards", "4", "--scaling", "strong", "--global-batch", 96)
    assert ended.code == 0
    assert [point["global_batch"] for point in found["points"]] == [96]
    assert "1 of 4 slices have no images" in ended.out


def test_beyond_the_known_batches_the_time_is_left_out_or_marked(study):
    arguments = ("--boards", "2400", "--scaling", "weak")
    ended, found = study(*arguments)
    assert found["points"][0]["train_s"] is None and "--extrapolate" in ended.out
    ended, found = study(*arguments, "--extrapolate")
    assert found["points"][0]["train_s"] > 0
    assert found["points"][0]["epochs_basis"] == "extrapolated" and "‡" in ended.out


def test_sums_are_kept_in_the_users_cache(study, tmp_path):
    study("--boards", "5", "--scaling", "weak")
    assert len(list((tmp_path / "cache" / "regatta" / "sums").iterdir())) == 1


REFUSED = [
    (("--boards", "0"), "--boards: 0 is not possible"),
    (("--boards", ""), "--boards: no number is given"),
    (("--boards", "1,many"), "--boards: 'many' is not a whole number"),
    (("--boards", "1300"), "--boards: 1,300 are too many for one machine of 1,200"),
    (("--boards", "99999999"), "--boards: 99,999,999 is not possible"),
    (("--boards", "2", "--set", "slice.boards=3"), "--boards: 2 are fewer than the 3 of a slice"),
    (("--scaling", "sideways"), "--scaling: 'sideways' is not one of weak, strong, both"),
    (("--batch", "33"), "--batch: 33 is not a multiple of the ghost batch 32"),
    (("--global-batch", "33"), "--global-batch: 33 is not a multiple of the ghost batch 32"),
    (("--epoch-images", "0"), "--epoch-images: 0 is not possible; give at least 1"),
    (("--batch", "0"), "--batch: 0 is not a multiple of the ghost batch 32"),
    (("--recipe", "adam"), "--recipe: resnet50 has no recipe 'adam'; it has mlperf, he-2015"),
    (("--what-if", "warp=9"), "--what-if: there is no 'warp' to change; there are clock (MHz)"),
    (("--what-if", "clock=0"), "--what-if clock: '0' is not a number above 0"),
    (("--set", "model.nme=x"), "model.nme: unknown key (did you mean name?)"),
    (("--output", str(CONFIG)), "is a file; give a folder"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[m for _, m in REFUSED])
def test_what_cannot_be_is_refused_in_one_line(study, arguments, message):
    ended, found = (
        study("--boards", "1", *arguments) if arguments[0] != "--boards" else study(*arguments)
    )
    assert message in ended.refused()
    assert found is None


def test_an_unknown_network_is_refused_with_the_known_ones(regatta):
    ended = regatta("scale", CONFIG, "--model", "resnet51")
    assert "model.name: there is no network 'resnet51'; known are resnet18" in ended.refused()


def test_a_missing_cycle_table_is_a_missing_tool(regatta, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(cycles, "TABLE", "gone.json")
    cycles.load_table.cache_clear()
    message = regatta("scale", CONFIG, "--boards", "1").refused(4)
    assert "gone.json" in message and "regatta bench kernels --target arm968" in message
    cycles.load_table.cache_clear()


def test_a_network_that_does_not_fit_says_so(regatta, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    huge = ("--set", "model.hidden=[100000,100000]")
    message = regatta("scale", "tiny.yaml", "--boards", "1", "--model", "mlp", *huge).refused()
    assert "fit" in message
