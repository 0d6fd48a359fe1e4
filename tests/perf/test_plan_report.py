import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from made_programs import Chips, make_exchange, make_program, make_work

from orchestrator.compiler.program import Overlap, Pass, Region, Split, WeightSplit
from orchestrator.config import ModelConfig
from orchestrator.machine import Link, single_board, single_chip, torus
from orchestrator.machine.constants import Level
from orchestrator.model.zoo import build_network
from orchestrator.studies import plan_tables
from orchestrator.studies.plan_pictures import chip_loads, draw_slice, link_loads, write_pictures
from orchestrator.studies.plan_report import PlanReport, sdram_json
from orchestrator.studies.plan_timeline import plan_timeline

GRAPH = build_network(ModelConfig(name="mlp", image_size=8, channels=1), 10)


def region(name, purpose, address, size, first, last):
    return Region(
        name=name,
        purpose=purpose,
        address=np.array(address),
        bytes=np.array(size),
        first_phase=first,
        last_phase=last,
    )


def make_report(machine=None, level=Level.TYPICAL, overrides=None):
    machine = machine or single_board()
    chips = Chips(machine)
    n = len(chips.places)
    phases = []
    for i, pass_ in enumerate(Pass):
        works = [make_work([(chip, core, 10**6) for chip in range(n) for core in range(3)], pass_)]
        transfers = [(0, [1], 1000 * (i + 1), 0)]
        moved = [make_exchange(chips, transfers, Overlap.BEFORE)] if n > 1 else []
        phases.append((pass_, works, moved))
    program = make_program(chips, phases)
    first, rest = [0] * n, [100] + [40] * (n - 1)
    return PlanReport(
        "mlp",
        GRAPH,
        machine,
        replace(
            program,
            splits={"n0": Split(chips=tuple(range(n)), groups=1, whole_images=True)},
            weight_splits={"n1": WeightSplit(split=Split(chips=tuple(range(n)), groups=1))},
            regions=(
                region("a", "activation", first, rest, 0, 1),
                region("b", "activation", first, rest, 2, 3),
                region("w", "weights", rest, [8] * n, 0, 3),
            ),
        ),
        level,
        overrides or {},
    )


REPORT = make_report()


def test_the_json_has_what_scripts_rely_on():
    result = json.loads(json.dumps(REPORT.as_json()))
    assert result["predicted_s"] == pytest.approx(REPORT.walk.total_s)
    assert result["images_per_s"] == pytest.approx(32 / result["predicted_s"])
    assert result["energy_j"] > 0
    assert sum(result["components"].values()) == pytest.approx(result["predicted_s"])
    layers = (p for layer in result["layers"] for p in layer["passes"].values())
    assert sum(s for parts in layers for s in parts.values()) == pytest.approx(
        result["predicted_s"]
    )
    assert max(result["bounds_s"].values()) <= result["predicted_s"]
    levels = result["levels"]
    assert levels["low"]["predicted_s"] > levels["typical"]["predicted_s"]
    assert levels["typical"]["predicted_s"] >= levels["high"]["predicted_s"]
    assert result["splits"]["n0"]["parts"] == 48


def test_a_constant_can_be_another():
    fast = make_report(overrides={"clock": 400e6})
    assert fast.step.total_s < 0.6 * REPORT.step.total_s
    assert all(step.total_s < 0.6 * REPORT.steps[Level.LOW].total_s for step in fast.steps.values())
    low = make_report(level=Level.LOW)
    assert low.step == REPORT.steps[Level.LOW]
    assert low.walk.total_s == pytest.approx(low.step.total_s)


def test_tables_have_a_row_for_everything():
    rows = plan_tables.layer_rows(REPORT)
    assert [row[0] for row in rows] == ["n0", "n1"]  # two phases each; the update has none
    assert [row[1] for row in rows] == ["48i 1k", "-"]
    assert [row[2] for row in rows] == ["-", "48r 1c"]
    shown = sum(float(cell) for row in rows for cell in row[3:5] if cell != "-")
    computed = 1000 * (REPORT.step.forward_s + REPORT.step.backward_s)
    assert shown == pytest.approx(computed, abs=0.02)
    assert all(row[-1] in {"compute", "links", "latency"} for row in rows)
    facts = plan_tables.summary_facts(REPORT)
    assert facts["slice"].startswith("1 board, 48 chips, 808 cores, of which 96 move")
    assert len(plan_tables.bound_rows(REPORT)) == 7
    assert "clock" in {row[0] for row in plan_tables.swing_rows(REPORT)}


def test_memory_is_counted_where_it_is_in_use_at_a_time():
    rows = {row[0]: row[1:] for row in plan_tables.sdram_rows(REPORT)}
    # Both activations take the same 100 bytes, one after the other.
    assert sdram_json(REPORT.program)["bytes"] == 108
    assert rows["activation"] == ("2", "0.00") and rows["all"][0] == "3"
    big = replace(
        REPORT.program,
        regions=tuple(
            replace(r, bytes=r.bytes * 10**6, address=r.address * 10**6)
            for r in REPORT.program.regions
        ),
    )
    rows = {row[0]: row[1:] for row in plan_tables.sdram_rows(replace(REPORT, program=big))}
    assert rows == {"activation": ("2", "100.00"), "weights": ("1", "8.00"), "all": ("3", "108.00")}


def test_traffic_is_where_it_was_sent():
    moved = link_loads(REPORT.walk)
    step = REPORT.program.chips[1] - REPORT.program.chips[0]
    link = next(link for link in Link if link.step == tuple(step.tolist()))
    assert moved[link] == 1000 + 2000 + 3000 + 4000 == moved.sum()
    loads = chip_loads(REPORT.walk)
    assert loads.shape == (48,) and (loads > 0).all() and (loads <= 1).all()


def test_pictures_are_drawn_the_same_each_time(tmp_path):
    written = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        written.append(write_pictures(tmp_path / name, REPORT))
    assert len(written[0]) == 8
    for one, two in zip(*written, strict=True):
        assert one.read_bytes() == two.read_bytes()
        if one.suffix == ".svg":
            assert ElementTree.parse(one).getroot().tag.endswith("svg")
        else:
            assert one.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "machine", [single_chip(single_board(), 0, 0), torus(1, 1)], ids=lambda m: str(m.n_chips)
)
def test_any_slice_is_drawn(machine):
    figure = draw_slice(make_report(machine))
    loads, links = figure.axes[:2]
    assert len(loads.patches) == machine.n_chips
    assert len(links.collections[0].get_segments()) == 2 * machine.n_links


def test_the_timeline_covers_the_step(tmp_path):
    plan_timeline(REPORT.walk).write(tmp_path / "timeline.json")
    events = json.loads((tmp_path / "timeline.json").read_text())["traceEvents"]
    rows = {e["args"]["name"]: e["tid"] for e in events if e["name"] == "thread_name"}
    spans = [e for e in events if e["ph"] == "X"]
    phases = [e for e in spans if e["tid"] == rows["phases"]]
    assert sum(e["dur"] for e in phases) == pytest.approx(1e6 * REPORT.walk.total_s, abs=1)
    assert max(e["ts"] + e["dur"] for e in spans) <= 1e6 * REPORT.walk.total_s + 1
    assert {"compute", "links", "packet cores", "barriers"} <= set(rows)
    # Nothing of a phase lies outside it, and the exchange before the work ends before the work.
    first = [e for e in spans if e["name"] == phases[0]["name"]]
    assert all(e["ts"] + e["dur"] <= phases[0]["dur"] + 1 for e in first)
    moved = next(e for e in first if e["tid"] == rows["links"])
    worked = next(e for e in first if e["tid"] == rows["compute"])
    assert moved["ts"] + moved["dur"] <= worked["ts"]
