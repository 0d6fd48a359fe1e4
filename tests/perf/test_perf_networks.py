"""Compiled networks on small slices: bounds hold, faster machines are never slower."""

from dataclasses import asdict
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.compiler import compile_program
from orchestrator.config import ModelConfig
from orchestrator.machine import Faults, Link, single_board, single_chip, spinn3
from orchestrator.machine.constants import Level
from orchestrator.model.zoo import build_network
from orchestrator.perf.bounds import bounds_of, demand_of
from orchestrator.perf.rates import COSTS, NAMES, rates
from orchestrator.perf.step import step_time
from orchestrator.perf.timing import walk_program
from orchestrator.studies.plan_strategies import compare

DEAD = Faults(chips=frozenset({(1, 1)}), links=frozenset({(0, 0, Link.NORTH)}))
SLICES = {
    "chip": lambda: single_chip(single_board(), 0, 0),
    "spinn3": spinn3,
    "spinn3 with dead parts": lambda: spinn3(DEAD),
}
NETWORKS = {
    "mlp": (ModelConfig(name="mlp", image_size=8, channels=1), 10, 8),
    "digits_resnet": (ModelConfig(name="digits_resnet", image_size=8, channels=1), 10, 16),
    "resnet8": (ModelConfig(name="resnet8", image_size=32), 10, 16),
}
CASES = [("mlp", "chip"), ("digits_resnet", "spinn3"), ("resnet8", "spinn3 with dead parts")]


@cache
def compiled(network, slice_):
    """Return a network's graph, its slice and its program."""
    model, classes, images = NETWORKS[network]
    graph = build_network(model, classes)
    machine = SLICES[slice_]()
    return graph, machine, compile_program(graph, machine, images, rates())


@pytest.mark.parametrize(("network", "slice_"), CASES)
def test_no_prediction_is_below_a_bound(network, slice_):
    graph, machine, program = compiled(network, slice_)
    demand = demand_of(graph, program.images)
    for level in Level:
        at = rates(level)
        total = walk_program(program, at).total_s
        bounds = bounds_of(program, machine, demand, at)
        assert max(asdict(bounds).values()) <= total * (1 + 1e-9)
        assert bounds.arithmetic <= walk_program(program, at).roofline_s * (1 + 1e-9)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(CASES), st.sampled_from(list(Level)), st.sampled_from(NAMES))
def test_doubling_a_rate_never_takes_longer(case, level, name):
    *_, program = compiled(*case)
    base = rates(level)
    value = getattr(base, name)
    better = rates(level, {name: value / 2 if name in COSTS else value * 2})
    assert walk_program(program, better).total_s <= walk_program(program, base).total_s


@pytest.mark.parametrize(("network", "slice_"), CASES)
def test_the_step_sums_every_parameter(network, slice_):
    graph, _, program = compiled(network, slice_)
    asked = []

    class Sums:
        def fastest(self, n_elements):
            asked.append(n_elements)
            return None, 0.0

    step = step_time(walk_program(program, rates()), Sums())
    assert max(asked) == sum(parameter.size for parameter in graph.parameters)
    assert step.macs >= sum(demand_of(graph, program.images).products.values())


def test_a_program_beside_itself_gains_nothing():
    *_, program = compiled("mlp", "chip")
    compared = compare(program, {"itself": program}, {})
    assert [each.case for each in compared][:3] == list(map(str, Level))
    assert {each.gain for each in compared} == {1.0}
