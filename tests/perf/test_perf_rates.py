import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import ArgumentError
from orchestrator.machine.constants import CONSTANTS, Level, constant
from orchestrator.perf.rates import (
    COSTS,
    NAMES,
    compute_seconds,
    handling_seconds,
    injection_seconds,
    latency_seconds,
    rates,
    sdram_seconds,
)

amounts = st.floats(0, 1e9)


def seconds(r, cycles, moved, transfers, waited, cores):
    return [
        compute_seconds(cycles, waited, cores, r),
        sdram_seconds(moved, transfers, cores, r),
        handling_seconds(moved, transfers, cores, r),
        injection_seconds(moved, r),
        latency_seconds(transfers, cores, r),
    ]


def test_a_slow_machine_has_low_rates_and_high_costs():
    low, high = rates(Level.LOW), rates(Level.HIGH)
    assert set(NAMES) <= set(CONSTANTS) and set(NAMES) >= COSTS
    for name in NAMES:
        c = constant(name)
        expected = (c.high, c.low) if name in COSTS else (c.low, c.high)
        assert (getattr(low, name), getattr(high, name)) == expected
    assert rates().link == constant("link_rate").typical * constant("link_share").typical


@given(amounts, amounts, amounts, amounts, st.integers(1, 17), st.sampled_from(NAMES))
def test_no_formula_gains_from_a_slower_machine(cycles, moved, transfers, waited, cores, name):
    work = (cycles, moved, transfers, waited, cores)
    before = getattr(rates(), name)
    worse = rates(overrides={name: 2 * before if name in COSTS else before / 2})
    for fast, slow in zip(seconds(rates(), *work), seconds(worse, *work), strict=True):
        assert slow >= fast


def test_formulas_take_arrays_over_chips():
    work = [np.array([0.0, 100.0, 1e6])] * 4
    cores = np.array([0, 1, 16])
    together = seconds(rates(), *work, cores)
    for i in range(3):
        alone = seconds(rates(), *(w[i] for w in work), cores[i])
        assert [t[i] for t in together] == pytest.approx(alone)


def test_a_core_alone_has_its_own_bandwidth_and_all_share_the_chips():
    r = rates()
    assert compute_seconds(0.0, 267e6, 1, r) == pytest.approx(1)
    assert compute_seconds(0.0, 670e6, 16, r) == pytest.approx(16)
    assert sdram_seconds(267e6, 0.0, 1, r) == pytest.approx(1)
    assert sdram_seconds(670e6, 0.0, 16, r) == pytest.approx(1)
    assert sdram_seconds(0.0, 2e6, 1, r) == pytest.approx(1)  # 100 cycles each at 200 MHz


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"clock": 0.0}, "clock: 0 Hz is not possible; give a value above 0"),
        ({"clock": float("nan")}, "clock: nan Hz"),
        ({"packet_send": -1.0}, "packet_send: -1 cycles is not possible; give a value at least 0"),
        ({"speed": 1.0}, "no machine constant speed"),
        ({"kernel_cycles": 0.0}, "above 0"),
    ],
)
def test_values_that_no_machine_has_are_refused(overrides, message):
    with pytest.raises(ArgumentError, match=message):
        rates(overrides=overrides)


def test_an_override_takes_the_place_of_the_level():
    changed = rates(Level.LOW, {"clock": 1e9, "packet_send": 0.0, "frame_power": 0.0})
    assert (changed.clock, changed.packet_send) == (1e9, 0)
    assert changed.link_rate == constant("link_rate").low
