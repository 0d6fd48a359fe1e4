"""The data of answers: versions, a chip's summary, IP tags, a board's measurements.

References
----------
spinnaker_tools ``scamp-cmd.c`` (``cmd_ver``, ``cmd_info``, ``cmd_iptag``) and ``scamp.h``; spinnman
7.4.1 ``version_info.py``, ``chip_summary_info.py``, ``scp_iptag_get_response.py``, ``adc_info.py``.
"""

import struct
from typing import Final, NamedTuple

from orchestrator.wire.numbers import MAX_SCP_DATA, Result

_VERSION: Final = struct.Struct("<4B2HI")
_VERSION_IN_TEXT: Final = 0xFFFF
_SUMMARY: Final = struct.Struct("<3I18s2B4sH")
_TAG: Final = struct.Struct("<4s6x3HIH3B7x")
_ADC: Final = struct.Struct("<8H4h4h4h2I")
_DEGREES: Final = 256


class Version(NamedTuple):
    """Who answers: chip and core, the program's name and version, its build time (unix, s).

    On a BMP the four numbers are the slot, an id, the frame and the cabinet.
    """

    core: int
    physical_core: int
    y: int
    x: int
    name: str
    version: str
    built: int = 0


def encode_version(version: Version) -> bytes:
    """Return the data of the answer to ``VERSION``."""
    numbers = _VERSION.pack(*version[:4], MAX_SCP_DATA, _VERSION_IN_TEXT, version.built)
    return numbers + version.name.encode() + b"\0" + version.version.encode() + b"\0"


def decode_version(data: bytes) -> Version | Result:
    """Return who answers, or `Result.LENGTH` for data that are no such answer."""
    if len(data) < _VERSION.size:
        return Result.LENGTH
    core, physical, y, x, _, number, built = _VERSION.unpack_from(data)
    texts = data[_VERSION.size :].split(b"\0")
    if number != _VERSION_IN_TEXT or len(texts) < 2:
        return Result.LENGTH
    name, version = (text.decode("ascii", "replace") for text in texts[:2])
    return Version(core, physical, y, x, name, version, built)


class ChipSummary(NamedTuple):
    """What ``INFO`` says of a chip.

    Attributes
    ----------
    n_cores
        Working cores, the monitor among them.
    links
        Bit ``link`` is set where that link works.
    router_entries, sdram_bytes, system_ram_bytes
        The largest free block of each.
    ethernet_up
        Whether this chip's Ethernet works.
    states
        One of each of the 18 virtual cores.
    ethernet_x, ethernet_y
        The nearest chip with Ethernet.
    ip_address
        4 bytes, zero unless this chip has Ethernet.
    parent_link
        The link towards chip (0, 0), 7 at that chip.
    """

    n_cores: int
    links: int
    router_entries: int
    ethernet_up: bool
    sdram_bytes: int
    system_ram_bytes: int
    states: bytes
    ethernet_x: int
    ethernet_y: int
    ip_address: bytes
    parent_link: int


def encode_summary(summary: ChipSummary) -> bytes:
    """Return the data of the answer to ``INFO``, 38 bytes."""
    word = (
        summary.n_cores
        | summary.links << 8
        | summary.router_entries << 14
        | int(summary.ethernet_up) << 25
    )
    return _SUMMARY.pack(
        word,
        summary.sdram_bytes,
        summary.system_ram_bytes,
        summary.states,
        summary.ethernet_y,
        summary.ethernet_x,
        summary.ip_address,
        summary.parent_link,
    )


def decode_summary(data: bytes) -> ChipSummary | Result:
    """Return what is said of a chip, or `Result.LENGTH` for data that are no such answer."""
    if len(data) != _SUMMARY.size:
        return Result.LENGTH
    word, sdram, system_ram, states, y, x, address, parent = _SUMMARY.unpack(data)
    return ChipSummary(
        word & 31,
        word >> 8 & 63,
        word >> 14 & 0x7FF,
        bool(word >> 25 & 1),
        sdram,
        system_ram,
        states,
        x,
        y,
        address,
        parent,
    )


class TagFlag:
    """Bits of an IP tag's flags."""

    VALID: Final = 0x8000
    TRANSIENT: Final = 0x4000
    WAITING_FOR_ADDRESS: Final = 0x2000
    USE_SENDER: Final = 0x400
    REVERSE: Final = 0x200
    STRIP: Final = 0x100


class TagEntry(NamedTuple):
    """One row of a board's table of IP tags.

    Attributes
    ----------
    address, port
        The host's, 4 bytes and 16 bits.
    timeout
        Ticks of 10 ms until a transient tag ends.
    flags
        `TagFlag` bits.
    sent
        Messages sent by it.
    receive_port
        A reverse tag's UDP port on the board.
    x, y, sdp_port, core
        Where a reverse tag's messages go.
    """

    address: bytes = bytes(4)
    port: int = 0
    timeout: int = 0
    flags: int = 0
    sent: int = 0
    receive_port: int = 0
    x: int = 0
    y: int = 0
    sdp_port: int = 0
    core: int = 0


def encode_tag(entry: TagEntry) -> bytes:
    """Return the 32 bytes of a tag."""
    return _TAG.pack(
        entry.address,
        entry.port,
        entry.timeout,
        entry.flags,
        entry.sent & 0xFFFFFFFF,
        entry.receive_port,
        entry.y,
        entry.x,
        entry.sdp_port << 5 | entry.core,
    )


class Measurements(NamedTuple):
    """What a BMP measures on its board.

    Attributes
    ----------
    voltages
        12-bit readings of eight lines, as the converter gives them.
    temperatures, external_temperatures
        Degrees Celsius, two used of four each; None where there is no sensor.
    fans
        Revolutions per minute of four fans, None where there is none.
    """

    voltages: tuple[int, ...]
    temperatures: tuple[float, ...]
    external_temperatures: tuple[float | None, ...]
    fans: tuple[int | None, ...]


_NO_TEMPERATURE: Final = -32768
_NO_FAN: Final = -1


def encode_measurements(measurements: Measurements) -> bytes:
    """Return the data of a BMP's answer to ``INFO`` 3, 48 bytes."""
    external = (
        _NO_TEMPERATURE if degrees is None else round(degrees * _DEGREES)
        for degrees in measurements.external_temperatures
    )
    fans = (_NO_FAN if speed is None else speed for speed in measurements.fans)
    inside = (round(degrees * _DEGREES) for degrees in measurements.temperatures)
    return _ADC.pack(*measurements.voltages, *inside, *external, *fans, 0, 0)


def decode_measurements(data: bytes) -> Measurements | Result:
    """Return what a BMP measured, or `Result.LENGTH` for data that are no such answer."""
    if len(data) != _ADC.size:
        return Result.LENGTH
    values = _ADC.unpack(data)
    external = (None if v == _NO_TEMPERATURE else v / _DEGREES for v in values[12:16])
    return Measurements(
        values[:8],
        tuple(v / _DEGREES for v in values[8:12]),
        tuple(external),
        tuple(None if v == _NO_FAN else v for v in values[16:20]),
    )
