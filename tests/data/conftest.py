"""Small JPEGs and data sets made of them."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

MakeJpeg = Callable[..., bytes]
WriteTar = Callable[..., Path]


@pytest.fixture(scope="session")
def jpeg() -> MakeJpeg:
    """Make a JPEG: flat areas of colours that depend on ``number``."""

    def make(number: int = 0, height: int = 24, width: int = 32) -> bytes:
        rng = np.random.default_rng(number)
        tiles = rng.integers(0, 256, (-(-height // 8), -(-width // 8), 3), np.uint8)
        pixels = tiles.repeat(8, 0).repeat(8, 1)[:height, :width]
        return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=90)

    return make


@pytest.fixture
def folder(tmp_path: Path, jpeg: MakeJpeg) -> Path:
    """An image folder: train with 3 classes of 4 images, val with 2 images of each."""
    number = 0
    for split, count in (("train", 4), ("val", 2)):
        for name in ("cat", "ant", "bee"):
            place = tmp_path / "images" / split / name
            place.mkdir(parents=True)
            for image in range(count):
                number += 1
                (place / f"{image}.jpg").write_bytes(jpeg(number))
    return tmp_path / "images"


@pytest.fixture(scope="session")
def write_tar() -> WriteTar:
    """Write a tar archive of some files."""

    def write(path: Path, files: dict[str, bytes], mode: str = "w", **options: int) -> Path:
        with tarfile.open(path, mode, **options) as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return path

    return write
