import json
from pathlib import Path

from orchestrator.train.timeline import Span, Timeline


def span(name: str, start: float, process: str = "rank 0", thread: str = "step") -> Span:
    return Span(name=name, start_s=start, duration_s=0.5, process=process, thread=thread)


def test_the_file_is_a_chrome_trace(tmp_path: Path) -> None:
    timeline = Timeline()
    timeline.add(Span(name="forward", start_s=1.25, duration_s=0.5, details={"step": 3}))
    timeline.add(span("send", 2.0, "chip (1, 2)", "link 4"))
    timeline.add(span("recv", 2.0, "chip (1, 2)", "link 4"))
    timeline.write(tmp_path / "timeline.json")
    trace = json.loads((tmp_path / "timeline.json").read_text())
    complete = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert complete[0] == {
        "name": "forward",
        "cat": "train",
        "ph": "X",
        "ts": 1250000.0,
        "dur": 500000.0,
        "pid": 1,
        "tid": 1,
        "args": {"step": 3},
    }
    assert [(event["pid"], event["tid"]) for event in complete] == [(1, 1), (2, 2), (2, 2)]
    names = [
        (event["name"], event["pid"], event["tid"], event["args"]["name"])
        for event in trace["traceEvents"]
        if event["ph"] == "M"
    ]
    assert names == [
        ("process_name", 1, 0, "rank 0"),
        ("process_name", 2, 0, "chip (1, 2)"),
        ("thread_name", 1, 1, "step"),
        ("thread_name", 2, 2, "link 4"),
    ]


def test_a_long_run_keeps_its_start_and_its_latest_part() -> None:
    timeline = Timeline(kept=10)
    for i in range(100):
        timeline.add(span(str(i), float(i)))
    assert [s.name for s in timeline.spans()] == [*"01234", "95", "96", "97", "98", "99"]
    assert timeline.dropped == 90
    assert timeline.trace()["otherData"] == {"dropped_spans": 90}
