"""Decoding: colour spaces, pinned options, and what is said of bytes that are no JPEG."""

import io

import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from orchestrator.data.base import Encoded
from orchestrator.data.decode import decode, decoder_version
from orchestrator.errors import DataError

RGB = np.random.default_rng(3).integers(0, 256, (5, 6, 3), np.uint8).repeat(8, 0).repeat(8, 1)


def saved(pixels: np.ndarray, mode: str, **options: object) -> Encoded:
    file = io.BytesIO()
    Image.frombytes(mode, pixels.shape[1::-1], pixels.tobytes()).save(file, "JPEG", **options)
    return Encoded(file.getvalue(), 0, "some/image.jpg")


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_colour_is_pillows_within_rounding(subsampling: str) -> None:
    sample = saved(RGB, "RGB", quality=85, subsampling=subsampling)
    peer = np.asarray(Image.open(io.BytesIO(sample.content)).convert("RGB"))
    ours = decode(sample, 3)
    assert ours.dtype == np.uint8
    assert np.abs(ours.astype(int) - peer).max() <= 1


def test_grey_and_colour_convert_both_ways() -> None:
    grey = decode(saved(RGB[..., 0].copy(), "L", quality=95), 3)
    assert grey.shape == RGB.shape
    assert (grey == grey[..., :1]).all()
    assert decode(saved(RGB, "RGB", quality=95), 1).shape == (*RGB.shape[:2], 1)


def test_cmyk_becomes_rgb() -> None:
    cmyk = np.zeros((16, 16, 4), np.uint8)
    cmyk[:] = (200, 100, 0, 30)
    plain = saved(cmyk, "CMYK", quality=100)
    peer = np.asarray(Image.open(io.BytesIO(plain.content)).convert("RGB"))
    assert np.abs(decode(plain, 3).astype(int) - peer).max() <= 3
    inverted = np.ascontiguousarray(255 - cmyk)
    ycck = simplejpeg.encode_jpeg(inverted, quality=100, colorspace="CMYK")
    assert np.abs(decode(Encoded(ycck, 0, "ycck.jpg"), 3).astype(int) - peer).max() <= 6


def test_pixels_pass_and_grow_channels() -> None:
    grey = RGB[..., :1]
    assert decode(Encoded(grey, 0, "x"), 1) is grey
    assert (decode(Encoded(grey, 0, "x"), 3) == grey).all()
    with pytest.raises(DataError, match="x: image of 3 channels, the network takes 1"):
        decode(Encoded(RGB, 0, "x"), 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file, expected a JPEG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "a PNG file by its content, expected a JPEG: convert"),
        (b"<html>", "not a JPEG by its content"),
        (b"\xff\xd8\xff", "a damaged or truncated JPEG"),
    ],
)
def test_other_bytes_are_described(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=f"some/image.jpg: {message}"):
        decode(Encoded(content, 0, "some/image.jpg"), 3)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.99])
def test_truncated_jpeg_is_named(share: float) -> None:
    whole = saved(RGB, "RGB", quality=95).content
    with pytest.raises(DataError, match=r"a.jpg: a damaged or truncated JPEG \("):
        decode(Encoded(whole[: int(len(whole) * share)], 0, "a.jpg"), 3)


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=5))
def test_any_damage_gives_pixels_or_a_data_error(changes: list[tuple[int, int]]) -> None:
    content = bytearray(saved(RGB, "RGB", quality=60).content)
    for place, value in changes:
        content[place % len(content)] = value
    try:
        assert decode(Encoded(bytes(content), 0, "a.jpg"), 3).shape[2] == 3
    except DataError as error:
        assert str(error).startswith("a.jpg: ")


def test_header_that_asks_for_all_memory() -> None:
    content = bytearray(saved(RGB, "RGB").content)
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = b"\xfd\xe8\xfd\xe8"
    with pytest.raises(DataError, match="65000 x 65000 pixels; at most"):
        decode(Encoded(bytes(content), 0, "a.jpg"), 3)


def test_channels_a_jpeg_cannot_give() -> None:
    with pytest.raises(DataError, match=r"1 or 3 channels, model.channels is 4"):
        decode(saved(RGB, "RGB"), 4)


def test_version_names_the_decoder() -> None:
    assert decoder_version().startswith(f"simplejpeg {simplejpeg.__version__}, resize ")
