"""Writes docs/performance-model.md from figures of a plan beside this script.

Usage: python docs/performance-model/render.py [FOLDER]

FOLDER holds a new plan: ``plan.json`` and the pictures of ``regatta plan``; what the page shows of
it is kept first.
"""

import json
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.perf.cycles import Pass, load_table

HERE = Path(__file__).resolve().parent
PAGE = HERE.with_suffix(".md")
FIGURES = HERE / "resnet50.json"
PICTURES = ("slice", "sensitivity")
SHOWN = ("predicted_s", "levels", "components", "from_roofline_s", "bounds_s", "sensitivity")

EXAMPLES = (
    ("VGG: 14x14, 512 to 512, 3x3", (3, 3), 512, 512, 1, 14 * 14),
    ("AlexNet: 227x227, 3 to 64, 11x11 / 4", (11, 11), 3, 64, 4, 55 * 55),
    ("AlexNet: 27x27, 64 to 192, 5x5", (5, 5), 64, 192, 1, 27 * 27),
    ("AlexNet: dense, 9216 to 4096", (1, 1), 9216, 4096, 1, 1),
    ("CIFAR ResNet: 32x32, 16 to 16, 3x3", (3, 3), 16, 16, 1, 32 * 32),
)
"""Layers that were not measured: name, kernel, input and output channels, stride, positions."""


def nearest() -> Iterable[str]:
    """Yield what stands for layers that were not measured."""
    table = load_table()
    for name, kernel, c, k, stride, positions in EXAMPLES:
        reductions = {Pass.FORWARD: c, Pass.INPUT_GRADIENT: k, Pass.WEIGHT_GRADIENT: 1}
        found = (
            table.nearest(pass_, kernel, c, stride, positions, reduction).layer
            for pass_, reduction in reductions.items()
        )
        yield f"| {name} | {' | '.join(found)} |"


def levels(plan: Mapping[str, Any]) -> Iterable[str]:
    """Yield the main figures at low, typical and high constants."""
    rows = (
        ("step, s", "predicted_s", "{:.3f}"),
        ("images/s", "images_per_s", "{:.3f}"),
        ("forward, s", "forward_s", "{:.3f}"),
        ("backward, s", "backward_s", "{:.3f}"),
        ("update, s", "update_s", "{:.3f}"),
        ("of the products' roofline", "utilisation", "{:.3f}"),
        ("energy of a step, J", "energy_j", "{:.0f}"),
    )
    for name, key, form in rows:
        cells = (form.format(step[key]) for step in plan["levels"].values())
        yield f"| {name} | {' | '.join(cells)} |"


def parts(values: Mapping[str, float], whole: float) -> Iterable[str]:
    """Yield names, seconds and parts of a whole, but for what is too small to show."""
    for name, seconds in values.items():
        if abs(seconds) > whole / 10_000:
            yield f"| {name} | {seconds:.4g} | {100 * seconds / whole:.1f} % |"


def ranked(values: Mapping[str, float]) -> dict[str, float]:
    """Return the values, the largest first."""
    return dict(sorted(values.items(), key=lambda item: -item[1]))


def swings(plan: Mapping[str, Any]) -> Iterable[str]:
    """Yield the constants that move the step's time, the most first."""
    for each in plan["sensitivity"]:
        if each["low_s"] != each["high_s"]:
            yield (
                f"| `{each['constant']}` | {values(each['low'], each['high'], each['unit'])} "
                f"| {each['low_s']:.3f} s | {each['high_s']:.3f} s | {each['status']} |"
            )


def values(low: float, high: float, unit: str) -> str:
    """Return two values with their unit, in millions or millionths as fits."""
    for size, prefix in ((1e6, "M"), (1e-6, "µ")):
        if (high >= size > 1) or (size < 1 and high < 1e-3):
            return f"{low / size:g} to {high / size:g} {prefix}{unit}"
    return f"{low:g} to {high:g} {unit}"


def page() -> str:
    """Return the page as Markdown."""
    plan = json.loads(FIGURES.read_text(encoding="utf-8"))
    step = plan["predicted_s"]
    return (
        (HERE / "template.txt")
        .read_text(encoding="utf-8")
        .format(
            nearest="\n".join(nearest()),
            levels="\n".join(levels(plan)),
            components="\n".join(parts(ranked(plan["components"]), step)),
            held="\n".join(parts(plan["from_roofline_s"], step)),
            bounds="\n".join(parts(ranked(plan["bounds_s"]), step)),
            swings="\n".join(swings(plan)),
        )
    )


def keep(folder: Path) -> None:
    """Keep what the page shows of a new plan."""
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    shown = {key: plan[key] for key in SHOWN}
    FIGURES.write_text(json.dumps(shown, indent=2) + "\n", encoding="utf-8")
    for name in PICTURES:
        shutil.copy(folder / f"{name}.png", HERE.parent / "images" / f"plan-{name}.png")


if __name__ == "__main__":
    if sys.argv[1:]:
        keep(Path(sys.argv[1]))
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
