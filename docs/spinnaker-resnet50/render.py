"""Writes docs/spinnaker-resnet50.md and its pictures from study.json beside this script.

Usage: python docs/spinnaker-resnet50/render.py

`predict.py` writes study.json; `make report` runs both.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from orchestrator.machine.constants import CONSTANTS, Level
from orchestrator.studies.records import RECORDS, records_of
from orchestrator.studies.scaling import Point, Scaling
from orchestrator.studies.scaling_epochs import REFERENCE_POINTS
from orchestrator.studies.scaling_plot import draw_scaling
from orchestrator.studies.scaling_report_plot import draw_constants, draw_what_if, write_figure
from orchestrator.studies.scaling_table import (
    COST_COLUMNS,
    RECORD_COLUMNS,
    SPEED_COLUMNS,
    by_scaling,
    component_columns,
    component_rows,
    cost_rows,
    digits,
    duration,
    kwh,
    notes,
    points_of,
    record_rows,
    speed_rows,
)

HERE = Path(__file__).resolve().parent
PAGE = HERE.with_suffix(".md")
IMAGES = HERE.parent / "images"
PICTURE, WHAT_IF, TORNADO = "scaling.png", "scaling-what-if.png", "scaling-constants.png"

PROSE = re.compile(r"\w|\*\*")
"""How a paragraph begins that is no table, list, heading, picture or code."""

Study = Mapping[str, Any]


def load() -> Study:
    """Return the study that the page shows."""
    study: Study = json.loads((HERE / "study.json").read_text(encoding="utf-8"))
    return study


def page() -> str:
    """Return the page as Markdown."""
    study = load()
    text = (HERE / "template.txt").read_text(encoding="utf-8")
    for name, value in values(study).items():
        text = text.replace(f"{{{name}}}", value)
    blocks = (paragraph(block) if PROSE.match(block) else block for block in text.split("\n\n"))
    return "\n\n".join(blocks).rstrip() + "\n"


def values(study: Study) -> dict[str, str]:
    """Return what stands for each name of the template."""
    curves = by_scaling(points_of(study["points"]))
    weak, strong = curves[Scaling.WEAK], curves[Scaling.STRONG]
    several = points_of(study["several_machines"])
    whole = weak[-1]
    return {
        "cores": f"{48 * 1200 * CONSTANTS['chip_application_cores'].typical:,.0f}",
        "answer": answer(weak, strong),
        "picture": f"images/{PICTURE}",
        "what_if_picture": f"images/{WHAT_IF}",
        "constants_picture": f"images/{TORNADO}",
        "parameters": f"{study['parameters']:,}",
        "ghost_batch": str(study["ghost_batch"]),
        "global_batch": f"{strong[0].global_batch:,}",
        "size": str(study["image_size"]),
        "target": study["recipe"]["target"],
        "smallest": f"{REFERENCE_POINTS[0].batch:,}",
        "largest": f"{REFERENCE_POINTS[-1].batch:,}",
        "weak_speed": table(SPEED_COLUMNS, speed_rows(weak)),
        "weak_cost": table(COST_COLUMNS, cost_rows(weak)),
        "strong_speed": table(SPEED_COLUMNS, speed_rows(strong)),
        "strong_cost": table(COST_COLUMNS, cost_rows(strong)),
        "several_speed": table(SPEED_COLUMNS, speed_rows(several)),
        "several_cost": table(COST_COLUMNS, cost_rows(several)),
        "notes": bullets(f"({note[0]}){note[1:]}." for note in notes(weak)),
        "published": published(whole),
        "beside": beside(whole),
        "sources": sources(),
        "bounds": bounds(weak),
        "components": table(component_columns(weak), component_rows(weak)),
        "whole": f"{whole.boards:,} boards, {whole.global_batch:,} images a step,",
        "what_if": what_if(study, whole),
        "what_if_words": what_if_words(study),
        "assumed": ", ".join(f"`{each}`" for each in assumed(study)),
        "constants": constants(study),
        "networks": networks(study),
        "networks_words": networks_words(study),
    }


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; the first column is left-aligned, the others right-aligned."""
    lines = [columns, ["---", *["--:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def band(point: Point, name: str, show: Any = digits) -> str:
    """Return a figure of a point with its low and high one."""
    low, typical, high = (show(getattr(point.at[level], name)) for level in Level)
    return f"{typical} ({low} to {high})"


def times(ratio: float) -> str:
    """Return a ratio in words: 3.21 times, or 1/4.00 of."""
    return f"{digits(ratio)} times" if ratio >= 1 else f"{fraction(ratio)} of"


def fraction(ratio: float) -> str:
    """Return a ratio as a number, or as one over a number."""
    return digits(ratio) if ratio >= 1 else f"1/{digits(1 / ratio)}"


def bullets(sentences: Iterable[str]) -> str:
    """Return a list in lines of at most 100 characters."""
    return "\n".join(
        fill(
            f"* {each}", 100, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
        )
        for each in sentences
    )


def paragraph(text: str) -> str:
    """Return text in lines of at most 100 characters."""
    return fill(text, 100, break_on_hyphens=False, break_long_words=False)


def si(value: float) -> str:
    """Return a value with its thousands, millions or billions as a letter."""
    for letter, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:g} {letter}"
    return f"{value * 1e6:g} µ" if 0 < value < 1e-3 else f"{value:g}"


def answer(weak: Sequence[Point], strong: Sequence[Point]) -> str:
    """Return the answer in a few sentences."""
    whole, alone = weak[-1], weak[0]
    at = whole.at[Level.TYPICAL]
    rates = {r.name: r.images_per_s.value for r in records_of("resnet50") if r.images_per_s}
    joules = {r.name: r.joules_per_image for r in records_of("resnet50") if r.joules_per_image}
    p100 = rates["He 2015"] / 8
    return bullets(
        [
            f"**Fast?** {band(whole, 'images_per_s')} images/s on {whole.boards:,} boards, "
            f"{band(whole, 'train_s', duration)} to 75.9 % top-1. That is the speed of "
            f"{at.images_per_s / p100:.0f} Tesla P100 as He's training used them, "
            f"{times(at.images_per_s / rates['Goyal 2017'])} the speed of Goyal's 256, and "
            f"{times(at.images_per_s / rates['MLPerf v0.6'])} that of the TPU v3 pod. One board "
            f"makes {band(alone, 'images_per_s')} images/s.",
            f"**Scalable?** {whole.boards:,} boards make {100 * at.efficiency:.1f} % of the "
            f"images/s of as many boards alone (low {100 * whole.at[Level.LOW].efficiency:.1f} %, "
            f"high {100 * whole.at[Level.HIGH].efficiency:.1f} %), and "
            f"{100 * strong[-1].at[Level.TYPICAL].efficiency:.1f} % where the batch of "
            f"{strong[-1].global_batch:,} images stays the same from one board on. What limits "
            "scaling further is the batch, which no recipe is known for beyond "
            f"{REFERENCE_POINTS[-1].batch:,} images.",
            f"**Energy-efficient?** {band(whole, 'joules_per_image')} J an image, "
            f"{band(whole, 'energy_j', kwh)} kWh to train: "
            f"{times(at.joules_per_image / joules['Goyal 2017'])} the nominal energy of P100s, "
            f"{times(at.joules_per_image / joules['You 2017'])} that of Xeon Phi 7250s, "
            f"{times(at.joules_per_image / joules['MLPerf v0.6'])} that of TPU v3 chips.",
            f"**What holds it back?** {largest(whole, Level.TYPICAL)}. A step uses "
            f"{100 * at.utilisation:.0f} % of what all cores could multiply.",
        ]
    )


def largest(point: Point, level: Level, most: int = 3) -> str:
    """Return what most of a step is spent on, in words."""
    at = point.at[level]
    parts = sorted(at.components.items(), key=lambda part: -part[1])[:most]
    shown = (f"{name} {100 * s / at.step_s:.0f} %" for name, s in parts if s > 0.005 * at.step_s)
    return f"Of a step of {digits(at.step_s)} s, " + ", ".join(shown)


def published(whole: Point) -> str:
    """Return the table of published trainings with the whole machine as its last row."""
    at = whole.at[Level.TYPICAL]
    records = records_of("resnet50")
    rows = []
    for record, row in zip(records, record_rows(records), strict=True):
        rate, joules = record.images_per_s, record.joules_per_image
        rows.append(
            [
                *row,
                digits(joules) if joules else "–",
                fraction(at.images_per_s / rate.value) if rate else "–",
                fraction(at.joules_per_image / joules) if joules else "–",
            ]
        )
    epochs = whole.epochs
    rows.append(
        [
            "**SpiNNaker, predicted**",
            f"{whole.boards:,} boards",
            f"{whole.global_batch:,}",
            f"{epochs.mean:.1f}*" if epochs else "–",
            duration(at.train_s),
            digits(at.images_per_s),
            "75.9",
            digits(at.power_w / 1000),
            kwh(at.energy_j),
            digits(at.joules_per_image),
            "1",
            "1",
        ]
    )
    columns = (*RECORD_COLUMNS, "J/image", "SpiNNaker's speed", "SpiNNaker's J/image")
    return table(columns, rows)


def beside(whole: Point) -> str:
    """Return how far from each other all systems are."""
    at = whole.at[Level.TYPICAL]
    slower, thriftier = [], []
    for record in records_of("resnet50"):
        rate, joules = record.images_per_s, record.joules_per_image
        if rate and rate.value < at.images_per_s:
            slower.append(record.name)
        if joules and joules > at.joules_per_image:
            thriftier.append(record.name)

    def shown(names: list[str]) -> str:
        return ", ".join(names) if names else "none"

    return (
        f"Of these, the whole machine is predicted to be faster than: {shown(slower)}; and to take "
        f"less energy an image than: {shown(thriftier)}."
    )


def sources() -> str:
    """Return where the figures of the published trainings come from."""
    lines = []
    for record in RECORDS:
        figures = {
            "batch": record.batch,
            "epochs": record.epochs,
            "time": record.seconds,
            "images/s": record.images_per_s,
            "top-1": record.accuracy,
        }
        known = ", ".join(f"{name} {each.known}" for name, each in figures.items() if each)
        lines.append(f"{record.name}: {record.source} ({known}).")
    processors = {record.processor.name: record.processor for record in RECORDS}
    powers = (f"{p.name} {p.watts:g} W ({p.source})" for p in processors.values())
    return bullets([*lines, f"Nominal powers: {'; '.join(powers)}."])


def bounds(weak: Sequence[Point]) -> str:
    """Return what most of a step is spent on, on one board and on all, at each level."""
    lines = []
    for point in (weak[0], weak[-1]):
        boards = "One board" if point.boards == 1 else f"{point.boards:,} boards"
        for level in Level:
            words = largest(point, level, 4)
            lines.append(f"{boards}, {level}: {words[0].lower()}{words[1:]}.")
    return bullets(lines)


def what_if(study: Study, whole: Point) -> str:
    """Return the table of changed machines."""
    rows = [_changed("today", whole, whole)]
    for each in study["what_if"]:
        (point,) = points_of([each["point"]])
        rows.append(_changed(each["words"].removeprefix("what if: "), point, whole))
    return table(
        (
            "machine",
            "step (s)",
            "images/s",
            "low–high",
            "times today",
            "to train",
            "power (kW)",
            "energy (kWh)",
        ),
        rows,
    )


def _changed(words: str, point: Point, whole: Point) -> list[str]:
    low, at, high = (point.at[level] for level in Level)
    return [
        words,
        digits(at.step_s),
        digits(at.images_per_s),
        f"{digits(low.images_per_s)}–{digits(high.images_per_s)}",
        f"{at.images_per_s / whole.at[Level.TYPICAL].images_per_s:.2f}",
        duration(at.train_s),
        digits(at.power_w / 1000),
        kwh(at.energy_j),
    ]


def what_if_words(study: Study) -> str:
    """Return how far the most changed machine is from the fastest published one."""
    fastest = max(study["what_if"], key=lambda each: each["point"]["images_per_s"])
    record = max(
        records_of("resnet50"), key=lambda r: r.images_per_s.value if r.images_per_s else 0
    )
    assert record.images_per_s is not None
    ratio = fastest["point"]["images_per_s"] / record.images_per_s.value
    return (
        f"The fastest of these ({fastest['words'].removeprefix('what if: ')}) has "
        f"{times(ratio)} the speed of {record.name}."
    )


def assumed(study: Study) -> list[str]:
    """Return the constants of the table that are only assumed."""
    return [each["name"] for each in study["constants"] if each["status"] == "assumed"]


def ordered(study: Study) -> list[Study]:
    """Return the constants, those that change the speed most first."""

    def reach(each: Study) -> float:
        return float(each["slow_images_per_s"] - each["fast_images_per_s"])

    return sorted(study["constants"], key=reach)


def constants(study: Study) -> str:
    """Return the table of constants with the speed at their slow and fast end."""
    rows = []
    for each in ordered(study):
        constant = CONSTANTS[each["name"]]
        rows.append(
            [
                f"`{each['name']}`",
                constant.unit,
                *(si(value) for value in (constant.low, constant.typical, constant.high)),
                each["status"],
                digits(each["slow_images_per_s"]),
                digits(each["fast_images_per_s"]),
            ]
        )
    columns = ("constant", "unit", "low", "typical", "high", "status", "slow", "fast")
    return table(columns, rows)


def networks(study: Study) -> str:
    """Return the table of other networks."""
    rows = []
    for name, found in study["networks"].items():
        for point in points_of(found["points"]):
            at = point.at[Level.TYPICAL]
            rows.append(
                [
                    name,
                    f"{point.boards:,}",
                    str(found["ghost_batch"]),
                    digits(at.step_s),
                    band(point, "images_per_s"),
                    f"{100 * at.efficiency:.1f} %",
                    digits(at.joules_per_image),
                ]
            )
    columns = ("network", "boards", "images a board", "step (s)", "images/s")
    return table((*columns, "efficiency", "J/image"), rows)


def networks_words(study: Study) -> str:
    """Return how other networks compare with published speeds, and which have no plan."""
    lines = [
        f"{name} has no plan yet: {found['refused']}."
        for name, found in study["networks"].items()
        if found["refused"]
    ]
    for record in RECORDS:
        found = study["networks"].get(record.model)
        if not found or not found["points"] or not record.images_per_s:
            continue
        one, whole = points_of(found["points"])
        joules = record.joules_per_image
        assert joules is not None
        lines.append(
            f"{record.name} ({record.count} {record.processor.name}): "
            f"{digits(record.images_per_s.value)} images/s and nominally {digits(joules)} J an "
            f"image with {record.model}. One board has "
            f"{times(one.at[Level.TYPICAL].images_per_s / record.images_per_s.value)} that speed, "
            f"{whole.boards:,} boards have "
            f"{times(whole.at[Level.TYPICAL].images_per_s / record.images_per_s.value)} it, with "
            f"{times(whole.at[Level.TYPICAL].joules_per_image / joules)} the energy."
        )
    return bullets(lines)


def draw(study: Study) -> None:
    """Write the pictures."""
    points, records = points_of(study["points"]), records_of("resnet50")
    whole = by_scaling(points)[Scaling.WEAK][-1]
    title = "ResNet-50 on SpiNNaker, predicted"
    today = whole.at[Level.TYPICAL].images_per_s
    write_figure(IMAGES / PICTURE, draw_scaling(points, records, title))
    write_figure(IMAGES / WHAT_IF, draw_what_if(study, whole, records))
    write_figure(IMAGES / TORNADO, draw_constants(ordered(study), today))


if __name__ == "__main__":
    draw(load())
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE} and its pictures")
