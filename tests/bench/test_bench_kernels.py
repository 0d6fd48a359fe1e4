"""``bench kernels``: every layer and pass once, figures that fit together, peers that are named."""

import io
import sys
from math import prod

import numpy as np
import pytest
from rich.console import Console

from orchestrator.bench.kernels import PASSES, choose_layers, our_passes, run, summarise, table
from orchestrator.bench.peer_convolutions import note, peer_passes
from orchestrator.boards.kernels_native import open_kernels
from orchestrator.errors import ArgumentError, MissingToolError
from orchestrator.model.shapes import ConvShape

torch = pytest.importorskip("torch", reason="torch is missing: pip install torch")


@pytest.fixture(scope="module")
def small() -> dict:
    return run(network="resnet8", image_size=8, batch=2, rounds=1, kernel_set="portable")


def test_every_convolution_of_resnet50_is_there_once() -> None:
    layers = choose_layers("resnet50", 224, 1, "all")
    assert sum(layer.count for layer in layers) == 53
    assert sum(layer.count * layer.macs for layer in layers) == 4_087_136_256
    assert [layer.kernel for layer in layers if layer.first] == ["7x7"]
    three = choose_layers("resnet50", 224, 16, "3x3")
    assert sum(layer.count for layer in three) == 16
    assert three[0].name == "56x56 64-64 3x3/1" and three[0].shape.n == 16


def test_figures_of_a_small_run(small: dict) -> None:
    assert small["kernel_set"] == "portable" and "PyTorch" in small["peer"]
    entries = [entry for layer in small["layers"] for entry in layer["passes"].values()]
    assert all(value > 0 for entry in entries for value in entry.values())
    assert min(small["cpu_ratio"], small["wall_ratio"]) > 0
    first, *others = small["layers"]
    assert list(first["passes"]) == ["forward", "weight gradient"]
    assert all(list(layer["passes"]) == list(PASSES) for layer in others)
    passes = [(row["kernel"], row["pass"]) for row in small["summary"]]
    assert ("3x3", "all") in passes and ("1x1", "forward") in passes and ("all", "all") in passes


def test_totals_weigh_layers_by_their_time() -> None:
    def entry(ours: float, peer: float) -> dict:
        return {"cpu_s": ours, "wall_s": ours, "peer_cpu_s": peer, "peer_wall_s": peer,
                "cpu_ratio": peer / ours}  # fmt: skip

    layers = [
        {"kernel": "3x3", "count": 2, "macs": 10**9, "passes": {"forward": entry(1, 2)}},
        {"kernel": "3x3", "count": 1, "macs": 10**9, "passes": {"forward": entry(2, 1)}},
    ]
    rows = {row["pass"]: row for row in summarise(layers)}
    assert set(rows) == {"forward", "all"}
    assert rows["all"]["cpu_ratio"] == pytest.approx(5 / 4)
    assert rows["all"]["geometric_cpu_ratio"] == pytest.approx(2 ** (1 / 3), abs=0.001)
    assert rows["all"]["gmac_per_cpu_s"] == pytest.approx(3 / 4)


def test_table_shows_every_layer(small: dict) -> None:
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(table(small))
    text = console.export_text()
    assert all(layer["name"] in text for layer in small["layers"])
    assert "all together" in text and "slowly" in text


def test_both_sides_do_the_same_work() -> None:
    """On values from both sides' own formulas: the sums' order of magnitude is the same."""
    shape = ConvShape.of(2, 6, 6, 16, 8, 3, 3, 2, 1)
    ours, peers = our_passes(open_kernels(1), shape), peer_passes(torch, shape)
    assert set(ours) == set(peers) == set(PASSES)
    for name in PASSES:
        sums = ours[name]()
        assert sums.saturated < prod(shape.x_shape) // 100
    assert tuple(peers["forward"]().shape) == (2, 8, 3, 3)
    shapes = [tuple(np.shape(grad)) for grad in peers["input gradient"]() if grad is not None]
    assert shapes == [(2, 16, 6, 6)]
    assert [tuple(g.shape) for g in peers["weight gradient"]() if g is not None] == [(8, 16, 3, 3)]


def test_small_batches_of_one_thread_carry_a_note() -> None:
    assert note(16, 1) is None and note(1, 2) is None
    assert "batch 16" in str(note(15, 1))


@pytest.mark.parametrize("key", ["batch", "rounds", "threads"])
def test_nothing_to_measure(key: str) -> None:
    with pytest.raises(ArgumentError, match=f"{key} is 0, at least 1"):
        run(**{key: 0})


def test_unknown_layers_and_sets_are_refused() -> None:
    with pytest.raises(ArgumentError, match="5x5: resnet50 has 7x7, 1x1, 3x3"):
        run(layers="5x5")
    with pytest.raises(ArgumentError, match="'neon' is not for this processor"):
        run(kernel_set="neon")


def test_missing_torch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingToolError, match="bench kernels .* pip install torch"):
        run()
