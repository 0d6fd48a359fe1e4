"""``regatta plan`` on a small network: what it shows and writes, and what it refuses."""

import json

import pytest

from orchestrator.cli.plan import parse_constants, parse_level, slice_of
from orchestrator.errors import ArgumentError
from orchestrator.perf import cycles

SMALL = ("tiny.yaml", "--board", "spinn3")
PICTURES = ("slice", "layers", "memory", "sensitivity")


@pytest.fixture
def plan(regatta, monkeypatch, tmp_path):
    """Runs ``regatta plan tiny.yaml`` on a 4-chip board, plans kept in the test's own folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return lambda *arguments: regatta("plan", *SMALL, *arguments)


def test_a_plan_is_shown_and_written(plan, tmp_path):
    ended = plan("--json", "plan.json", "--timeline", "step.json", "--output", "pictures")
    assert ended.code == 0
    assert "mlp: a step of 8 images on 1 board, 4 chips" in ended.out
    for table in ("Operations", "Memory", "What no step can be below", "What constants do"):
        assert table in ended.out
    result = json.loads((tmp_path / "plan.json").read_text())
    assert result["predicted_s"] > max(result["bounds_s"].values())
    assert result["energy_j"] > 0 and result["chips"] == 4
    events = json.loads((tmp_path / "step.json").read_text())["traceEvents"]
    last = max(e["ts"] + e["dur"] for e in events if e["ph"] == "X")
    assert last == pytest.approx(1e6 * result["predicted_s"], abs=0.01)
    for name in PICTURES:
        for kind in ("png", "svg"):
            assert (tmp_path / "pictures" / f"{name}.{kind}").stat().st_size > 1000


def test_a_constant_that_is_another_changes_the_prediction(plan, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("orchestrator.cli.plan.write_pictures", lambda *args: drawn.append(args))
    seconds = {}
    for name, arguments in {
        "today": (),
        "twice": ("--set-constant", "clock=400e6", "--set-constant", "packet_send=0"),
        "low": ("--level", "low"),
    }.items():
        assert plan("--json", "plan.json", *arguments).code == 0
        result = json.loads((tmp_path / "plan.json").read_text())
        seconds[name] = result["predicted_s"]
    assert seconds["twice"] < seconds["today"] < seconds["low"]
    assert len(drawn) == 3


def test_single_strategies_are_laid_beside(plan, tmp_path, monkeypatch):
    monkeypatch.setattr("orchestrator.cli.plan.write_pictures", lambda *args: None)
    ended = plan("--beside", "--json", "plan.json")
    assert ended.code == 0 and "Beside single strategies" in ended.out
    compared = json.loads((tmp_path / "plan.json").read_text())["strategies"]
    assert [each["case"] for each in compared][:3] == ["low", "typical", "high"]
    typical = compared[1]
    best = min(typical[name] for name in ("images", "channels", "pipeline"))
    assert typical["gain"] == pytest.approx(best / typical["chosen_s"])
    assert typical["gain"] >= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--board", "spinn4"), "--board spinn4: there are spinn5, spinn3, chip"),
        (("--set", "slice.boards=2"), "slice.boards is 2"),
        (("--set", "slice.boards=0"), "slice.boards: 0 is out of range"),
        (("--set", "slice.boards=1201"), "slice.boards: 1201 is out of range"),
        (("--set", "model.name=resnet51"), "there is no network 'resnet51'"),
        (("--level", "best"), "--level best: there are low, typical, high"),
        (("--set-constant", "speed=1"), "no machine constant speed"),
        (("--output", "tiny.yaml"), "--output tiny.yaml: is a file"),
        (("--timeline", "none/step.json"), "--timeline none/step.json: give a file in a folder"),
        (("--json", "none/plan.json"), "the folder none does not exist"),
    ],
)
def test_bad_input_is_one_message(plan, arguments, message, tmp_path):
    assert message in plan(*arguments).refused()
    assert not (tmp_path / "runs").exists()


def test_a_network_that_does_not_fit_says_so(plan):
    message = plan(
        *("--board", "chip", "--set", "model.name=resnet50", "--set", "model.image_size=224")
    ).refused()
    assert "MB" in message and "board" in message


def test_without_measured_cycles_there_is_no_plan(plan, monkeypatch, tmp_path):
    monkeypatch.setattr(cycles, "files", lambda _: tmp_path)
    cycles.load_table.cache_clear()
    try:
        message = plan().refused(4)
    finally:
        cycles.load_table.cache_clear()
    assert "regatta bench kernels --target arm968" in message


def test_slices_of_a_configuration():
    assert slice_of("spinn5", 1).n_chips == 48
    assert slice_of("spinn5", 4).n_boards == 4
    assert slice_of("spinn3", 1).n_chips == 4
    assert slice_of("chip", 1).n_chips == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: slice_of("chip", 2), "slice.boards is 2"),
        (lambda: parse_level("best"), "--level best: there are low, typical, high"),
        (lambda: parse_constants(["clock"]), "'clock' is not NAME=VALUE"),
        (lambda: parse_constants(["clock=fast"]), "is not NAME=VALUE"),
        (lambda: parse_constants(["clock=1", "clock=2"]), "clock is given twice"),
        (lambda: parse_constants(["clock=-1"]), "-1 Hz is not possible"),
    ],
)
def test_bad_options_are_refused(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
