"""Activations as a whole on an emulated core: statistics and passes there, coefficients here.

The coefficients are a few integers per channel; the core's instruction memory has no room for them
beside the convolutions.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from orchestrator.dfp import absolute_bits
from orchestrator.model.norm import (
    NormBranch,
    backward_coefficients,
    batch_statistics,
    forward_coefficients,
    normalised,
    plain,
    running_contribution,
    statistics_from_running,
)
from orchestrator.model.ops_apply import Applied, Carried, Gradient, NormSource, Rounded
from orchestrator.model.shapes import Sums
from orchestrator.virtual.arm_kernels.norm import NormKernels
from orchestrator.virtual.arm_kernels.runner import Array


class _Accumulate(Protocol):
    def __call__(self, v: Array, shift: int | None, total: Array) -> Sums: ...


@dataclass(frozen=True, slots=True)
class ArmBranch:
    """Sums y [rows, c] and what coefficients need of them."""

    y: Array
    norm: NormBranch


class ApplyKernels(NormKernels):
    """Part of `ArmKernels`."""

    accumulate: _Accumulate

    def branch(
        self,
        y: Array,
        exponent: int,
        norm: NormSource | None,
        extremes: tuple[Array, Array] | None = None,
        *,
        frozen: bool = False,
    ) -> ArmBranch:
        """Return sums y [rows, c] and their batch norm, ready for the other two."""
        lo, hi = (None, None) if extremes is None else extremes
        measured = norm is not None and not norm.running
        if measured or (lo is None and not frozen):
            s1, s2, lo, hi = self.channel_statistics(y)
        if norm is None:
            found = plain(exponent=exponent, lo=lo, hi=hi, channels=y.shape[-1])
            return ArmBranch(y, found)
        if measured:
            statistics = batch_statistics(s1, s2, y.size // y.shape[-1])
            contribution = running_contribution(statistics, exponent)
            for total, value in zip(norm.statistics, contribution, strict=True):
                np.add(total, value, out=total)
        else:
            statistics = statistics_from_running(*norm.statistics, exponent)
        found = normalised(
            exponent=exponent,
            lo=lo,
            hi=hi,
            gamma=norm.gamma,
            beta=norm.beta,
            statistics=statistics,
            epsilon=norm.epsilon,
        )
        return ArmBranch(y, found)

    def apply_forward(
        self,
        main: ArmBranch,
        shortcut: ArmBranch | None,
        relu: bool,
        frozen_bits: int | None,
        out: Array,
    ) -> Applied:
        """Write the 13-bit activation of two branches' sum."""
        beside = None if shortcut is None else shortcut.norm
        c = forward_coefficients(main.norm, beside, relu=relu, frozen_bits=frozen_bits)
        z = None if shortcut is None else shortcut.y
        saturated, lo, hi = self.affine_forward(main.y, c.a, c.b, z, c.r, c.shift, relu, out)
        return Applied(c.exponent, c.bits, saturated, lo, hi)

    def apply_backward(
        self,
        main: ArmBranch,
        d: Array,
        exponent: int,
        seed: int,
        e: Array,
        gradients: tuple[Gradient, ...],
    ) -> Carried:
        """Write the 13-bit error at a branch's sums; add gamma's and beta's gradients."""
        y = None if main.norm.inverse_sigma is None else main.y
        d1, d2, top = self.affine_backward_sums(d, y)
        rows = d.size // d.shape[-1]
        c = backward_coefficients(
            main.norm, d1=d1, d2=d2, dmax=top, rows=rows, error_exponent=exponent
        )
        rounded = []
        exact = [g for g in (c.gamma, c.beta) if g is not None]
        for gradient, (values, own) in zip(gradients, exact, strict=True):
            shift = None if gradient.exponent is None else gradient.exponent - own
            sums = self.accumulate(values, shift, gradient.total)
            rounded.append(Rounded(absolute_bits(sums.bits, own), sums.saturated))
        saturated = self.affine_backward(d, y, c.a, c.c, c.p, c.b, c.shift, seed, e)
        return Carried(c.exponent, saturated, tuple(rounded))
