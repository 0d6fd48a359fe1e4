"""docs/measurements.md is what its script makes of the measured files."""

import importlib.util
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "measurements"


def test_page_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("render", FOLDER / "render.py")
    assert spec is not None and spec.loader is not None
    render = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(render)
    assert list(FOLDER.glob("*.json"))
    shown = FOLDER.with_suffix(".md").read_text()
    assert shown == render.page(), "run: python docs/measurements/render.py"
