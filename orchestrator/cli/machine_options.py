"""What the commands of ``regatta machine`` make of their options."""

from pathlib import Path

from orchestrator.errors import ArgumentError
from orchestrator.machine.machine import Chip


def check_one(config: Path | None, host: str | None, server: str | None) -> None:
    """Refuse no machine, and more than one.

    Raises
    ------
    ArgumentError
        If so.
    """
    given = [
        name
        for name, value in (("CONFIG", config), ("--host", host), ("--spalloc", server))
        if value is not None
    ]
    if len(given) != 1:
        found = " and ".join(given) or "nothing"
        raise ArgumentError(f"which machine? give one of CONFIG, --host and --spalloc, not {found}")


def check_belongs(option: str, given: object, needed: str, there: object) -> None:
    """Refuse an option that means nothing without another.

    Raises
    ------
    ArgumentError
        The option is given, the other is not.
    """
    if given is not None and there is None:
        raise ArgumentError(f"{option} {given}: goes with {needed}, which is not given")


def parse_slots(slots: str | None) -> tuple[int, ...]:
    """Return slots from "0,1,2"; None is slot 0.

    Raises
    ------
    ArgumentError
        An item is no slot.

    Examples
    --------
    >>> parse_slots("0,2")
    (0, 2)
    """
    found = []
    for item in ("0" if slots is None else slots).split(","):
        text = item.strip()
        if not text.isascii() or not text.isdigit() or int(text) > 23:
            raise ArgumentError(f"--slots: {item!r} is none of 0 to 23; give 0,1,2 or alike")
        found.append(int(text))
    return tuple(found)


def parse_chips(text: str | None) -> tuple[Chip, ...] | None:
    """Return chips from "0,0 4,3"; None for all.

    Raises
    ------
    ArgumentError
        An item is no chip.

    Examples
    --------
    >>> parse_chips("0,0 4,3")
    ((0, 0), (4, 3))
    """
    if text is None:
        return None
    found = []
    for item in text.split():
        x, comma, y = item.partition(",")
        if not comma or not all(part.isascii() and part.isdigit() for part in (x, y)):
            raise ArgumentError(f"--chips: {item!r} is no chip x,y; give '0,0 4,3' or alike")
        found.append((int(x), int(y)))
    if not found:
        raise ArgumentError("--chips: no chip is named; give '0,0 4,3' or leave it out for all")
    return tuple(found)
