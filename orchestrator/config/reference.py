"""The reference page of the configuration, written from the schema.

``python -m orchestrator.config.reference > docs/configuration.md`` renews it; a test compares.
"""

import dataclasses
import sys
import types
import typing
from collections.abc import Iterator
from typing import Any

from orchestrator.config.run import RunConfig
from orchestrator.config.schema import describe, hints, limits, plain

HEAD = """\
# Configuration

A run is described by one YAML file. `--set section.key=value` on the command line overrides a key;
the value is YAML too (`--set data.mean=[0.5,0.5,0.5]`). Unknown keys are errors.
Ready-made files are in `configs/`: examples, and the published ResNet-50 recipes.

Numbers are exact: `0.1` is one tenth, not the nearest binary fraction, and `1/3` is allowed.
Write `true` and `false`, and `null` for "none". Paths are relative to the working directory.

A key marked with a dot (·) never changes a training's numbers: a checkpoint may be resumed under
another value of it, and is refused under another value of any other key. The exceptions:
`train.epochs` may also change where the learning rate's decay does not end with the training, and
`data.eval_split`, `data.eval_samples` and `data.resize` where decay is not `plateau`; where it is,
`train.eval_every_epochs` may not.

This page is written from the schema by `python -m orchestrator.config.reference`.
"""

REQUIRED = "*required*"


def reference() -> str:
    """Return the page as Markdown."""
    sections = "".join(_section(RunConfig, field.name) for field in dataclasses.fields(RunConfig))
    return HEAD + sections


def _section(parent: type, name: str) -> str:
    """Return the chapter of one top-level section and of the sections inside it."""
    kind = hints(parent)[name]
    lines = [f"\n## {name}\n", f"\n{_summary(kind)}\n", *_table(kind)]
    for path, inner in _inner(kind, name):
        lines += [f"\n### {path}\n", f"\n{_summary(inner)}\n", *_table(inner)]
    return "".join(lines)


def _summary(kind: type) -> str:
    """Return the first line of a section's docstring."""
    return (kind.__doc__ or "").strip().splitlines()[0]


def _table(kind: Any) -> Iterator[str]:
    """Yield the table of a section's keys, line by line."""
    yield "\n| key | value | default | meaning |\n|---|---|---|---|\n"
    for field in dataclasses.fields(kind):
        allowed = _words(hints(kind)[field.name], limits(field.metadata))
        mark = "" if field.metadata["numeric"] else " ·"
        meaning = field.metadata["doc"]
        yield f"| `{field.name}`{mark} | {allowed} | {_default(field)} | {meaning} |\n"


def _words(kind: Any, bounds: str) -> str:
    """Return in words what a key may hold; a section inside has its own table."""
    optional = types.NoneType in typing.get_args(kind)
    if _section_in(kind) is not None:
        words = "a list of mappings" if typing.get_origin(kind) is tuple else "a mapping"
    else:
        words = describe(kind).removesuffix(" or null")
        words = words.replace("a number such as 0.1, 1e-4 or 1/3", "a number")
    ranged = f"{words}, {bounds}" if bounds else words
    return f"{ranged}, or null" if optional else ranged


def _default(field: dataclasses.Field[Any]) -> str:
    """Return a key's default as the page prints it."""
    if field.default is not dataclasses.MISSING:
        value = plain(field.default)
    elif field.default_factory is not dataclasses.MISSING:
        value = plain(field.default_factory())
    else:
        return REQUIRED
    if isinstance(value, dict):
        return "see below"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{', '.join(str(item) for item in value)}]" if isinstance(value, list) else str(value)


def _section_in(kind: Any) -> Any:
    """Return the section class inside an annotation, or None."""
    candidates = (kind, *typing.get_args(kind))
    return next((arg for arg in candidates if dataclasses.is_dataclass(arg)), None)


def _inner(kind: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield path and class of the sections inside a section."""
    for field in dataclasses.fields(kind):
        inner = _section_in(hints(kind)[field.name])
        if inner is not None:
            yield f"{path}.{field.name}", inner


if __name__ == "__main__":
    sys.stdout.write(reference())
