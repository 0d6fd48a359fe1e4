import copy
import json
from pathlib import Path

import pytest

from orchestrator.errors import MissingToolError
from orchestrator.perf import cycles
from orchestrator.perf.cycles import Cost, Element, Pass, load_table, parse_table

ROOT = Path(__file__).resolve().parents[2]
PACKAGED = ROOT / "orchestrator" / "perf" / cycles.TABLE
MEASURED = json.loads(PACKAGED.read_text(encoding="utf-8"))


def test_the_packaged_table_is_the_published_one():
    assert PACKAGED.read_bytes() == (ROOT / "docs" / "measurements" / cycles.TABLE).read_bytes()


@pytest.mark.parametrize("layer", MEASURED["layers"], ids=lambda layer: layer["name"])
def test_a_measured_layer_costs_what_was_measured(layer):
    size, channels, kernel = layer["name"].split(" ")
    c, k = map(int, channels.split("-"))
    window, stride = kernel.split("/")
    r, s = map(int, window.split("x"))
    positions = (int(size.split("x")[0]) // int(stride)) ** 2
    for name, figures in layer["passes"].items():
        reduction = {"forward": c, "input gradient": k, "weight gradient": 0}[name]
        asked = (Pass(name), (r, s), c, int(stride), positions, reduction)
        cost = load_table().convolution(*asked) * figures["macs"]
        assert cost.cycles == pytest.approx(figures["cycles"] - figures["sleep_cycles"])
        assert cost.dma_bytes == pytest.approx(figures["dma_bytes"])
        assert cost.dma_transfers == pytest.approx(figures["dma_transfers"])
        assert cost.waited_bytes == pytest.approx(figures["sleep_cycles"] / 4)
        assert load_table().product(f"{name} {layer['name']}") * figures["macs"] == cost
        share_weights = r * s * max(reduction, 1) * 64
        packing = load_table().packing(*asked) * share_weights
        assert packing.cycles == pytest.approx(figures["packing_cycles"])


@pytest.mark.parametrize(
    ("asked", "layer"),
    [
        ((Pass.FORWARD, (5, 5), 64, 1, 27 * 27, 64), "28x28 128-128 3x3/1"),
        ((Pass.FORWARD, (11, 11), 3, 4, 55 * 55, 3), "224x224 3-64 7x7/2"),
        ((Pass.FORWARD, (1, 1), 9216, 1, 1, 9216), "1x1 2048-1000 1x1/1"),
        ((Pass.FORWARD, (3, 3), 512, 1, 60, 512), "7x7 512-512 3x3/1"),
        ((Pass.WEIGHT_GRADIENT, (3, 3), 512, 2, 36, 0), "14x14 512-512 3x3/2"),
        # An image's input gradient was not measured: a window's stands for it.
        ((Pass.INPUT_GRADIENT, (3, 3), 3, 1, 1024, 32), "28x28 128-128 3x3/1"),
    ],
)
def test_a_layer_not_measured_takes_the_nearest(asked, layer):
    assert load_table().nearest(*asked).layer == layer


def test_a_layer_can_be_named():
    """A dense layer on a map is a window of all of it: one position."""
    table = load_table()
    named = table.product("forward 7x7 512-4096 7x7/1")
    assert named == table.convolution(Pass.FORWARD, (7, 7), 512, 1, 1, 512)


def test_every_kernel_that_is_no_convolution_is_there():
    for entry in MEASURED["elements"]:
        cost = load_table().element(Element(entry["kernel"]))
        assert (cost.cycles, cost.dma_bytes) == (
            entry["cycles_per_element"],
            entry["dma_bytes_per_element"],
        )
    assert {entry["kernel"] for entry in MEASURED["elements"]} == set(Element)


def test_costs_add_up():
    one = Cost(1, 2, 3, 4)
    assert one + one == 2 * one == one * 2 == Cost(2, 4, 6, 8)


def without(key):
    changed = copy.deepcopy(MEASURED)
    del changed[key]
    return changed


def changed_layer(**figures):
    changed = copy.deepcopy(MEASURED)
    changed["layers"][0]["passes"]["forward"].update(figures)
    return changed


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"bench": "allreduce"}, "'allreduce', not 'arm_kernels'"),
        ([], "another form"),
        (None, "another form"),
        (without("layers"), "'layers'"),
        (without("dma_bytes_per_cycle"), "dma_bytes_per_cycle"),
        ({**MEASURED, "elements": MEASURED["elements"][1:]}, "lacks statistics"),
        ({**MEASURED, "layers": MEASURED["layers"][:1]}, "lacks input gradient"),
        (changed_layer(macs=0), "0 products"),
        (changed_layer(cycles="many"), "many"),
    ],
)
def test_an_uncalibrated_table_is_refused_with_what_measures_it(data, why):
    with pytest.raises(MissingToolError, match="not calibrated.*regatta bench kernels") as caught:
        parse_table(data)
    assert why in str(caught.value)
    assert caught.value.exit_code == 4


def test_a_missing_table_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(cycles, "files", lambda _: tmp_path)
    with pytest.raises(MissingToolError, match="cannot be read.*regatta bench kernels"):
        load_table.__wrapped__()
    (tmp_path / cycles.TABLE).write_text("{")
    with pytest.raises(MissingToolError, match="is not JSON"):
        load_table.__wrapped__()
