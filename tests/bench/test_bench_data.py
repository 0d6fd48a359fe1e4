"""``bench data``: its figures are consistent, and it says what is missing."""

import io
import random
import sys
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.bench.data import MadeImages, run, table
from orchestrator.bench.peer_images import choose_crop
from orchestrator.errors import ArgumentError, DataError, MissingToolError


def test_figures_of_a_small_run() -> None:
    pytest.importorskip("torch", reason="torch is missing: pip install torch")
    result = run(images=3, rounds=2, size=32)
    for key in ("images_per_cpu_s", "images_per_s"):
        assert result[key] > 0
        assert result[f"peer_{key}"] > 0
    ratio = result["images_per_cpu_s"] / result["peer_images_per_cpu_s"]
    assert result["cpu_ratio"] == pytest.approx(ratio, rel=0.05)
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(table(result))
    text = console.export_text()
    assert "images per CPU second" in text
    assert "simplejpeg" in text and "Pillow" in text


def test_made_images_weigh_what_imagenets_do() -> None:
    images = MadeImages(2)
    assert 60_000 < len(images.read(0).content) < 150_000
    assert images.read(0).content != images.read(1).content


@pytest.mark.parametrize("package", ["torch", "PIL"])
def test_missing_peer_is_named(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        MissingToolError, match=rf"{package}.* is missing; pip install pillow torch"
    ):
        run(images=1, rounds=1)


@pytest.mark.parametrize("key", ["images", "rounds", "size"])
def test_nothing_to_measure(key: str) -> None:
    with pytest.raises(ArgumentError, match=f"{key} is 0, at least 1"):
        run(**{key: 0})


def test_missing_folder(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is missing: pip install torch")
    with pytest.raises(DataError, match="nowhere"):
        run(tmp_path / "nowhere")


def test_peers_crops_lie_inside() -> None:
    chance = random.Random(1)
    for width, height in ((500, 375), (10, 400), (1, 1)):
        for _ in range(50):
            left, top, w, h = choose_crop(width, height, chance)
            assert 0 <= left <= width - w and 0 <= top <= height - h and min(w, h) >= 1
