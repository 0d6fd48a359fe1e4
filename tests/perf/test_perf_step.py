from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_programs import Chips, make_exchange, make_program, make_work, programs

from orchestrator.collectives.plan import Planner, Wire, link_algorithms, link_rates
from orchestrator.compiler.program import Overlap, Pass
from orchestrator.errors import ArgumentError
from orchestrator.machine import single_board, spinn3, torus
from orchestrator.machine.constants import Level, Status, constant
from orchestrator.perf.energy import power, step_energy
from orchestrator.perf.rates import NAMES, rates
from orchestrator.perf.sensitivity import tornado
from orchestrator.perf.step import EXCHANGE, UPDATE, step_time
from orchestrator.perf.timing import Component, walk_program

some = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ELEMENTS = 4 * 3000
"""Of the gradients of the program below."""


class Sums:
    """Sums over boards that take so many seconds an element, and a start."""

    def __init__(self, per_element, start=0.0):
        self.per_element, self.start = per_element, start
        self.asked = []

    def fastest(self, n_elements):
        self.asked.append(n_elements)
        return None, self.start + n_elements * self.per_element


def small_program(machine=None):
    chips = Chips(machine or single_board())

    def work(pass_):
        return [make_work([(i % len(chips.places), 0, 10**8) for i in range(4)], pass_)]

    exchange = make_exchange(chips, [(0, [1], 10**6, 0)], Overlap.BEFORE)
    passes = [Pass.FORWARD, Pass.FORWARD, Pass.INPUT_GRADIENT, Pass.WEIGHT_GRADIENT, Pass.UPDATE]
    return make_program(chips, [(each, work(each), [exchange]) for each in passes])


WALK = walk_program(small_program(), rates())


def test_a_slice_alone_sums_nothing():
    step = step_time(WALK)
    assert (step.exchange_s, step.exposed_exchange_s) == (0, 0)
    assert step.total_s == pytest.approx(WALK.total_s)
    assert step.images == 32 and step.macs == WALK.program.macs
    assert step.roofline_s == WALK.roofline_s and 0 < step.utilisation < 1


def test_a_sum_that_takes_no_time_changes_nothing():
    assert step_time(WALK, Sums(0.0)).total_s == pytest.approx(WALK.total_s, rel=1e-4)


def test_sums_hide_behind_the_backward_pass():
    """The last gradient is complete with the backward pass; its sum is all that shows."""
    last = WALK.program.gradients[-1].elements
    quick = Sums(1e-7)
    step = step_time(WALK, quick)
    assert sum(quick.asked) >= ELEMENTS
    assert step.exposed_exchange_s == pytest.approx(last * 1e-7, rel=1e-3)
    slow = step_time(WALK, Sums(1.0))  # as long as the sums themselves, from the first one on
    assert slow.exchange_s == pytest.approx(ELEMENTS, rel=1e-3)
    assert slow.exposed_exchange_s > ELEMENTS - WALK.total_s


def test_packets_of_a_sum_are_handled_too():
    """Free cables leave the cores' work: each element comes and goes twice, over 48 chips."""
    slow = walk_program(WALK.program, rates(overrides={"packet_send": 1e9, "packet_receive": 0}))
    step = step_time(slow, Sums(0.0))
    packets = 2 * ELEMENTS / 48
    assert step.exchange_s == pytest.approx(packets * 1e9 / (2 * 200e6), rel=1e-6)


@some
@given(programs(), st.integers(1, 8), st.floats(0, 1e-3))
def test_components_add_up_to_the_step(case, ghost_batches, per_element):
    program, *_ = case
    walk = walk_program(program, rates())
    step = step_time(walk, Sums(per_element), ghost_batches=ghost_batches)
    assert list(step.components) == [*map(str, Component), EXCHANGE, UPDATE]
    total = pytest.approx(step.total_s)
    assert sum(step.components.values()) == total
    parts = (step.forward_s, step.backward_s, step.exposed_exchange_s, step.update_s)
    assert min(parts) >= 0 and sum(parts) == total
    assert step.images == ghost_batches * program.images
    assert step.as_json()["images_per_s"] * step.total_s == pytest.approx(step.images)
    again = step_time(walk, Sums(per_element), ghost_batches=ghost_batches + 1)
    assert again.total_s >= step.total_s
    assert again.energy.total_j >= step.energy.total_j


def test_further_ghost_batches_share_exchange_and_update():
    one, four = (step_time(WALK, Sums(1.0), ghost_batches=n) for n in (1, 4))
    assert four.exposed_exchange_s == one.exposed_exchange_s
    assert four.update_s == one.update_s
    assert four.forward_s == pytest.approx(4 * one.forward_s)
    with pytest.raises(ArgumentError, match="0 ghost batches"):
        step_time(WALK, ghost_batches=0)


def test_a_planner_sums_over_boards():
    machine = torus(2, 2)
    planner = Planner(link_algorithms(machine, Wire()), link_rates())
    step = step_time(WALK, planner)
    assert step.exchange_s >= planner.fastest(ELEMENTS)[1] * 0.99
    assert step.total_s > WALK.total_s


def test_energy_of_an_idle_board_is_its_power():
    p = power()
    idle = step_energy(p, seconds=10, n_boards=3, n_chips=144, core_cycles=0, router_packets=0)
    frames = 3 * constant("frame_power").typical / 24
    assert idle.chips_j == pytest.approx(10 * 144 * 0.35)
    assert idle.chips_j + idle.boards_j == pytest.approx(10 * 3 * 26.84)
    assert idle.frames_j == pytest.approx(10 * frames)
    assert idle.total_j == pytest.approx(10 * p.idle_watts(3))
    assert (idle.cores_j, idle.packets_j) == (0, 0)


def test_energy_of_busy_cores_is_within_what_boards_take():
    """All 768 cores at work for a second: the board's active power of the constants."""
    busy = step_energy(
        power(), seconds=1, n_boards=1, n_chips=48, core_cycles=800 * 200e6, router_packets=0
    )
    without_frame = busy.total_j - busy.frames_j
    assert without_frame == pytest.approx(constant("board_power").typical, rel=0.01)


def test_a_four_chip_board_has_its_own_idle_power():
    idle = step_energy(power(), seconds=1, n_boards=1, n_chips=4, core_cycles=0, router_packets=0)
    assert idle.total_j == pytest.approx(3.56)
    step = step_time(walk_program(small_program(spinn3()), rates()))
    assert step.energy.frames_j == 0 < step.energy.cores_j


def test_a_slow_machine_takes_more_power():
    low, high = power(Level.LOW), power(Level.HIGH)
    assert low.idle_watts(1) > power().idle_watts(1) >= high.idle_watts(1)
    assert power(overrides={"board_idle_power": 1.0, "frame_power": 0.0}).idle_watts(2) == 2


def test_packets_cost_energy_in_every_router():
    step = step_time(WALK)
    packets = 5 * 10**6 / 4  # five phases, over one link each
    assert step.energy.packets_j == pytest.approx(packets * constant("packet_energy").typical)


def evaluate(overrides):
    return step_time(walk_program(WALK.program, rates(overrides=overrides)), overrides=overrides)


def test_a_tornado_varies_each_constant_alone():
    swings = tornado(evaluate)
    base = evaluate({})
    named = {swing.constant.name: swing for swing in swings}
    assert [s.swing_s for s in swings] == sorted((s.swing_s for s in swings), reverse=True)
    clock = named["clock"]
    assert clock.low_s > base.total_s and clock.high_s == base.total_s
    assert clock.low_s == evaluate({"clock": 160e6}).total_s
    assert not clock.is_assumed and named["link_share"].is_assumed
    assert named["frame_power"].swing_s == 0 < named["frame_power"].swing_j
    # Constants that are certain, or touch nothing here, have no swing.
    assert not {"core_power", "cable_channel_rate"} & set(named)
    assert named["kernel_cycles"].as_json()["high_s"] > base.total_s
    assert {s.constant.name for s in tornado(evaluate, ["clock"])} == {"clock"}


def test_every_assumed_constant_of_time_is_varied():
    assumed = {name for name in NAMES if constant(name).status is Status.ASSUMED}
    missing = assumed - {swing.constant.name for swing in tornado(evaluate)}
    assert missing <= {"chip_injection", "cable_channel_rate", "dma_chip", "dma_start"}


def test_levels_are_in_order():
    times = [walk_program(WALK.program, rates(level)).total_s for level in Level]
    assert all(slow > fast for slow, fast in pairwise(times))
    assert np.isfinite(times).all()
