"""Machines that do not exist: what would have to change for a training to be faster.

A changed property becomes changed constants of the machine, at low, typical and high alike, on the
plan that was made for today's machine; a plan made anew for the changed one can only be faster.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite

from orchestrator.errors import ArgumentError
from orchestrator.machine.constants import CONSTANTS, Level, constant
from orchestrator.perf.rates import value_of

Changes = dict[str, float]
"""Constants by name."""

STORED_BITS = 16
"""Bits that a mantissa takes in memory and on links today, of which it uses 13."""


@dataclass(frozen=True, slots=True)
class Property:
    """Something about the machine that a reader may change.

    Attributes
    ----------
    unit : of its value.
    doc : what the change means.
    changes : returns the constants, from the value and the level.
    """

    unit: str
    doc: str
    changes: Callable[[float, Level], Changes]


def _scaled(level: Level, factor: float, *names: str) -> Changes:
    """Return constants at a level times a factor."""
    return {name: factor * value_of(name, level, {}) for name in names}


def _clock(mhz: float, level: Level) -> Changes:
    return {"clock": mhz * 1e6}


def _links(factor: float, level: Level) -> Changes:
    return _scaled(level, factor, "link_rate", "chip_injection")


def _cables(factor: float, level: Level) -> Changes:
    return _scaled(level, factor, "cable_channel_rate")


def _ethernet(factor: float, level: Level) -> Changes:
    return _scaled(level, factor, "host_read", "host_write", "host_boards_rate")


def _memory(factor: float, level: Level) -> Changes:
    return _scaled(level, factor, "dma_core", "dma_chip")


def _cores(number: float, level: Level) -> Changes:
    """Return faster cores in place of more: kernels and packets are spread over them evenly."""
    factor = number / constant("chip_application_cores").typical
    costs = _scaled(level, 1 / factor, "kernel_cycles", "packet_send", "packet_receive")
    return {**costs, **_scaled(level, factor, "dma_core", "core_power")}


def _mantissa(bits: float, level: Level) -> Changes:
    return _scaled(level, STORED_BITS / bits, "link_rate", "chip_injection", "dma_core", "dma_chip")


def _packets(factor: float, level: Level) -> Changes:
    return _scaled(level, 1 / factor, "packet_send", "packet_receive")


PROPERTIES: Mapping[str, Property] = {
    "clock": Property("MHz", "of the cores", _clock),
    "cores": Property("a chip", "application cores, which share all work evenly", _cores),
    "links": Property("times today", "rate of the links on a board, and into them", _links),
    "cables": Property("times today", "rate of the links between boards", _cables),
    "ethernet": Property("times today", "rate of each board's Ethernet, and its host's", _ethernet),
    "memory": Property("times today", "bandwidth of a chip's SDRAM", _memory),
    "packets": Property("times today", "packets a core handles in a second", _packets),
    "mantissa": Property(
        "bits",
        "of a mantissa in memory and on links, where it takes 16; not the arithmetic",
        _mantissa,
    ),
}
"""What can be changed, by name."""


def parse_changes(texts: list[str]) -> dict[str, float]:
    """Return values of properties or of the machine's constants by name, from ``NAME=VALUE``.

    Raises
    ------
    ArgumentError
        Another form, an unknown property, one twice, or a value that is not above 0.

    Examples
    --------
    >>> parse_changes(["clock=400", "links=2"])
    {'clock': 400.0, 'links': 2.0}
    """
    found: dict[str, float] = {}
    for text in texts:
        name, equals, shown = text.partition("=")
        name = name.strip()
        if not equals:
            raise ArgumentError(f"--what-if: {text!r} is not NAME=VALUE, as clock=400")
        if name not in PROPERTIES and name not in CONSTANTS:
            known = ", ".join(f"{key} ({each.unit})" for key, each in PROPERTIES.items())
            raise ArgumentError(
                f"--what-if: there is no {name!r} to change; there are {known}, and the constants "
                "of docs/machine.md"
            )
        if name in found:
            raise ArgumentError(f"--what-if: {name} is given twice")
        try:
            value = float(shown)
        except ValueError:
            value = 0.0
        if not (isfinite(value) and value > 0):
            raise ArgumentError(f"--what-if {name}: {shown!r} is not a number above 0")
        found[name] = value
    return found


def _unit(name: str) -> str:
    return PROPERTIES[name].unit if name in PROPERTIES else constant(name).unit


def overrides_of(changes: Mapping[str, float]) -> dict[Level, Changes]:
    """Return the constants of a changed machine, for each level.

    Where two properties change the same constant, their factors multiply.

    Parameters
    ----------
    changes : values of properties or of constants, by name.
    """
    found: dict[Level, Changes] = {}
    for level in Level:
        merged: Changes = {}
        for name, value in changes.items():
            for each, changed in _constants(name, value, level).items():
                if each in merged:
                    changed *= merged[each] / value_of(each, level, {})
                merged[each] = changed
        found[level] = merged
    return found


def _constants(name: str, value: float, level: Level) -> Changes:
    """Return the constants that one changed property, or constant, stands for."""
    return PROPERTIES[name].changes(value, level) if name in PROPERTIES else {name: value}


def in_words(changes: Mapping[str, float]) -> str:
    """Return the changes for a title; empty for today's machine.

    Examples
    --------
    >>> in_words({"clock": 400.0, "links": 2.0})
    'what if: clock 400 MHz, links 2 times today'
    """
    if not changes:
        return ""
    parts = [f"{name} {value:g} {_unit(name)}" for name, value in changes.items()]
    return f"what if: {', '.join(parts)}"
