"""The page on building models is a program that runs."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "building-models.md"


def test_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 10
    exec(compile("\n".join(blocks), str(PAGE), "exec"), {})
    assert (tmp_path / "digits.safetensors").is_file()
    assert "sequential" in capsys.readouterr().out
