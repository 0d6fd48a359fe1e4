"""What initial weights are drawn from: distributions with exact variances and bounds.

They are values only; `initialise` draws from them in integers (docs/numerics.md, section 8).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from orchestrator.errors import ArgumentError


@dataclass(frozen=True, slots=True)
class HeNormal:
    """Normal with variance 2 / fan.

    `mode` 'fan_in' keeps the variance of activations from layer to layer, 'fan_out' that of errors;
    fan_in is the number of products in a sum of the forward pass (R * S * C), fan_out R * S * K.

    References
    ----------
    He et al., "Delving deep into rectifiers", 2015, section 2.2, equations 10 and 14.
    """

    mode: Literal["fan_in", "fan_out"]

    def __post_init__(self) -> None:
        if self.mode not in ("fan_in", "fan_out"):
            raise ArgumentError(f"HeNormal: mode {self.mode!r} is not fan_in or fan_out")

    def variance(self, fan_in: int, fan_out: int) -> Fraction:
        """Variance of a weight."""
        return Fraction(2, fan_in if self.mode == "fan_in" else fan_out)


@dataclass(frozen=True, slots=True)
class Normal:
    """Normal with mean 0 and standard deviation `sd`, above 0 and below 1."""

    sd: Fraction

    def __post_init__(self) -> None:
        if not 0 < self.sd < 1:
            raise ArgumentError(f"Normal: sd {self.sd} is not allowed; give 0 < sd < 1")

    def variance(self, fan_in: int, fan_out: int) -> Fraction:
        """Variance of a weight."""
        return Fraction(self.sd) ** 2


@dataclass(frozen=True, slots=True)
class Uniform:
    """Uniform on [-bound, bound], bound above 0 and below 8."""

    bound: Fraction

    def __post_init__(self) -> None:
        if not 0 < self.bound < 8:
            raise ArgumentError(f"Uniform: bound {self.bound} is not allowed; give 0 < bound < 8")


Distribution = HeNormal | Normal | Uniform
