"""What commands have in common: results as JSON files and as tables."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestrator.errors import ArgumentError
from orchestrator.train.disk import replace_text


def check_json(path: Path | None) -> None:
    """Refuse a file that cannot be written, before the work that leads to its content.

    Raises
    ------
    ArgumentError
        The file's folder does not exist or cannot be written, or the path is a folder.
    """
    if path is None:
        return
    if not path.parent.is_dir():
        raise ArgumentError(f"--json {path}: the folder {path.parent} does not exist; create it")
    if path.is_dir():
        raise ArgumentError(f"--json {path}: is a folder; give a file")
    if not os.access(path.parent, os.W_OK):
        raise ArgumentError(f"--json {path}: the folder {path.parent} cannot be written")


def write_json(path: Path | None, result: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write a result as a whole, if a file was asked for.

    Raises
    ------
    ArgumentError
        The file's folder does not exist or cannot be written, or the path is a folder.
    RunError
        The file cannot be written.
    """
    if path is None:
        return
    check_json(path)
    replace_text(path, json.dumps(result, indent=2) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text; the first column is left-aligned, the others right-aligned."""
    table = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def print_facts(title: str, facts: Mapping[str, str]) -> None:
    """Print names and values, one to a line."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for name, value in facts.items():
        table.add_row(name, value)
    Console().print(table)
