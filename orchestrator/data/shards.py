"""Finding the shard files of a split."""

import re
from itertools import product
from pathlib import Path
from typing import Final

from orchestrator.errors import DataError

MOST_SHARDS: Final = 100_000
_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_OF: Final = re.compile(r"-(\d{5})-of-(\d{5})$")


def expand_braces(pattern: str) -> list[str]:
    """Return the names a pattern stands for: ``a-{000..002}.tar`` or ``{train,extra}.tar``.

    A range keeps the width of its first number.

    Raises
    ------
    DataError
        A brace is not closed, a range runs backwards, or there are more than 100,000 names.
    """
    pieces = _BRACES.split(pattern)
    if any("{" in piece or "}" in piece for piece in pieces):
        raise DataError(
            f"{pattern}: shard pattern with unmatched braces; like train-{{000..003}}.tar"
        )
    choices = [
        _alternatives(piece, pattern) if i % 2 else [piece] for i, piece in enumerate(pieces)
    ]
    names = 1
    for options in choices:
        names *= len(options)
    if names > MOST_SHARDS:
        raise DataError(f"{pattern}: {names} shards, at most {MOST_SHARDS} are allowed")
    return ["".join(parts) for parts in product(*choices)]


def _alternatives(inside: str, pattern: str) -> list[str]:
    first, dots, last = inside.partition("..")
    if not dots:
        return inside.split(",")
    if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise DataError(f"{pattern}: shard range {{{inside}}}; expected like {{000..003}}")
    if int(last) - int(first) >= MOST_SHARDS:
        raise DataError(f"{pattern}: a range of more than {MOST_SHARDS} shards")
    return [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]


def find_shards(root: Path, split: str, suffix: str) -> list[Path]:
    """Return the shard files of a split, in order of their names, or in the pattern's order.

    ``split`` is a file pattern with braces inside ``root``; or a folder in ``root`` whose files are
    the shards; or the beginning of the shards' names, followed by a dash.

    Parameters
    ----------
    root
        Directory of the data set.
    split
        ``data.train_split`` or ``data.eval_split``.
    suffix
        How the names end, "" for any ending.

    Raises
    ------
    DataError
        A shard is missing, or none is found.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such directory; expected a directory of shards")
    if "{" in split or "}" in split:
        paths = [root / name for name in expand_braces(split)]
    elif (root / split).is_dir():
        paths = sorted(p for p in (root / split).iterdir() if _is_shard(p, suffix))
    elif (root / split).is_file():
        paths = [root / split]
    else:
        paths = sorted(
            p for p in root.iterdir() if p.name.startswith(f"{split}-") and _is_shard(p, suffix)
        )
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path}: shard missing, named by the pattern {split}")
    if not paths:
        raise DataError(
            f"{root}: no shards of split '{split}'; expected {split}-*{suffix}, {split}/*{suffix}"
            f" or a pattern like {split}-{{000..003}}{suffix}"
        )
    _check_complete(paths)
    return paths


def _is_shard(path: Path, suffix: str) -> bool:
    return path.is_file() and not path.name.startswith(".") and path.name.endswith(suffix)


def _check_complete(paths: list[Path]) -> None:
    """Raise where names say "-00007-of-01024" and one of the 1,024 is missing."""
    numbered = [match for path in paths if (match := _OF.search(path.name))]
    if not numbered:
        return
    expected = int(numbered[0][2])
    missing = sorted(set(range(expected)) - {int(match[1]) for match in numbered})
    if missing:
        stem = _OF.sub("", paths[0].name)
        raise DataError(
            f"{paths[0].parent}: {len(missing)} of {expected} shards are missing, "
            f"the first is {stem}-{missing[0]:05d}-of-{expected:05d}"
        )
