"""Augmentation and normalisation as functions of integers: which crop, which flip, which table.

Random words: sample i of epoch e has the draws Philox(c0 = draw, c1 = i, c2 = e, c3 = 2 << 24),
each of four 32-bit words. Draw 0 holds the padding crop's row and column (words 0, 1) and the flip
(top bit of word 2); draws 1 to 10 are the tries of the random resized crop: area, aspect, row,
column. A word w picks one of n by ``(w * n) >> 32``.
"""

from collections.abc import Sequence
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache
from math import isqrt
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from orchestrator.data.resize import Axis, Geometry
from orchestrator.errors import ArgumentError
from orchestrator.philox import AUGMENT, philox4x32

TRIES: Final = 10
DRAWS: Final = 1 + TRIES
ASPECT_ENTRIES: Final = 4096
ASPECT_BITS: Final = 16
LARGEST_MANTISSA: Final = 4095
REFERENCE_SIZE: Final = 224

Words = NDArray[np.uint32]


class Crop(NamedTuple):
    """A rectangle of pixels."""

    top: int
    left: int
    height: int
    width: int


def draw(seed: int, epoch: int, samples: NDArray[np.int64]) -> Words:
    """Return the random words of some samples, uint32 [samples, 11 draws, 4 words]."""
    draws = np.arange(DRAWS, dtype=np.uint32)
    columns = samples.astype(np.uint32)[:, None]
    return philox4x32((draws, columns, epoch, AUGMENT << 24), seed)


def pick(word: int, choices: int) -> int:
    """Return a number from 0 to ``choices - 1`` chosen by a 32-bit word."""
    return (int(word) * choices) >> 32


@lru_cache(maxsize=8)
def aspect_table(aspect: tuple[Fraction, Fraction]) -> tuple[int, ...]:
    """Return 4,096 width/height ratios, evenly spaced in their logarithm, times 2^16.

    Entry k is ``half_up(2^16 * low * (high / low)^((2k + 1) / 8192))``, exact to the last digit: 50
    decimal digits decide.
    """
    context = Context(prec=50)
    low, high = (context.divide(Decimal(r.numerator), Decimal(r.denominator)) for r in aspect)
    spread = context.ln(context.divide(high, low))
    entries = []
    for k in range(ASPECT_ENTRIES):
        part = context.divide(
            context.multiply(spread, Decimal(2 * k + 1)), Decimal(2 * ASPECT_ENTRIES)
        )
        ratio = context.multiply(low, context.exp(part))
        scaled = context.add(context.multiply(ratio, Decimal(1 << ASPECT_BITS)), Decimal("0.5"))
        entries.append(max(1, int(scaled)))
    return tuple(entries)


def random_resized_crop(
    words: Words,
    height: int,
    width: int,
    area: tuple[Fraction, Fraction],
    aspect: tuple[Fraction, Fraction],
) -> Crop:
    """Choose a training image's crop by area and aspect: at most ten tries, else the centre.

    A try takes the share of the image's area uniformly between the bounds, in units of 2^-32, the
    aspect (width / height) from `aspect_table`, and rounds the sides ``sqrt(area * aspect)`` and
    ``sqrt(area / aspect)`` half up; it fails if they do not fit. The fallback is the largest
    centred crop whose aspect is within the bounds.

    Parameters
    ----------
    words
        uint32 [11, 4], one sample's draws.
    height, width
        The image's size in pixels.
    area
        Least and greatest share of the area, above 0, at most 1.
    aspect
        Least and greatest width / height.
    """
    low, high = (int(share * (1 << 32)) for share in area)
    table = aspect_table(aspect)
    for area_word, aspect_word, row, column in words[1:].tolist():
        pixels = height * width * (low + pick(area_word, high - low + 1))
        ratio = table[pick(aspect_word, ASPECT_ENTRIES)]
        crop_width = _rounded_root(pixels * ratio, 32 + ASPECT_BITS)
        crop_height = _rounded_root((pixels << ASPECT_BITS) // ratio, 32)
        if 0 < crop_width <= width and 0 < crop_height <= height:
            top = pick(row, height - crop_height + 1)
            left = pick(column, width - crop_width + 1)
            return Crop(top, left, crop_height, crop_width)
    return _centre_within(height, width, aspect)


def _rounded_root(value: int, bits: int) -> int:
    """Return the square root of ``value * 2^-bits``, rounded half up."""
    return (isqrt((value << 2) >> bits) + 1) >> 1


def _centre_within(height: int, width: int, aspect: tuple[Fraction, Fraction]) -> Crop:
    crop_height, crop_width = height, width
    if Fraction(width, height) < aspect[0]:
        crop_height = max(1, _half_up(width / aspect[0]))
    elif Fraction(width, height) > aspect[1]:
        crop_width = max(1, _half_up(height * aspect[1]))
    return Crop((height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width)


def is_flipped(words: Words) -> bool:
    """Tell whether a sample with these draws, uint32 [11, 4], is mirrored."""
    return bool(words[0, 2] >> np.uint32(31))


def padding_crop(words: Words, pad: int) -> tuple[int, int]:
    """Return the row and column, 0 to ``2 * pad``, at which a padded image is cropped."""
    return pick(int(words[0, 0]), 2 * pad + 1), pick(int(words[0, 1]), 2 * pad + 1)


def resized_crop(crop: Crop, size: int, flip: bool) -> Geometry:
    """Return the geometry that makes a crop a square of ``size`` pixels."""
    rows = Axis(crop.top, crop.height, size, 0, size)
    return Geometry(rows, Axis(crop.left, crop.width, size, 0, size, reverse=flip))


def centre_crop(height: int, width: int, short_side: int, size: int) -> Geometry:
    """Return evaluation's geometry: short side resized to ``short_side``, centre cut out.

    The long side is rounded down, as is the offset of the centre. ``short_side`` is at least
    ``size``.
    """
    shorter = min(height, width)
    resized = (height * short_side // shorter, width * short_side // shorter)
    first = [(side - size) // 2 for side in resized]
    rows = Axis(0, height, resized[0], first[0], size)
    return Geometry(rows, Axis(0, width, resized[1], first[1], size))


def short_side(size: int, resize: int) -> int:
    """Return evaluation's short side for an input of ``size`` pixels.

    That is ``resize`` for an input of 224 pixels, in proportion for others; at least ``size``;
    rounded half up.
    """
    return max(size, _half_up(Fraction(size * resize, REFERENCE_SIZE)))


def padding_pixel(mean: Sequence[Fraction]) -> NDArray[np.uint8]:
    """Return the pixel nearest to the mean, uint8 [channels]: padding with it is padding with 0."""
    return np.array([_half_up(255 * value) for value in mean], np.uint8)


def input_table(mean: Sequence[Fraction], std: Sequence[Fraction]) -> tuple[NDArray[np.int16], int]:
    """Return the mantissas of every pixel value and their exponent (docs/numerics.md, section 3).

    Parameters
    ----------
    mean, std
        Of each channel, pixels in 0..1; std above 0.

    Returns
    -------
    table
        int16 [256, channels], ``half_up((p / 255 - mean) / std * 2^-exponent)``, magnitudes at most
        4095.
    exponent
        The smallest for which all entries fit.

    Raises
    ------
    ArgumentError
        The lists differ in length, or a std is not positive.
    """
    if len(mean) != len(std) or not mean or any(value <= 0 for value in std):
        raise ArgumentError(
            f"input table: {len(mean)} means and {len(std)} standard deviations; "
            "expected one of each per channel, deviations above 0"
        )
    values = [
        [(Fraction(pixel, 255) - m) / s for m, s in zip(mean, std, strict=True)]
        for pixel in range(256)
    ]
    ends = [abs(value) for row in (values[0], values[255]) for value in row]
    exponent = _smallest_exponent(max(ends))
    while not _fits(values, exponent):
        exponent += 1
    unit = Fraction(2) ** exponent
    table = [[_half_up(value / unit) for value in row] for row in values]
    return np.array(table, np.int16), exponent


def _smallest_exponent(largest: Fraction) -> int:
    """Return where the search starts: an exponent at which ``largest`` does not fit, or just."""
    bits = largest.numerator.bit_length() - largest.denominator.bit_length()
    return bits - LARGEST_MANTISSA.bit_length() - 1


def _fits(values: list[list[Fraction]], exponent: int) -> bool:
    unit = Fraction(2) ** exponent
    extremes = [_half_up(value / unit) for row in (values[0], values[255]) for value in row]
    return all(abs(mantissa) <= LARGEST_MANTISSA for mantissa in extremes)


def _half_up(value: Fraction) -> int:
    return int((2 * value.numerator + value.denominator) // (2 * value.denominator))
