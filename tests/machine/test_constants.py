import pytest

from orchestrator.errors import ArgumentError
from orchestrator.machine.constants import CONSTANTS, Constant, Level, Status, constant


@pytest.mark.parametrize("name", CONSTANTS)
def test_every_constant_says_what_it_is(name):
    value = constant(name)
    assert value.unit and value.source and value.status in Status
    low, typical, high = (value.at(level) for level in Level)
    assert 0 <= low <= typical <= high


def test_a_wrong_order_is_refused():
    with pytest.raises(ArgumentError, match="not in order"):
        Constant("clock", 3, 2, 1, "Hz", Status.ASSUMED, "")


def test_an_unknown_name_is_refused():
    with pytest.raises(ArgumentError, match="no machine constant speed; there are clock,"):
        constant("speed")
