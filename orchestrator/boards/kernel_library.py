"""Finds, chooses and loads the compiled kernel sets; declares their functions to ctypes.

The same sources are compiled once per set (``setup.py``); the best set the processor can run is
taken unless one is asked for. Contracts of the functions: ``board_kernels/include/bk_kernels.h``.
"""

import ctypes
from ctypes import POINTER, Structure, c_int, c_int32, c_int64, c_size_t, c_uint, c_uint32, c_uint64
from functools import cache
from pathlib import Path
from typing import Any, Final

from orchestrator.errors import ArgumentError, MissingToolError

KERNEL_SETS: Final = ("portable", "neon", "avx2", "avxvnni", "avx512", "avx512vnni")
"""From the set every processor runs to the best of each family; the index is the set's bit in what
the library says of the processor (``board_kernels/include/bk_processor.h``)."""

_ARRAY = ctypes.c_void_p
_TEAM = ctypes.c_void_p
_SCRATCH = ctypes.c_void_p


class ConvSizes(Structure):
    """``struct bk_conv``."""

    _fields_ = [(name, c_int64) for name in "n h w c k r s stride pad p q".split()]


class PoolSizes(Structure):
    """``struct bk_pool``."""

    _fields_ = [(name, c_int64) for name in "n h w c kr ks stride pad p q".split()]


class SumsReport(Structure):
    """``struct bk_sums``."""

    _fields_ = [("bits", c_uint64), ("saturated", c_int64)]


class Finish(Structure):
    """``struct bk_finish``."""

    _fields_ = [
        ("addend", _ARRAY),
        ("mask", _ARRAY),
        ("acc_shift", c_int32),
        ("addend_shift", c_int32),
        ("shift", c_int32),
    ]


NO_BITS: Final = -(2**31)
"""``BK_NO_BITS``."""


class Channel(Structure):
    """``struct bk_channel``; each ``struct bk_soft`` as its mantissa and exponent."""

    _fields_ = [
        ("mean", c_int64),
        ("scale_m", c_int32),
        ("scale_e", c_int32),
        ("inverse_sigma_m", c_int32),
        ("inverse_sigma_e", c_int32),
        ("beta", c_int32),
        ("lo", c_int32),
        ("hi", c_int32),
        ("unused", c_int32),
    ]


class BranchInput(Structure):
    """``struct bk_branch``."""

    _fields_ = [
        ("y", _ARRAY),
        ("rows", c_int64),
        ("channels", c_int64),
        ("channel", _ARRAY),
        ("exponent", c_int32),
        ("normalised", c_int32),
    ]


class NormInput(Structure):
    """``struct bk_norm``."""

    _fields_ = [
        ("gamma", _ARRAY),
        ("beta", _ARRAY),
        ("epsilon", c_int64),
        ("mean", _ARRAY),
        ("variance", _ARRAY),
        ("running", c_int32),
    ]


class AppliedReport(Structure):
    """``struct bk_applied``."""

    _fields_ = [("saturated", c_int64), ("exponent", c_int32), ("bits", c_int32)]


class GradientReport(Structure):
    """``struct bk_gradient``."""

    _fields_ = [
        ("total", _ARRAY),
        ("measure", c_int32),
        ("chosen", c_int32),
        ("exponent", c_int32),
        ("sums", SumsReport),
    ]


class Scores(Structure):
    """``struct bk_scores``."""

    _fields_ = [("loss_q24", c_int64), ("top1", c_int64), ("top5", c_int64)]


class Scalar(Structure):
    """``struct bk_scalar``."""

    _fields_ = [("mantissa", c_int64), ("shift", c_int64)]


_CONV = POINTER(ConvSizes)
_POOL = POINTER(PoolSizes)
_SUMS = POINTER(SumsReport)
_FINISH = POINTER(Finish)
_SCALAR = POINTER(Scalar)
_BRANCH = POINTER(BranchInput)
_APPLIED = POINTER(AppliedReport)
_GRADIENT = POINTER(GradientReport)
_MATRIX = (_ARRAY, c_int64, c_int64)

_PROTOTYPES: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "bk_processor_sets": (c_uint, ()),
    "bk_team_open": (_TEAM, (c_int,)),
    "bk_team_close": (None, (_TEAM,)),
    "bk_conv_scratch_bytes": (c_size_t, (_CONV, c_int, c_int)),
    "bk_statistics_scratch_bytes": (c_size_t, (c_int64, c_int)),
    "bk_pool_scratch_bytes": (c_size_t, (_POOL, c_int)),
    "bk_count_scratch_bytes": (c_size_t, (c_int,)),
    "bk_conv_forward": (
        None,
        (_TEAM, _SCRATCH, _CONV, _ARRAY, _ARRAY, _ARRAY, c_int, _ARRAY, _SUMS),
    ),
    "bk_conv_input_gradient": (
        None,
        (_TEAM, _SCRATCH, _CONV, _ARRAY, _ARRAY, _FINISH, _ARRAY, _SUMS),
    ),
    "bk_conv_weight_gradient": (
        None,
        (_TEAM, _SCRATCH, _CONV, _ARRAY, _ARRAY, c_int, c_int, _ARRAY, _SUMS),
    ),
    "bk_channel_statistics": (
        None,
        (_TEAM, _SCRATCH, *_MATRIX, _ARRAY, _ARRAY, _ARRAY, _ARRAY),
    ),
    "bk_channel_sums": (None, (_TEAM, _SCRATCH, *_MATRIX, _ARRAY)),
    "bk_affine_backward_sums": (
        None,
        (_TEAM, _SCRATCH, _ARRAY, *_MATRIX, _ARRAY, _ARRAY, _ARRAY),
    ),
    "bk_accumulate": (None, (_ARRAY, c_int64, c_int, c_int, _ARRAY, _SUMS)),
    "bk_affine_forward": (
        c_int64,
        (_TEAM, _SCRATCH, _ARRAY, *_MATRIX, _ARRAY, _ARRAY, _ARRAY, c_int, c_int)
        + (_ARRAY, _ARRAY, _ARRAY),
    ),
    "bk_affine_backward": (
        c_int64,
        (_TEAM, _SCRATCH, _ARRAY, *_MATRIX, _ARRAY, _ARRAY, c_int, _ARRAY, c_int, c_uint32)
        + (_ARRAY,),
    ),
    "bk_apply_scratch_bytes": (c_size_t, (c_int64, c_int)),
    "bk_branch_ready": (
        None,
        (_TEAM, _SCRATCH, _BRANCH, POINTER(NormInput), _ARRAY, _ARRAY, c_int),
    ),
    "bk_apply_forward": (
        None,
        (_TEAM, _SCRATCH, _BRANCH, _BRANCH, c_int, c_int, _ARRAY, _ARRAY, _ARRAY, _APPLIED),
    ),
    "bk_apply_backward": (
        None,
        (_TEAM, _SCRATCH, _BRANCH, _ARRAY, c_int, c_uint32, _ARRAY, _GRADIENT, _GRADIENT)
        + (_APPLIED,),
    ),
    "bk_max_pool_forward": (None, (_TEAM, _POOL, _ARRAY, _ARRAY, _ARRAY)),
    "bk_avg_pool_forward": (None, (_TEAM, _SCRATCH, _POOL, _ARRAY, c_int64, c_int, _ARRAY)),
    "bk_window_backward": (
        None,
        (_TEAM, _SCRATCH, _POOL, _ARRAY, _ARRAY, _FINISH, _ARRAY, _SUMS),
    ),
    "bk_scale16": (c_int64, (_TEAM, _SCRATCH, _ARRAY, c_int64, c_int64, c_int, c_int, _ARRAY)),
    "bk_dropout": (
        c_int64,
        (_TEAM, _SCRATCH, *_MATRIX, c_uint64, c_uint32, c_uint32, _ARRAY, c_uint32, c_int64)
        + (c_int, _ARRAY),
    ),
    "bk_normalise": (None, (_TEAM, *_MATRIX, _ARRAY, _ARRAY)),
    "bk_softmax": (
        None,
        (_ARRAY, _ARRAY, c_int64, c_int64, c_int64, c_int64, c_uint32, _ARRAY, _ARRAY)
        + (POINTER(Scores),),
    ),
    "bk_quantise": (c_int64, (_TEAM, _SCRATCH, _ARRAY, c_int64, c_int, c_int, _ARRAY)),
    "bk_bits_i32": (c_uint32, (_TEAM, _SCRATCH, _ARRAY, c_int64)),
    "bk_update": (
        None,
        (_TEAM, _SCRATCH, _ARRAY, _ARRAY, _ARRAY, c_int64, _SCALAR, _SCALAR, _SCALAR, _SCALAR)
        + (POINTER(c_int64),),
    ),
    "bk_sum_squares": (c_uint64, (_TEAM, _SCRATCH, _ARRAY, c_int64, c_int)),
}


def library_path(kernel_set: str) -> Path:
    """Return where the library of a set is, or would be."""
    return Path(__file__).with_name(f"_kernels_{kernel_set}.so")


@cache
def load_library(kernel_set: str) -> ctypes.CDLL:
    """Return the library of a set with its functions declared.

    Raises
    ------
    MissingToolError
        The library was not built.
    """
    path = library_path(kernel_set)
    if not path.exists():
        raise MissingToolError(
            f"the {kernel_set} kernels were not built ({path} is missing): install the package "
            "with pip, or run 'python setup.py build_ext --inplace' in the source tree, and look "
            "whether the compiler is said to be too old for them"
        )
    library = ctypes.CDLL(str(path))
    for name, (result, arguments) in _PROTOTYPES.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


def _processor_sets() -> tuple[str, ...]:
    """Return the sets this processor runs, built or not, the best one last."""
    bits = load_library("portable").bk_processor_sets()
    return tuple(name for i, name in enumerate(KERNEL_SETS) if bits >> i & 1)


def available_sets() -> tuple[str, ...]:
    """Return the sets that were built and that this processor runs, the best one last.

    Raises
    ------
    MissingToolError
        Not even the portable set was built.
    """
    return tuple(name for name in _processor_sets() if library_path(name).exists())


def choose_set(wanted: str | None) -> str:
    """Return the wanted set, or where none is named the best one there is.

    Raises
    ------
    ArgumentError
        There is no set of this name, or it is not for this processor.
    MissingToolError
        The set was not built.
    """
    available = available_sets()
    if wanted is None:
        return available[-1]
    if wanted in available:
        return wanted
    if wanted in _processor_sets():
        load_library(wanted)
    cause = "is not for this processor" if wanted in KERNEL_SETS else "does not exist"
    raise ArgumentError(f"kernel set {wanted!r} {cause}: this machine has {', '.join(available)}")
