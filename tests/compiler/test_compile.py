"""What is chosen, what is refused, and what is kept."""

import re
from dataclasses import replace

import numpy as np
import pytest
from compiled import RATES, machines, resnet8

from orchestrator.compiler import cache as cache_module
from orchestrator.compiler import compile_program, single_strategies, step_seconds
from orchestrator.compiler.cache import content_key, read_program
from orchestrator.compiler.compile import ROUTER_ENTRIES, SDRAM, make_site
from orchestrator.compiler.mesh import Mesh
from orchestrator.config import ModelConfig
from orchestrator.errors import ArgumentError, MissingToolError
from orchestrator.machine import Faults, Link, single_chip, spinn3
from orchestrator.machine.constants import Level
from orchestrator.model.graph import Graph, sequential
from orchestrator.model.layers import AvgPool2D, Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU
from orchestrator.model.zoo import build_network
from orchestrator.perf import cycles
from orchestrator.perf.rates import rates


def network(name: str, image_size: int, classes: int = 10):
    return build_network(ModelConfig(name=name, image_size=image_size), classes)


@pytest.mark.parametrize("name", ["four chips", "three chips", "one chip"])
def test_the_choice_is_never_slower_than_a_single_strategy(name):
    machine = machines()[name]
    singles = single_strategies(resnet8(), machine, 8, RATES)
    assert sorted(singles) == ["channels", "images", "pipeline"]
    chosen = compile_program(resnet8(), machine, 8, RATES)
    for single in singles.values():
        assert step_seconds(chosen, RATES) <= step_seconds(single, RATES)


@pytest.mark.parametrize(
    "values",
    [
        *[rates(level) for level in (Level.LOW, Level.HIGH)],
        replace(RATES, packet_receive=200.0),
        replace(RATES, link_share=0.3),
        replace(RATES, round_start=50e-6),
    ],
)
def test_it_is_not_slower_with_other_constants(values):
    machine = machines()["four chips"]
    seconds = step_seconds(compile_program(resnet8(), machine, 8, values), values)
    for single in single_strategies(resnet8(), machine, 8, values).values():
        assert seconds <= step_seconds(single, values)


def plain() -> Graph:
    """Return a network with biases, pools, dropout and a dense layer on a map."""
    layers = [
        Conv2D(48, 3, padding=1), ReLU(), MaxPool2D(2, 2), Conv2D(64, 3, stride=2), ReLU(),
        AvgPool2D(2, 2), Flatten(), Dropout("0.5"), Dense(40), ReLU(), Dense(10),
    ]  # fmt: skip
    return sequential((18, 18, 3), layers)


@pytest.mark.parametrize("graph", [plain(), network("mlp", 8)], ids=["plain", "mlp"])
def test_networks_without_batch_norm_compile_within_the_budgets(graph):
    program = compile_program(graph, spinn3(), 4, RATES)
    assert program.macs >= 4 * graph.macs * 2
    assert (program.sdram_bytes <= SDRAM).all()
    assert (program.router_entries <= ROUTER_ENTRIES).all()
    assert 0 < program.dtcm_bytes <= 56 * 1024


def test_more_chips_are_faster():
    one, four = (
        step_seconds(compile_program(resnet8(), machines()[name], 8, RATES), RATES)
        for name in ("one chip", "four chips")
    )
    assert four < 0.4 * one


def test_a_chip_alone_exchanges_nothing_and_computes_on_all_cores():
    program = compile_program(resnet8(), machines()["one chip"], 4, RATES)
    assert not any(phase.exchanges for phase in program.phases)
    assert program.packet_cores.tolist() == [0]


def test_a_network_that_does_not_fit_is_refused_with_what_it_lacks():
    graph = network("vgg16", 224, 1000)
    lacks = r"does not fit 1 chip: a chip lacks \d+\.\d MB of 123 MB"
    with pytest.raises(ArgumentError, match=lacks) as found:
        compile_program(graph, single_chip(spinn3(), 0, 0), 32, RATES)
    assert re.search(r"the smallest slice that would is one of [12] boards?$", str(found.value))


def test_a_slice_cut_in_two_is_refused_by_name():
    links = frozenset((0, 0, link) for link in Link) | frozenset({(0, 1, Link.SOUTH)})
    with pytest.raises(ArgumentError, match=r"cut the slice of 4 chips in 2 parts, of 3, 1 chips"):
        compile_program(resnet8(), spinn3(Faults(links=links)), 4, RATES)


def test_no_image_is_refused():
    with pytest.raises(ArgumentError, match="0 images"):
        make_site(resnet8(), spinn3(), 0)


def test_without_a_cycle_table_there_is_no_program(monkeypatch):
    cycles.load_table.cache_clear()
    monkeypatch.setattr(cycles, "TABLE", "missing.json")
    try:
        with pytest.raises(MissingToolError, match=r"missing\.json"):
            compile_program(resnet8(), spinn3(), 4, RATES)
    finally:
        cycles.load_table.cache_clear()


def test_a_program_is_kept_and_found_again(tmp_path, monkeypatch):
    folder = tmp_path / "plans"
    made = compile_program(resnet8(), spinn3(), 4, RATES, cache=folder)
    monkeypatch.setattr(cache_module, "compile_for", None)  # a call would fail
    found = compile_program(resnet8(), spinn3(), 4, RATES, cache=folder)
    assert [path.suffix for path in folder.iterdir()] == [".npz"]
    assert found.splits == made.splits and found.weight_splits == made.weight_splits
    assert step_seconds(found, RATES) == step_seconds(made, RATES)
    for one, other in zip(made.regions, found.regions, strict=True):
        assert (one.name, one.purpose) == (other.name, other.purpose)
        np.testing.assert_array_equal(one.address, other.address)


def test_a_damaged_program_is_made_anew(tmp_path):
    made = compile_program(resnet8(), spinn3(), 4, RATES, cache=tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:1000])
    again = compile_program(resnet8(), spinn3(), 4, RATES, cache=tmp_path)
    assert step_seconds(again, RATES) == step_seconds(made, RATES)
    assert read_program(path).strategy == made.strategy


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match="cache of plans"):
        compile_program(resnet8(), spinn3(), 4, RATES, cache=tmp_path / "file" / "plans")


def test_the_key_changes_with_all_that_matters():
    base = (resnet8(), spinn3(), 4, RATES)
    other = [
        (resnet8(40), *base[1:]),
        (base[0], spinn3(Faults(chips=frozenset({(1, 1)}))), *base[2:]),
        (*base[:2], 5, RATES),
        (*base[:3], replace(RATES, clock=1e8)),
    ]
    assert len({content_key(*each) for each in [base, base, *other]}) == 5


@pytest.mark.parametrize("size", [1, 3, 4, 8])
def test_runs_of_chips_are_compact(size):
    mesh = Mesh(machines()["board with faults"])
    order = mesh.order(size)
    assert sorted(order) == list(range(mesh.n))
    groups = np.array(order[: mesh.n // size * size]).reshape(-1, size)
    spread = [mesh.distances[np.ix_(group, group)].max() for group in groups]
    assert np.mean(spread) <= mesh.diameter / 2
