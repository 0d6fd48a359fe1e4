"""Machines that do not exist."""

import pytest

from orchestrator.errors import ArgumentError
from orchestrator.machine.constants import Level
from orchestrator.perf.energy import power
from orchestrator.perf.rates import rates
from orchestrator.studies.scaling_sums import hosts_at
from orchestrator.studies.scaling_whatif import PROPERTIES, in_words, overrides_of, parse_changes


def changed(level=Level.TYPICAL, **changes):
    return rates(level, overrides_of(changes)[level])


def test_today_changes_nothing():
    assert overrides_of({}) == {level: {} for level in Level}
    assert in_words({}) == ""


@pytest.mark.parametrize("level", Level)
def test_values_of_today_are_todays_machine(level):
    today = {"links": 1, "cables": 1, "memory": 1, "packets": 1, "mantissa": 16, "cores": 16}
    for name, value in today.items():
        assert changed(level, **{name: value}) == rates(level), name


@pytest.mark.parametrize("level", Level)
def test_each_property_scales_its_constants_at_every_level(level):
    now = rates(level)
    assert changed(level, clock=400).clock == 400e6
    assert changed(level, links=3).link == pytest.approx(3 * now.link)
    assert changed(level, cables=3).cable_link == pytest.approx(3 * now.cable_link)
    hosts = hosts_at(level, overrides_of({"ethernet": 10})[level])
    assert hosts.write == pytest.approx(10 * hosts_at(level, {}).write)
    assert changed(level, memory=2).dma_chip == pytest.approx(2 * now.dma_chip)
    assert changed(level, packets=2).packet_receive == pytest.approx(now.packet_receive / 2)


def test_twice_the_cores_do_twice_the_work_and_take_twice_the_power():
    now, then = rates(), changed(cores=32)
    assert then.kernel_cycles == pytest.approx(now.kernel_cycles / 2)
    assert then.packet_send == pytest.approx(now.packet_send / 2)
    assert (then.dma_chip, then.link) == (now.dma_chip, now.link)
    watts = power(Level.TYPICAL, overrides_of({"cores": 32})[Level.TYPICAL]).core_power
    assert watts == pytest.approx(2 * power().core_power)


def test_half_the_mantissa_moves_twice_as_fast_but_computes_as_before():
    now, then = rates(), changed(mantissa=8)
    assert then.link == pytest.approx(2 * now.link)
    assert then.dma_chip == pytest.approx(2 * now.dma_chip)
    assert (then.kernel_cycles, then.cable_link) == (now.kernel_cycles, now.cable_link)


def test_changes_of_the_same_constant_multiply():
    both = changed(links=3, mantissa=8)
    assert both.link == pytest.approx(6 * rates().link)
    assert changed(cores=32, packets=2).packet_send == pytest.approx(rates().packet_send / 4)


@pytest.mark.parametrize("level", Level)
def test_constants_can_be_set_by_name(level):
    assert changed(level, round_start=3e-6).round_start == pytest.approx(3e-6)
    assert in_words({"link_rate": 24e6}) == "what if: link_rate 2.4e+07 B/s"


def test_every_property_is_explained():
    assert all(len(each.doc) > 8 and each.unit for each in PROPERTIES.values())
    assert in_words({"cores": 32.0}) == "what if: cores 32 a chip"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clock", "is not NAME=VALUE"),
        ("warp=9", r"no 'warp' to change; there are clock \(MHz\)"),
        ("clock=fast", "'fast' is not a number above 0"),
        ("clock=0", "'0' is not a number above 0"),
        ("clock=inf", "'inf' is not a number above 0"),
        ("links=-1", "'-1' is not a number above 0"),
    ],
)
def test_what_cannot_be_is_refused(text, message):
    with pytest.raises(ArgumentError, match=message):
        parse_changes([text])


def test_a_property_twice_is_refused():
    with pytest.raises(ArgumentError, match="clock is given twice"):
        parse_changes(["clock=300", "clock=400"])
