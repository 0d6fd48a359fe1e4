"""Loads the emulated core's C library and hands it Unicorn's functions.

The library (``board_kernels/emulator``, built by ``setup.py``) knows Unicorn only by the pointers
given here, so it builds without Unicorn's headers.
"""

import ctypes
from ctypes import POINTER, Structure, c_char_p, c_double, c_int, c_uint32, c_uint64, c_void_p
from functools import cache
from pathlib import Path
from typing import Final

from orchestrator.errors import MissingToolError

UNICORN_FUNCTIONS: Final = (
    *("uc_open", "uc_close", "uc_mem_map_ptr", "uc_mmio_map", "uc_reg_read", "uc_reg_write"),
    *("uc_emu_start", "uc_emu_stop", "uc_hook_add", "uc_ctl"),
)
"""In the order of ``struct unicorn`` in ``board_kernels/emulator/unicorn_abi.h``."""


class Counters(Structure):
    """``struct counters``: what a core has done since it was booted."""

    _fields_ = [
        (name, c_uint64)
        for name in (
            "cycles instructions dma_bytes dma_transfers bus_reads bus_writes interrupts "
            "sleep_cycles substituted packets_sent packets_received packets_dropped checked_cycles"
        ).split()
    ]


class Parts(Structure):
    """``struct parts``: what a core is made of."""

    _fields_ = [
        *((name, c_void_p) for name in "unicorn chip sdram itcm dtcm".split()),
        ("counters", POINTER(Counters)),
        ("sdram_bytes", c_uint64),
        ("bytes_per_cycle", c_double),
        ("physical", c_uint32),
        ("checking", c_uint32),
    ]


class Fault(Structure):
    """``struct fault``."""

    _fields_ = [
        *((name, c_uint32) for name in "kind address size exact pc cpsr".split()),
        ("registers", c_uint32 * 16),
    ]


class PacketFields(Structure):
    """``struct packet``."""

    _fields_ = [(name, c_uint32) for name in "control key payload route".split()]


class TimingRow(Structure):
    """``struct timing``."""

    _fields_ = [
        ("name", c_char_p),
        *((name, ctypes.c_uint8) for name in "cycles alu store accumulator".split()),
        *((name, c_char_p) for name in "note source status".split()),
    ]


PACKET_SENT = ctypes.CFUNCTYPE(None, c_void_p, POINTER(PacketFields))

_CORE = c_void_p
_SIGNATURES: Final = {
    "core_open": (_CORE, [POINTER(Parts), POINTER(c_int)]),
    "core_close": (None, [_CORE]),
    "core_fault_report": (POINTER(Fault), [_CORE]),
    "core_on_packet": (None, [_CORE, PACKET_SENT, c_void_p]),
    "core_receive": (c_int, [_CORE, POINTER(PacketFields), c_uint64, c_uint64]),
    "core_dropped": (POINTER(PacketFields), [_CORE]),
    "core_interrupt": (None, [_CORE, c_uint32]),
    "core_reset": (None, [_CORE, c_uint32, c_uint32]),
    "core_run": (c_int, [_CORE, c_uint64]),
    "core_trap": (None, [_CORE]),
    "core_wakes_at": (c_uint64, [_CORE]),
    "core_sleep_until": (None, [_CORE, c_uint64]),
    "core_substitute": (c_int, [_CORE, c_uint32, c_uint32]),
    "substitute_symbol": (c_char_p, [c_uint32]),
    "router_match": (c_uint32, [c_void_p, c_uint32]),
    "timing_rows": (c_uint32, []),
}


@cache
def emulator_library() -> ctypes.CDLL:
    """Return the loaded library with its functions declared.

    Raises
    ------
    MissingToolError
        The library was not built.
    """
    path = Path(__file__).with_name("_emulator.so")
    if not path.exists():
        raise MissingToolError(
            f"the emulated core's library {path.name} is not built: install regatta again with a C "
            "compiler present (pip install .), or in the source tree: python setup.py build_ext "
            "--inplace"
        )
    library = ctypes.CDLL(str(path))
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


@cache
def unicorn_functions() -> "ctypes.Array[c_void_p]":
    """Return the table of Unicorn's functions (``struct unicorn``).

    Raises
    ------
    MissingToolError
        Unicorn is not installed.
    """
    try:
        from unicorn.unicorn_py3.unicorn import uclib
    except ImportError as error:
        raise MissingToolError(
            "ARM cores are emulated with Unicorn 2, which is not installed: pip install unicorn"
        ) from error
    addresses = [ctypes.cast(getattr(uclib, name), c_void_p).value for name in UNICORN_FUNCTIONS]
    return (c_void_p * len(addresses))(*addresses)
