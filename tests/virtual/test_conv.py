"""Convolutions on a core: every way of rounding, tiling and substituting, and their cycles."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import ArgumentError, MissingToolError
from orchestrator.model import ops
from orchestrator.model.shapes import ConvShape, Sums
from orchestrator.virtual import conv_plan
from orchestrator.virtual.arm_kernels import ArmKernels, convolution
from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.conv_geometry import (
    WORKSPACE,
    WORKSPACE_BYTES,
    Geometry,
    Operands,
    Plan,
    divide_workspace,
    forward_geometry,
    input_gradient_geometry,
)
from orchestrator.virtual.conv_plan import plan_conv
from orchestrator.virtual.conv_program import Program, Rounding, RoundingWay, prepare
from orchestrator.virtual.core import Core
from orchestrator.virtual.image import build_image

LIMIT13, LIMIT16 = 4095, 32767
KINDS = ("random", "small", "top", "bottom", "signs")


def open_core(**options: Any) -> ArmKernels:
    try:
        return ArmKernels(Core(ChipMemory(32 << 20), 1, build_image(), **options))
    except MissingToolError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def core() -> ArmKernels:
    return open_core(dma_bytes_per_cycle=0.25)


@pytest.fixture(scope="module")
def strict() -> ArmKernels:
    return open_core(check=True)


@pytest.fixture(scope="module")
def substituted() -> ArmKernels:
    return open_core(substitute=True)


def values(kind: str, shape: tuple[int, ...], limit: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind in ("top", "bottom"):
        return np.full(shape, limit if kind == "top" else -limit, np.int16)
    if kind == "signs":
        return (limit * rng.choice([-1, 1], shape)).astype(np.int16)
    most = limit // 16 if kind == "small" else limit
    return rng.integers(-most, most, shape, np.int16, endpoint=True)


@dataclass(frozen=True)
class Case:
    """A convolution (or its transpose) and what is done to its sums."""

    shape: ConvShape
    transposed: bool
    rounding: Rounding
    kind: str = "random"

    @property
    def macs(self) -> int:
        s = self.shape
        return s.n * s.p * s.q * s.k * s.r * s.s * s.c

    def run(self, kernels: Any) -> tuple[np.ndarray, Sums]:
        s, r = self.shape, self.rounding
        w = values(self.kind, s.w_shape, LIMIT13, 1)
        if not self.transposed:
            bias = np.random.default_rng(2).integers(-(2**44), 2**44, s.k) if r.bias else None
            out = np.full(s.y_shape, 0x5555, np.int16)
            x = values(self.kind, s.x_shape, LIMIT13)
            return out, kernels.conv_forward(s, x, w, bias, r.shift, out)
        addend = values(self.kind, s.x_shape, LIMIT16, 3) if r.addend else None
        mask = np.random.default_rng(4).integers(-1, 3, s.x_shape).astype(np.int16)
        out = np.full(s.x_shape, 0x5555, np.int16)
        e = values(self.kind, s.y_shape, LIMIT13)
        sums = kernels.conv_input_gradient(
            *(s, e, w, addend, r.acc_shift, r.addend_shift, mask if r.mask else None),
            *(r.shift, out),
        )
        return out, sums

    def check(self, kernels: ArmKernels) -> None:
        expected, expected_sums = self.run(ops)
        found, sums = self.run(kernels)
        np.testing.assert_array_equal(found, expected)
        assert sums == expected_sums


NARROW = ConvShape.of(2, 5, 7, 40, 36, 1, 1)
WIDE = ConvShape.of(2, 7, 7, 40, 36, 3, 3, 1, 1)
STRIDED = ConvShape.of(2, 7, 6, 36, 40, 3, 3, 2, 1)
POINTWISE_STRIDED = ConvShape.of(1, 7, 6, 40, 36, 1, 1, 2)
CASES = {
    "narrow": Case(NARROW, False, Rounding(16)),
    "narrow, saturating": Case(NARROW, False, Rounding(5)),
    "narrow, largest shift of the wide way": Case(NARROW, False, Rounding(24)),
    "narrow, masked": Case(NARROW, True, Rounding(14, mask=True)),
    "narrow, added": Case(NARROW, True, Rounding(14, 0, 9, addend=True, mask=True)),
    "wide": Case(WIDE, False, Rounding(18)),
    "wide, saturating": Case(WIDE, False, Rounding(10)),
    "wide, masked": Case(WIDE, True, Rounding(18, mask=True)),
    "wide, added": Case(WIDE, True, Rounding(18, 0, 12, addend=True, mask=True)),
    "bias": Case(WIDE, False, Rounding(20, bias=True)),
    "aligned": Case(WIDE, True, Rounding(6, -7, 3, addend=True)),
    "left shift": Case(WIDE, False, Rounding(-3)),
    "forward, stride 2": Case(STRIDED, False, Rounding(16)),
    "classes": Case(STRIDED, True, Rounding(16, mask=True)),
    "classes without taps": Case(POINTWISE_STRIDED, True, Rounding(14, 0, 9, True, True)),
    "network input": Case(ConvShape.of(2, 11, 9, 3, 20, 7, 7, 2, 3), False, Rounding(16)),
    "dense": Case(ConvShape.dense(5, 300, 37), False, Rounding(17, bias=True)),
    "dense, backward": Case(ConvShape.dense(5, 37, 300), True, Rounding(15)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CASES)
def test_same_bits_as_the_oracle(core: ArmKernels, name: str, kind: str) -> None:
    case = CASES[name]
    Case(case.shape, case.transposed, case.rounding, kind).check(core)


@pytest.mark.parametrize("name", CASES)
def test_every_access_is_aligned(strict: ArmKernels, name: str) -> None:
    CASES[name].check(strict)


@pytest.mark.parametrize("kind", ["random", "signs"])
@pytest.mark.parametrize("name", CASES)
def test_substituted_inner_product(substituted: ArmKernels, name: str, kind: str) -> None:
    case = CASES[name]
    Case(case.shape, case.transposed, case.rounding, kind).check(substituted)


@pytest.mark.parametrize("name", ["narrow", "wide", "wide, masked", "wide, saturating", "classes"])
def test_substituted_cycles_are_within_a_hundredth(substituted: ArmKernels, name: str) -> None:
    emulated = open_core()
    CASES[name].run(emulated)
    CASES[name].run(substituted)
    assert substituted.core.substituted > 0
    assert substituted.cycles == pytest.approx(emulated.cycles, rel=0.01)


@cache
def fitting_plans(geometry: Geometry, operands: Operands) -> list[Plan]:
    limit = WORKSPACE + WORKSPACE_BYTES
    plans = conv_plan._plans(geometry)
    return [p for p in plans if divide_workspace(geometry, operands, p).end <= limit]


def prepare_with(number: int) -> Callable[[Geometry, Rounding, Mapping[str, int]], Program]:
    """Return `prepare` with the plan of a number instead of the best."""

    def take(geometry: Geometry, rounding: Rounding, symbols: Mapping[str, int]) -> Program:
        plans = fitting_plans(geometry, Operands(rounding.addend, rounding.bias, True))
        return prepare(geometry, rounding, symbols, plans[number % len(plans)])

    return take


TILED = {
    "3x3": Case(ConvShape.of(3, 9, 5, 100, 70, 3, 3, 1, 1), False, Rounding(18)),
    "1x1": Case(ConvShape.of(3, 5, 5, 200, 70, 1, 1), True, Rounding(17, 0, 10, True, True)),
    "classes": Case(ConvShape.of(3, 9, 5, 70, 100, 3, 3, 2, 1), True, Rounding(17, mask=True)),
    "biased": Case(ConvShape.of(3, 7, 5, 100, 70, 3, 3, 1, 1), False, Rounding(18, bias=True)),
    "dense": Case(ConvShape.dense(7, 200, 70), False, Rounding(17)),
}


@settings(max_examples=60)
@given(name=st.sampled_from(sorted(TILED)), number=st.integers(0, 10**6))
def test_every_plan_gives_the_same_bits(core: ArmKernels, name: str, number: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolution, "prepare", prepare_with(number))
        TILED[name].check(core)


MEASURED = {
    "3x3, 64 channels": (ConvShape.of(1, 14, 14, 64, 64, 3, 3, 1, 1), 0.66, 0.66),
    "3x3, 56 wide": (ConvShape.of(1, 56, 56, 64, 64, 3, 3, 1, 1), 0.66, 0.66),
    "3x3 on 7x7": (ConvShape.of(1, 7, 7, 256, 64, 3, 3, 1, 1), 0.64, 0.64),
    "1x1, 256 channels": (ConvShape.of(1, 28, 28, 256, 64, 1, 1), 0.65, 0.58),
    "1x1, 128 channels": (ConvShape.of(1, 28, 28, 128, 128, 1, 1), 0.65, 0.65),
    "1x1, 64 channels": (ConvShape.of(1, 56, 56, 64, 64, 1, 1), 0.60, 0.58),
}


@pytest.mark.parametrize("name", MEASURED)
def test_products_per_cycle(name: str) -> None:
    """Cycles are the emulator's, hence the same everywhere; packing is not counted."""
    shape, forward, backward = MEASURED[name]
    kernels = open_core()
    for transposed, least in ((False, forward), (True, backward)):
        terms = shape.r * shape.s * (shape.k if transposed else shape.c)
        shift = 16 if terms <= 128 else 18  # what sums so large are rounded by
        case = Case(shape, transposed, Rounding(shift, mask=transposed), "small")
        case.run(kernels)
        assert case.macs / kernels.cycles > least


def test_ways_of_rounding() -> None:
    """128 products, and an addend that still fits beside them, stay in 32 bits."""
    assert Rounding(16).way(128, False) is RoundingWay.NARROW
    assert Rounding(16).way(129, False) is RoundingWay.WIDE
    assert Rounding(16).way(128, True) is RoundingWay.WIDE
    added = Rounding(16, 0, 5, addend=True, mask=True)
    assert added.way(128, False) is RoundingWay.GENERAL
    assert Rounding(16, 0, 4, addend=True, mask=True).way(128, False) is RoundingWay.NARROW
    assert Rounding(16, 0, 10, addend=True, mask=True).way(128, False) is RoundingWay.WIDE
    assert Rounding(16, 0, 10, addend=True).way(64, False) is RoundingWay.GENERAL
    assert Rounding(20, 0, 22, addend=True, mask=True).way(24576, True) is RoundingWay.WIDE
    assert Rounding(20, 0, 22, addend=True, mask=True).way(24640, True) is RoundingWay.GENERAL


def test_plans_fit_every_layer_of_resnet_50() -> None:
    sizes = [(56, 64, 64, 3), (56, 64, 256, 1), (56, 256, 64, 1), (28, 128, 128, 3)]
    sizes += [(28, 128, 512, 1), (14, 256, 256, 3), (14, 1024, 256, 1), (7, 512, 512, 3)]
    for size, c, k, r in sizes:
        shape = ConvShape.of(1, size, size, c, k, r, r, 1, r // 2)
        for geometry in (forward_geometry(shape), input_gradient_geometry(shape)):
            operands = Operands(addend=True, bias=False, general=False)
            plan = plan_conv(geometry, operands)
            end = divide_workspace(geometry, operands, plan).end
            assert end <= WORKSPACE + WORKSPACE_BYTES


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (ConvShape.dense(1, 40000, 10), "40000 products per output: a core takes 32768"),
        (ConvShape.of(1, 3, 3000, 64, 8, 3, 3, 1, 1), "one row of output does not fit"),
        (ConvShape.of(1, 1, 64, 3, 8, 1, 33), "kernel of 33 columns: a core takes 32"),
        (ConvShape.of(1, 1, 64, 8, 8, 1, 33), "kernel of 33 columns: a core takes 32"),
    ],
)
def test_shapes_that_no_plan_fits(shape: ConvShape, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        plan_conv(forward_geometry(shape), Operands(False, False, False))


def test_strides_beyond_the_classes() -> None:
    geometry = input_gradient_geometry(ConvShape.of(1, 11, 11, 8, 8, 5, 5, 5))
    with pytest.raises(ArgumentError, match="stride 5: a core takes strides to 4"):
        plan_conv(geometry, Operands(False, False, False))
