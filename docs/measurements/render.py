"""Writes docs/measurements.md from the JSON files beside this script.

Usage: python docs/measurements/render.py

Each file is what ``regatta bench ... --json docs/measurements/NAME.json`` wrote; the page's tables
are the commands' own, so no figure on the page is typed. Sections are in the order of file names.
"""

import importlib
import json
from pathlib import Path
from typing import Any

from rich.table import Table

HERE = Path(__file__).resolve().parent
PAGE = HERE.with_suffix(".md")

HEADINGS = {
    "kernels": "Convolutions",
    "arm_kernels": "Convolutions on a SpiNNaker core",
    "step": "Training step",
    "data": "Images to input tensors",
    "allreduce": "Exchange of a gradient",
    "emulator": "Emulated core",
    "transfer": "Memory of a board",
}

INTRODUCTION = """# Measurements

Every part is measured beside its peer in one run: the two take turns in one process (the exchange:
on the same ranks), with the same threads, and figures are medians. A ratio is our speed over the
peer's: above 1 is faster. CPU seconds are those of all threads; where a machine is shared, trust
them more than wall seconds, and the ratio more than either speed. Convolutions and training steps
run with a malloc that keeps freed memory, which favours PyTorch; peak memory is that of a process
for each side, with malloc as it comes.

This page is generated: every command below wrote its figures with `--json` into a file in
`docs/measurements/`, and `python docs/measurements/render.py` makes the page of them.
"""


def page(folder: Path = HERE) -> str:
    """Return the page as Markdown."""
    results = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    return "\n".join([INTRODUCTION, *(section(result) for result in results)])


def section(result: dict[str, Any]) -> str:
    """Return one measurement: heading, command, what it ran on, table."""
    shown = importlib.import_module(f"orchestrator.bench.{result['bench']}").table(result)
    machine = result["machine"]
    lines = [
        f"## {HEADINGS[result['bench']]}: `{result['command']}`\n",
        f"{shown.title}.\n",
        markdown(shown),
        f"\n{shown.caption}.\n" if shown.caption else "",
        f"{machine['processor']}, {machine['cores']} cores; load {machine['load']} at the start, "
        f"{machine['load_at_end']} at the end; regatta {machine['regatta']}, Python "
        f"{machine['python']}, NumPy {machine['numpy']}.\n",
    ]
    return "\n".join(lines)


def markdown(table: Table) -> str:
    """Return a table of plain texts in Markdown: its first column to the left, others right."""
    heads = [str(column.header) for column in table.columns]
    rows = zip(*([str(cell) for cell in column.cells] for column in table.columns), strict=True)
    rules = ["---", *["--:"] * (len(heads) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, rules, *rows))


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"wrote {PAGE}")
