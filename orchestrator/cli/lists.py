"""Lists as arguments of commands."""

from orchestrator.errors import ArgumentError


def items(text: str) -> list[str]:
    """Return what commas separate."""
    return [item.strip() for item in text.split(",") if item.strip()]


def whole_numbers(option: str, text: str) -> list[int]:
    """Return the whole numbers of a list.

    Raises
    ------
    ArgumentError
        If an item is none.

    Examples
    --------
    >>> whole_numbers("--batches", "128,1024")
    [128, 1024]
    """
    found = []
    for item in items(text):
        if not item.isascii() or not item.isdigit():
            raise ArgumentError(f"{option}: {item!r} is not a whole number; give 128,1024 or alike")
        found.append(int(item))
    return found
