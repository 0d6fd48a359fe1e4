from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_programs import Chips, make_exchange, make_program, make_work, programs

from orchestrator.compiler.program import Overlap, Pass
from orchestrator.machine import single_board
from orchestrator.machine.constants import Level, constant
from orchestrator.perf.bounds import bounds_of
from orchestrator.perf.rates import COSTS, NAMES, rates
from orchestrator.perf.timing import Component, bound_of, components_of, walk_program

some = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
CHIPS = Chips(single_board())
CHIP = {place: i for i, place in enumerate(CHIPS.places)}


@some
@given(programs(), st.sampled_from(list(Level)), st.sampled_from([None, *NAMES]))
def test_no_time_is_below_a_bound(case, level, varied):
    program, machine, demand = case
    overrides = {varied: constant(varied).at(Level.LOW)} if varied else {}
    r = rates(level, overrides)
    total = walk_program(program, r).total_s
    for name, seconds in asdict(bounds_of(program, machine, demand, r)).items():
        assert seconds <= total * (1 + 1e-9), name


@some
@given(programs(), st.sampled_from(list(Level)), st.sampled_from(NAMES), st.floats(1, 4))
def test_a_faster_machine_never_takes_longer(case, level, name, times):
    program, *_ = case
    base = rates(level)
    value = getattr(base, name)
    better = rates(level, {name: value / times if name in COSTS else value * times})
    assert walk_program(program, better).total_s <= walk_program(program, base).total_s * (
        1 + 1e-12
    )


@some
@given(programs(), st.sampled_from(list(Level)))
def test_components_add_up(case, level):
    program, *_ = case
    walk = walk_program(program, rates(level))
    for time in walk.phases:
        parts = components_of(time)
        assert list(parts) == list(Component) and min(parts.values()) >= 0
        assert sum(parts.values()) == pytest.approx(time.total)
        assert parts[bound_of(time)] == max(parts.values())
    total = pytest.approx(walk.total_s)
    assert sum(walk.components().values()) == total
    assert sum(map(walk.seconds, Pass)) == total
    nodes = (
        s for passes in walk.by_node.values() for parts in passes.values() for s in parts.values()
    )
    assert sum(nodes) == total
    spent = walk.core_seconds
    assert sum(spent.values()) == pytest.approx(walk.total_s * program.cores.sum())
    assert sum(walk.from_roofline.values()) == total
    assert 0 <= walk.roofline_s and walk.utilisation <= 1


def walk_of(*phases, packet_cores=2):
    return walk_program(make_program(CHIPS, phases, packet_cores), rates())


def test_a_computation_takes_its_slowest_core():
    """A phase by hand: 1 G products on one core, as many again on another chip's two cores."""
    shares = [(0, 0, 10**9), (1, 0, 5 * 10**8), (1, 1, 5 * 10**8)]
    work = make_work(shares, Pass.FORWARD, entry=2)
    walk = walk_of((Pass.FORWARD, [work], []))
    barrier = rates().round_start + 2 * 16 * rates().hop_latency
    computed = work.cycles[0] / 200e6 + work.waited_bytes[0] / 267e6  # alone on its chip
    assert walk.total_s == pytest.approx(computed + barrier)
    assert walk.components()[Component.BARRIERS] == pytest.approx(barrier)
    all_cores = 200e6 * 48 * 17 - 200e6 * 8  # eight chips have one core fewer
    assert walk.roofline_s == pytest.approx(work.cycles.sum() / all_cores)


def test_what_holds_a_step_back_by_hand():
    """Two of 800 computing cores share the products evenly: all others wait."""
    even = make_work([(0, 0, 10**9), (1, 0, 10**9)], Pass.FORWARD, entry=2)
    held = walk_of((Pass.FORWARD, [even], [])).from_roofline
    cores, computing = 48 * 17 - 8, 48 * 15 - 8
    seconds = even.cycles.sum() / 200e6
    assert held["products on all cores"] == pytest.approx(seconds / cores)
    assert held["cores kept for packets"] == pytest.approx(seconds / computing - seconds / cores)
    assert held["products in small shares"] == pytest.approx(0, abs=1e-9)
    waited = even.waited_bytes[0] / 267e6
    assert held["uneven shares, waits for tiles"] == pytest.approx(
        seconds / 2 - seconds / computing + waited
    )
    assert held["other kernels"] == held["links"] == 0


def test_one_link_is_shared_by_all_that_takes_it():
    """Two transfers of 6 MB over the link from (0, 0) to (1, 0), which carries 6 MB/s."""
    east = [(CHIP[0, 0], [CHIP[x, 0]], 6_000_000, 0) for x in (1, 2)]
    exchange = make_exchange(CHIPS, east)
    walk = walk_of((Pass.FORWARD, [], [exchange]), packet_cores=16)
    assert walk.phases[0].beside.links == pytest.approx(2)
    assert bound_of(walk.phases[0]) is Component.LINKS


def test_a_multicast_is_sent_once_and_received_by_each():
    targets = [CHIP[1, 0], CHIP[0, 1], CHIP[1, 1]]
    exchange = make_exchange(CHIPS, [(CHIP[0, 0], targets, 4_000_000, 0)])
    time = walk_of((Pass.FORWARD, [], [exchange]), packet_cores=1).phases[0].beside
    assert time.links == pytest.approx(4 / 6)
    assert time.injection == pytest.approx(1e6 / 20e6)
    assert time.handling == pytest.approx(60 * 1e6 / 200e6)  # receiving, at the default cost


@pytest.mark.parametrize("bytes_", [1_000_000, 60_000_000])
def test_overlap_hides_the_shorter_one(bytes_):
    work = make_work([(CHIP[0, 0], 0, 10**9)])
    transfer = [(CHIP[0, 0], [CHIP[1, 0]], bytes_, 0)]

    def total(overlap, pieces=1):
        exchange = make_exchange(CHIPS, transfer, overlap, pieces)
        return walk_of((Pass.FORWARD, [work], [exchange]), packet_cores=8).total_s

    alone = walk_of((Pass.FORWARD, [work], [])).total_s
    sent = total(Overlap.BEFORE) - alone
    assert total(Overlap.BEHIND) == pytest.approx(max(alone, total(Overlap.BEHIND)))
    assert max(alone, sent) <= total(Overlap.BEHIND) < alone + sent
    assert total(Overlap.BEHIND) < total(Overlap.STREAMED, 8) < total(Overlap.STREAMED, 2)
    assert np.isclose(total(Overlap.STREAMED, 10**9), total(Overlap.BEHIND))
