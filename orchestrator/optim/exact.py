"""Cosine, powers, roots and exponentials that are the same number on every machine.

Learning rates are rationals. Where a formula leaves the rationals, the value is computed with 50
decimal digits, using only decimal operations whose result the standard fixes to the last digit,
and rounded to 30 digits after the point; the rounded value is what training uses.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from fractions import Fraction

CONTEXT = Context(prec=50, rounding=ROUND_HALF_EVEN, Emin=-999_999, Emax=999_999)
LAST_DIGIT = Decimal(1).scaleb(-30)
PI = Decimal("3.1415926535897932384626433832795028841971693993751")


def cosine(turn: Fraction) -> Fraction:
    """Return cos(pi * turn) for 0 <= turn <= 1, to 30 decimal digits.

    >>> cosine(Fraction(1, 2)), cosine(Fraction(1, 3)), cosine(Fraction(1))
    (Fraction(0, 1), Fraction(1, 2), Fraction(-1, 1))
    """
    if turn > Fraction(1, 2):
        return -cosine(1 - turn)
    with localcontext(CONTEXT):
        square = (PI * _decimal(turn)) ** 2
        term = total = Decimal(1)
        order = 0
        while abs(term) > LAST_DIGIT.scaleb(-15):
            order += 2
            term = -term * square / (order * (order - 1))
            total += term
        return _rounded(total)


def power(base: Fraction, exponent: Fraction) -> Fraction:
    """Return base ** exponent for 0 <= base <= 1; exact where the exponent is whole."""
    if exponent.denominator == 1:
        return Fraction(base**exponent.numerator)
    if base == 0:
        return Fraction(0)
    with localcontext(CONTEXT):
        return _rounded((_decimal(base).ln() * _decimal(exponent)).exp())


def root(value: Fraction) -> Fraction:
    """Return the square root of a rational >= 0, to 30 decimal digits.

    >>> root(Fraction(9, 4))
    Fraction(3, 2)
    """
    with localcontext(CONTEXT):
        return _rounded(_decimal(value).sqrt())


def exponential(value: Fraction) -> Fraction:
    """Return e ** value for value <= 0, to 30 decimal digits."""
    with localcontext(CONTEXT):
        return _rounded(_decimal(value).exp())


def _decimal(value: Fraction) -> Decimal:
    """Return a rational as a decimal of 50 digits; call it inside the context."""
    return Decimal(value.numerator) / Decimal(value.denominator)


def _rounded(value: Decimal) -> Fraction:
    """Return a decimal rounded to 30 digits after the point; call it inside the context."""
    return Fraction(value.quantize(LAST_DIGIT))
