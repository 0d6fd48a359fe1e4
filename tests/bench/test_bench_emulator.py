"""``bench emulator``: both sides once, figures that fit together, differences that are an error."""

import io

import numpy as np
import pytest
from rich.console import Console

from orchestrator.bench import emulator
from orchestrator.bench.emulator import run, table
from orchestrator.errors import ArgumentError, MissingToolError, RunError

SMALL = {"network": "resnet8", "image_size": 8, "layers": "3x3", "batch": 1, "rounds": 1}


@pytest.fixture(scope="module")
def small() -> dict:
    try:
        return run(**SMALL)
    except MissingToolError as error:
        pytest.skip(str(error))


def test_figures_of_a_small_run(small: dict) -> None:
    first, *others = small["passes"]
    assert first["pass"] == "forward" and others[0]["pass"] == "weight gradient"
    assert {entry["pass"] for entry in others} == set(emulator.PASSES)
    for entry in (*small["passes"], *small["totals"]):
        for side in ("plain", "substituted"):
            figures = entry[side]
            assert all(value > 0 for value in figures.values())
            assert figures["mac_per_cycle"] <= 1
        assert entry["substituted"]["instructions"] < entry["plain"]["instructions"]
    assert abs(small["cycle_error"]) < 0.01
    assert small["cpu_ratio"] == small["totals"][-1]["cpu_ratio"] > 0


def test_totals_count_every_layer_as_often_as_it_is_there(small: dict) -> None:
    total = small["totals"][0]["plain"]["cycles"]
    forward = [entry for entry in small["passes"] if entry["pass"] == "forward"]
    assert total == sum(entry["count"] * entry["plain"]["cycles"] for entry in forward)
    assert small["totals"][-1]["plain"]["cycles"] > total


def test_a_network_whose_only_layer_is_its_first_has_no_input_gradient() -> None:
    try:
        result = run(**SMALL | {"network": "alexnet", "image_size": 63, "layers": "11x11"})
    except MissingToolError as error:
        pytest.skip(str(error))
    assert [total["pass"] for total in result["totals"]] == ["forward", "weight gradient", "all"]


def test_table_shows_every_pass(small: dict) -> None:
    console = Console(file=io.StringIO(), width=160)
    console.print(table(small))
    shown = console.file.getvalue()
    for entry in small["passes"]:
        assert entry["layer"] in shown
    assert "resnet8 at 8, 1 image" in shown


def test_other_bits_are_an_error(monkeypatch: pytest.MonkeyPatch, small: dict) -> None:
    made = iter(range(100))
    monkeypatch.setattr(
        emulator,
        "passes_of",
        lambda *_: dict.fromkeys(emulator.PASSES, lambda: np.array(next(made))),
    )
    with pytest.raises(RunError, match="other bits"):
        run(**SMALL)


@pytest.mark.parametrize("name", ["batch", "rounds"])
def test_numbers_below_one_are_named(name: str) -> None:
    with pytest.raises(ArgumentError, match=f"{name} is 0"):
        run(**SMALL | {name: 0})
