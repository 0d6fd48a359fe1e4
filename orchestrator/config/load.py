"""Read, override, write and compare configurations.

Numbers are exact: YAML's own floats would be binary, so every number is kept as the text that was
written and becomes a `fractions.Fraction`.
"""

import dataclasses
import re
from pathlib import Path
from typing import Any

import yaml

from orchestrator.config.lr_schedule import LrScheduleConfig
from orchestrator.config.run import RunConfig
from orchestrator.config.schema import (
    NumberText,
    S,
    build,
    describe,
    hints,
    plain,
    shown,
    unknown_key,
)
from orchestrator.errors import ConfigError

EVALUATION_KEYS = (
    "train.eval_every_epochs",
    "data.eval_split",
    "data.eval_samples",
    "data.resize",
)
"""Keys that change a training's numbers only where evaluations steer its learning rate."""


class ExactLoader(yaml.SafeLoader):
    """YAML loader that leaves numbers as text, knows only true and false, and no key twice."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping; raise where a key is written twice or is not text."""
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(None, None, "a key must be text", key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(
                    None, None, f"key {key!r} is written twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=True)


ExactLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("(?:true|false)$"), list("tf")
)
ExactLoader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile("(?:null|~|)$"), ["n", "~", ""]
)


class ExactDumper(yaml.SafeDumper):
    """YAML dumper that writes exact numbers as decimal text, or as a/b."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return true: equal values are written out, not referred to."""
        return True


def _represent_number(dumper: ExactDumper, value: NumberText) -> yaml.ScalarNode:
    """Return the YAML node of an exact number, plain wherever a YAML reader takes it as one."""
    kind = "str" if "/" in value else "float" if "." in value else "int"
    return dumper.represent_scalar(f"tag:yaml.org,2002:{kind}", str(value))


ExactDumper.add_representer(NumberText, _represent_number)


def load_config(path: str | Path, overrides: list[str] | None = None) -> RunConfig:
    """Return the configuration in a YAML file, with ``key=value`` overrides applied.

    Raises
    ------
    ConfigError
        If the file cannot be read, is no YAML, or a key or value is not allowed.
    """
    text = _read_text(path, "give a configuration in YAML")
    try:
        return parse_config(text, overrides)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def parse_config(text: str, overrides: list[str] | None = None) -> RunConfig:
    """Return the configuration in YAML text, with ``key=value`` overrides applied.

    >>> parse_config('''
    ... model: {name: mlp, image_size: 8, channels: 1}
    ... data: {source: digits, mean: [0.5], std: [0.5]}
    ... train: {global_batch: 64, epochs: 2}
    ... lr_schedule: {base_lr: 1e-1}
    ... ''', ["train.epochs=3"]).train.epochs
    3
    """
    values = _read_yaml(text, "the configuration")
    if not isinstance(values, dict):
        raise ConfigError(
            f"{shown(values)} is not a mapping; a configuration has the sections "
            + ", ".join(hints(RunConfig))
        )
    for override in overrides or []:
        _apply(values, override)
    return build(RunConfig, values, "")


def load_section(kind: type[S], path: str | Path) -> S:
    """Return a section that a YAML file of its own holds.

    Raises
    ------
    ConfigError
        If the file cannot be read, is no YAML, or a key or value is not allowed.
    """
    return parse_section(kind, _read_text(path, "give a YAML file"), str(path))


def parse_section(kind: type[S], text: str, what: str) -> S:
    """Return a section from YAML text of its own; errors begin with ``what`` it is."""
    values = _read_yaml(text, what)
    if values is not None and not isinstance(values, dict):
        raise ConfigError(f"{what}: {shown(values)} is not {describe(kind)}")
    try:
        return build(kind, values, "")
    except ConfigError as error:
        raise ConfigError(f"{what}: {error}") from None


def _read_text(path: str | Path, advice: str) -> str:
    """Return a file's text; raise ConfigError where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; {advice}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}") from None


def _read_yaml(text: str, what: str) -> Any:
    """Return the value in YAML text, numbers as text; raise ConfigError where it is no YAML."""
    try:
        return yaml.load(text, ExactLoader)  # noqa: S506 (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ConfigError(f"{what} is not valid YAML{where}: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"{what} is not valid YAML: {reason}") from None


def _apply(values: dict[str, Any], override: str) -> None:
    """Set one ``section.key=value`` in a mapping of YAML values."""
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set {override!r} is not key=value, such as train.epochs=3")
    value = _read_yaml(text, f"--set {override!r}: the value")
    kind: Any = RunConfig
    for depth, key in enumerate(keys):
        prefix = ".".join(keys[:depth])
        if not dataclasses.is_dataclass(kind):
            raise ConfigError(f"{path}: {prefix} has no keys inside; set {prefix} itself")
        allowed = list(hints(kind))
        if key not in allowed:
            raise unknown_key(key, prefix, allowed)
        kind = _section(hints(kind)[key])
    target = values
    for depth, key in enumerate(keys[:-1]):
        if target.get(key) is None:
            target[key] = {}
        target = target[key]
        if not isinstance(target, dict):
            prefix = ".".join(keys[: depth + 1])
            raise ConfigError(f"{prefix}: {shown(target)} is not a mapping, cannot set {path}")
    target[keys[-1]] = value


def _section(kind: Any) -> Any:
    """Return the section inside an annotation ``Section | None``, else the annotation."""
    inner = [arg for arg in getattr(kind, "__args__", ()) if dataclasses.is_dataclass(arg)]
    is_list = getattr(kind, "__origin__", None) is tuple
    return inner[0] if inner and not is_list else kind


def dump_config(config: RunConfig) -> str:
    """Return YAML text with every key, from which `parse_config` builds an equal configuration."""
    return yaml.dump(plain(config), Dumper=ExactDumper, sort_keys=False, allow_unicode=True)


def numeric_differences(first: RunConfig, second: RunConfig) -> list[str]:
    """Return the keys that differ and change a training's numbers, in the schema's order.

    A checkpoint of one configuration may be resumed under the other only if the list is empty.
    Keys that never matter (files, threads, cadences, boards, exchange) are not listed;
    `train.epochs` matters only where the rate's decay ends with the training, the evaluation's
    keys only where evaluations steer the rate.
    """
    ignored = set()
    if not any(_ends_with_training(config.lr_schedule) for config in (first, second)):
        ignored.add("train.epochs")
    steered = "plateau" in (first.lr_schedule.decay, second.lr_schedule.decay)
    found = _differences(first, second, "", EVALUATION_KEYS if steered else ())
    if not steered:
        ignored.update(EVALUATION_KEYS)
    return [key for key in found if key not in ignored]


def _ends_with_training(schedule: LrScheduleConfig) -> bool:
    """Return whether the rate depends on `train.epochs`."""
    if schedule.decay == "joined":
        return schedule.pieces[-1].shape != "constant"
    return schedule.decay in ("polynomial", "cosine") and schedule.decay_epochs is None


def _differences(first: Any, second: Any, path: str, always: tuple[str, ...]) -> list[str]:
    """Return the differing keys of two sections that are numeric or listed in `always`."""
    found = []
    for field in dataclasses.fields(first):
        key = f"{path}.{field.name}" if path else field.name
        a, b = getattr(first, field.name), getattr(second, field.name)
        if dataclasses.is_dataclass(a) and dataclasses.is_dataclass(b) and type(a) is type(b):
            found += _differences(a, b, key, always)
        elif a != b and (field.metadata["numeric"] or key in always):
            found.append(key)
    return found
