"""How a section's fields are declared, converted from YAML values and checked.

A section is a frozen dataclass. Its type annotation says what a value may be, its metadata
(`about`) holds one line of documentation, the range, and whether the key changes a training's
numbers. Everything else, the loader, the dump, the comparison of two configurations and the
reference page, reads these declarations.
"""

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, TypeVar

from orchestrator.errors import ConfigError

NUMBER = re.compile(
    r"(?P<whole>[-+]?[0-9][0-9_]*)(?P<part>\.[0-9]*)?(?:[eE](?P<power>[-+]?[0-9]{1,3}))?"
    r"|(?P<point>[-+]?\.[0-9]+)(?:[eE](?P<power2>[-+]?[0-9]{1,3}))?"
    r"|(?P<over>[-+]?[0-9]+(?:\.[0-9]+)?)\s*/\s*(?P<under>[0-9]+)"
)
LONGEST_NUMBER = 80
LARGEST_POWER = 99
WHOLE = re.compile(r"[-+]?[0-9][0-9_]*")

S = TypeVar("S")


class NumberText(str):
    """The exact text of a number, which YAML writes without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def about(
    doc: str,
    *,
    low: Fraction | int | None = None,
    above: Fraction | int | None = None,
    high: Fraction | int | None = None,
    below: Fraction | int | None = None,
    numeric: bool = True,
) -> dict[str, Any]:
    """Return the metadata of one configuration field.

    Parameters
    ----------
    doc
        One line: meaning and unit.
    low, above, high, below
        Range of the value, or of every number in it: `low` and `high` are allowed values,
        `above` and `below` are not.
    numeric
        Whether changing the key changes the numbers of a training that is already running,
        so that a checkpoint may not be resumed under another value.
    """
    return {
        "doc": doc,
        "low": low,
        "above": above,
        "high": high,
        "below": below,
        "numeric": numeric,
    }


def number(text: str, key: str) -> Fraction:
    """Return the exact rational that `text` writes.

    >>> number("1e-4", "lr"), number("1/3", "lr"), number("12.8/256", "lr")
    (Fraction(1, 10000), Fraction(1, 3), Fraction(1, 20))

    Raises
    ------
    ConfigError
        If it is none of these, is longer than 80 characters or has a power of ten beyond 99.
    """
    stripped = text.strip()
    match = NUMBER.fullmatch(stripped) if len(stripped) <= LONGEST_NUMBER else None
    power = int((match["power"] or match["power2"] or 0) if match else 0)
    if match is None or abs(power) > LARGEST_POWER or (match["under"] and int(match["under"]) == 0):
        raise ConfigError(f"{key}: {shown(text)} is not {describe(Fraction)}")
    if match["under"]:
        return Fraction(match["over"]) / int(match["under"])
    return Fraction(stripped.replace("_", ""))


def shown(value: object) -> str:
    """Return a value as a message prints it, cut to a readable length."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    text = repr(value) if type(value) is str else str(plain(value))
    return text if len(text) <= 60 else text[:57] + "..."


def plain(value: Any) -> Any:
    """Return a value with sections as mappings, tuples as lists and fractions as exact text."""
    if isinstance(value, Fraction):
        return NumberText(fraction_text(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def fraction_text(value: Fraction) -> str:
    """Return the shortest exact text: decimal where there is a short one, else ``a/b``.

    >>> fraction_text(Fraction(1, 8)), fraction_text(Fraction(1, 3)), fraction_text(Fraction(2))
    ('0.125', '1/3', '2')
    """
    for digits in range(31):
        scaled = value * 10**digits
        if scaled.denominator == 1:
            if digits == 0:
                return str(scaled.numerator)
            text = str(abs(scaled.numerator)).rjust(digits + 1, "0")
            sign = "-" if value < 0 else ""
            return f"{sign}{text[:-digits]}.{text[-digits:]}"
    return f"{value.numerator}/{value.denominator}"


def describe(kind: Any) -> str:
    """Return in words what values the annotation `kind` allows."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return "one of " + ", ".join(args)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(describe(arg) for arg in args)
    if origin is tuple:
        if args[-1] is Ellipsis:
            return f"a list, each entry {describe(args[0])}"
        return "a list of " + " and ".join(describe(arg) for arg in args)
    if dataclasses.is_dataclass(kind):
        return "a mapping of " + ", ".join(field.name for field in dataclasses.fields(kind))
    words = {
        int: "a whole number",
        bool: "true or false",
        str: "text",
        Fraction: "a number such as 0.1, 1e-4 or 1/3",
        types.NoneType: "null",
    }
    return words[kind]


def convert(value: Any, kind: Any, key: str) -> Any:
    """Return `value`, from YAML or from Python, as the annotation `kind` wants it.

    Raises
    ------
    ConfigError
        If it is something else; the message names key, value and what is allowed.
    """
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        inner = next(arg for arg in args if arg is not types.NoneType)
        return None if value is None else convert(value, inner, key)
    if origin is typing.Literal and isinstance(value, str) and value in args:
        return value
    if origin is tuple and isinstance(value, list | tuple):
        if args[-1] is Ellipsis:
            return tuple(convert(item, args[0], f"{key}[{i}]") for i, item in enumerate(value))
        if len(args) == len(value):
            pairs = enumerate(zip(value, args, strict=True))
            return tuple(convert(item, arg, f"{key}[{i}]") for i, (item, arg) in pairs)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return value if isinstance(value, kind) else build(kind, value, key)
    if kind is Fraction and isinstance(value, str):
        return number(value, key)
    if kind is Fraction and isinstance(value, int | Fraction) and not isinstance(value, bool):
        return Fraction(value)
    if kind is int and isinstance(value, str) and WHOLE.fullmatch(value.strip()):
        return int(number(value, key))
    if isinstance(kind, type) and kind is not Fraction and type(value) is kind:
        return value
    raise ConfigError(f"{key}: {shown(value)} is not allowed; it must be {describe(kind)}")


def limits(metadata: Mapping[str, Any]) -> str:
    """Return the range of a field in words, empty if it has none."""
    words = {"low": "at least", "above": "more than", "high": "at most", "below": "less than"}
    parts = [
        f"{word} {fraction_text(Fraction(metadata[bound]))}"
        for bound, word in words.items()
        if metadata.get(bound) is not None
    ]
    return " and ".join(parts)


def check_range(value: Any, metadata: Mapping[str, Any], key: str) -> None:
    """Raise ConfigError unless every number in `value` is inside the field's range."""
    if isinstance(value, tuple):
        for i, item in enumerate(value):
            check_range(item, metadata, f"{key}[{i}]")
        return
    if isinstance(value, bool) or not isinstance(value, int | Fraction):
        return
    low, above = metadata.get("low"), metadata.get("above")
    high, below = metadata.get("high"), metadata.get("below")
    if (
        (low is not None and value < low)
        or (above is not None and value <= above)
        or (high is not None and value > high)
        or (below is not None and value >= below)
    ):
        raise ConfigError(f"{key}: {shown(value)} is out of range; it must be {limits(metadata)}")


def hints(kind: Any) -> dict[str, Any]:
    """Return the resolved type annotations of a section."""
    return typing.get_type_hints(kind)


def check_fields(section: Any, path: str) -> None:
    """Convert and range-check every field of a section in place; call it in `__post_init__`.

    The conversion lets Python code write ``Fraction`` fields as integers or as text.
    """
    kinds = hints(type(section))
    for field in dataclasses.fields(section):
        key = f"{path}.{field.name}" if path else field.name
        value = convert(getattr(section, field.name), kinds[field.name], key)
        check_range(value, field.metadata, key)
        object.__setattr__(section, field.name, value)


def unknown_key(key: str, path: str, allowed: list[str]) -> ConfigError:
    """Return the error for a key that does not exist, naming the nearest and all allowed ones."""
    full = f"{path}.{key}" if path else key
    near = difflib.get_close_matches(key, allowed, n=1, cutoff=0.6)
    hint = f" (did you mean {near[0]}?)" if near else ""
    where = f"in {path}" if path else "at the top level"
    return ConfigError(f"{full}: unknown key{hint}; allowed {where}: {', '.join(allowed)}")


def build(kind: type[S], values: Any, path: str) -> S:
    """Return the section `kind` built from a mapping of YAML values.

    Raises
    ------
    ConfigError
        If `values` is no mapping, a key is unknown or missing, or a value is not allowed.
    """
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path or 'the file'}: {shown(values)} is not {describe(kind)}")
    fields = {field.name: field for field in dataclasses.fields(typing.cast(Any, kind))}
    kinds = hints(kind)
    arguments = {}
    for name, value in values.items():
        if name not in fields:
            raise unknown_key(str(name), path, list(fields))
        key = f"{path}.{name}" if path else name
        arguments[name] = convert(value, kinds[name], key)
        check_range(arguments[name], fields[name].metadata, key)
    for name, field in fields.items():
        absent = name not in arguments
        if absent and field.default is field.default_factory is dataclasses.MISSING:
            key = f"{path}.{name}" if path else name
            if dataclasses.is_dataclass(kinds[name]):
                arguments[name] = build(typing.cast(Any, kinds[name]), {}, key)
            else:
                raise ConfigError(f"{key}: missing; it must be {describe(kinds[name])}")
    return kind(**arguments)
