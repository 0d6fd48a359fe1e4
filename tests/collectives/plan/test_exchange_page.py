"""docs/exchange.md is what its script makes."""

import importlib.util
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "exchange"


def test_page_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("render_exchange", FOLDER / "render.py")
    assert spec is not None and spec.loader is not None
    render = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(render)
    shown = FOLDER.with_suffix(".md").read_text(encoding="utf-8")
    assert shown == render.page(), "run: python docs/exchange/render.py"
