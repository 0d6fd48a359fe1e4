"""Pages of docs/ that scripts write are what the scripts make today."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
SCRIPTS = sorted(DOCS.glob("*/render.py"))


def test_scripts_are_found():
    assert {"accuracy", "exchange", "machine", "measurements", "spinnaker-resnet50"} <= {
        s.parent.name for s in SCRIPTS
    }


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.parent.name)
def test_page_is_up_to_date(script):
    name = script.parent.name
    spec = importlib.util.spec_from_file_location(f"render_{name}", script)
    assert spec is not None and spec.loader is not None
    render = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(render)
    shown = script.parent.with_suffix(".md").read_text(encoding="utf-8")
    assert shown == render.page(), f"run: python docs/{name}/render.py"
