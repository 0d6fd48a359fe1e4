"""The choice among algorithms and paths, and the cut into buckets."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import machines

from orchestrator.collectives.plan.execute import execute
from orchestrator.collectives.plan.host import HostPath, host_path, host_rates
from orchestrator.collectives.plan.overlap import bucket_tensors
from orchestrator.collectives.plan.planner import Planner, link_algorithms
from orchestrator.collectives.plan.traffic import link_rates
from orchestrator.collectives.plan.wire import Wire
from orchestrator.errors import ArgumentError
from orchestrator.machine import (
    Faults,
    Link,
    board_graph,
    run_of_boards,
    single_board,
    torus,
    triads,
)
from orchestrator.machine.constants import Level

SIZES = [int(1000 * 10 ** (i / 8)) // 4 for i in range(41)]
"""Elements of buckets from 1 KB to 100 MB of int32."""


def path_of(machine, hosts: int, level: Level = Level.TYPICAL) -> HostPath:
    return host_path(machine, hosts, Wire(), host_rates(level))


def planner(machine, level: Level = Level.TYPICAL, hosts: int = 0) -> Planner:
    path = path_of(machine, hosts, level) if hosts else None
    return Planner(link_algorithms(machine, Wire()), link_rates(level), path)


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize(
    "machine",
    [
        torus(1, 1),
        torus(2, 4),
        triads(4, 4, (False, False)),
        torus(5, 8),
        run_of_boards(torus(2, 2), 0, 7),
    ],
    ids=lambda machine: f"{machine.n_boards}",
)
def test_never_slower_than_one_algorithm_or_path(machine, level):
    host, rates = path_of(machine, 2, level), link_rates(level)
    for plans in (planner(machine, level), planner(machine, level, hosts=2)):
        for n in SIZES:
            plan = plans.plan(n)
            assert plan.link_elements + plan.host_elements == n
            single = min(each.traffic.seconds(n, rates) for each in plans.algorithms)
            assert plan.seconds <= single
            if plan.host_elements:
                assert plan.seconds < single
                assert plan.seconds <= host.seconds(n)


def test_never_slower_on_1200_boards():
    plans = planner(torus(20, 20))
    names = set()
    for n in SIZES:
        plan = plans.plan(n)
        names.add(plan.algorithm.name.partition(",")[0])
        assert plan.seconds == min(
            each.traffic.seconds(n, link_rates()) for each in plans.algorithms
        )
    assert {"tree", "Hamilton cycles"} <= names


@given(machines(longest=2), st.integers(1, 100_000))
@settings(max_examples=20)
def test_what_is_planned_can_be_run(machine, n):
    assume(machine.n_boards > 1 and board_graph(machine).is_connected)
    plan = planner(machine).plan(n)
    values = np.random.default_rng(n).integers(-(2**15), 2**15, (machine.n_boards, 50))
    after = execute(plan.algorithm.schedule(), values)
    assert (after == values.sum(axis=0)).all()


def test_the_split_is_the_best():
    machine = triads(1, 1, (False, False))
    plans = planner(machine, hosts=1)
    host = path_of(machine, 1)
    n = 40_000
    plan = plans.plan(n)
    assert 0 < plan.host_elements < n
    for elements in range(0, n + 1, 40):
        seconds = max(plans.fastest(n - elements)[1], host.seconds(elements))
        assert plan.seconds <= seconds


def test_one_board_sums_with_itself():
    plan = planner(single_board(), hosts=1).plan(1000)
    assert (plan.seconds, plan.host_elements, plan.algorithm) == (0.0, 0, None)


def test_an_empty_bucket_takes_no_time():
    assert planner(torus(1, 1), hosts=1).plan(0).seconds == 0.0


def test_a_machine_cut_in_two_is_refused():
    faults = Faults(cables=frozenset((0, 0, 0, link) for link in Link))
    with pytest.raises(ArgumentError, match="12 boards are not all connected"):
        planner(torus(2, 2, faults))


@pytest.mark.parametrize("hosts", [0, 13])
def test_hosts_without_boards_are_refused(hosts):
    with pytest.raises(ArgumentError, match=f"{hosts} hosts for 12 boards"):
        path_of(torus(2, 2), hosts)


def test_a_board_without_host_link_is_named():
    machine = torus(1, 1, Faults(chips=frozenset({(8, 4)})))
    with pytest.raises(ArgumentError, match=r"Ethernet chip of board \(0, 0, 1\) is dead"):
        path_of(machine, 1)


def test_host_time_by_hand():
    host, rates = path_of(torus(4, 4), 2), host_rates()
    expected = 2 * rates.round_trip + 2 * rates.latency
    expected += 2e6 / rates.read + 3e6 / rates.write + 4e6 / rates.network
    assert host.seconds(10**6) == pytest.approx(expected)
    crowded = path_of(torus(20, 20), 1)
    expected = 2 * rates.round_trip + 1200 * (2e6 + 4e6) / rates.boards
    assert crowded.seconds(10**6) == pytest.approx(expected)


def linear(n_elements: int) -> float:
    return 1.0 + n_elements


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 12)), min_size=1, max_size=7),
)
def test_no_other_buckets_end_earlier(tensors):
    sizes = [size for size, _ in tensors]
    ready = sorted(float(time) for _, time in tensors)
    found = bucket_tensors(sizes, ready, linear)
    n = len(sizes)

    def end_of(ends: tuple[int, ...]) -> float:
        done = 0.0
        for start, end in zip((0, *ends), ends, strict=False):
            done = max(done, ready[end - 1]) + linear(sum(sizes[start:end]))
        return done

    cuts = ((*inner, n) for count in range(n) for inner in combinations(range(1, n), count))
    assert found.ends_s[-1] == end_of(found.ends) == min(map(end_of, cuts))
    assert found.starts_s[0] >= ready[found.ends[0] - 1]
    for end, start in zip(found.ends_s, found.starts_s[1:], strict=False):
        assert start >= end


def test_a_long_backward_pass_hides_all_but_the_last_bucket():
    found = bucket_tensors([10, 10, 10], [0.0, 100.0, 200.0], linear)
    assert found.ends == (1, 2, 3)
    assert found.ends_s[-1] == 211.0


@pytest.mark.parametrize(("sizes", "ready"), [([], []), ([1, 2], [1.0]), ([1, 2], [2.0, 1.0])])
def test_tensors_out_of_order_are_refused(sizes, ready):
    with pytest.raises(ArgumentError, match="in order"):
        bucket_tensors(sizes, ready, linear)
