"""docs/configuration.md says what the schema says."""

from pathlib import Path

from orchestrator.config.reference import reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


def test_the_page_is_up_to_date():
    renew = "renew it: python -m orchestrator.config.reference > docs/configuration.md"
    assert PAGE.read_text(encoding="utf-8") == reference(), renew


def test_every_key_has_a_meaning_of_one_line():
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 70
    assert all(row.count("|") == 5 and row.split("|")[4].strip() for row in rows)
