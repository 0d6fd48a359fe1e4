"""JPEG bytes to pixels, by one decoder with pinned options.

The decoded pixel is where the promise of equal bits begins, so the options that change pixels are
fixed here: the accurate integer DCT and smooth chroma upsampling of libjpeg-turbo.
`decoder_version` goes into checkpoints.
"""

from typing import Final

import numpy as np
import simplejpeg

from orchestrator.data.base import Encoded, Pixels
from orchestrator.errors import DataError

MAX_PIXELS: Final = 1 << 27
"""Largest image decoded; a damaged header must not ask for all memory."""

RESIZE_VERSION: Final = 1
"""Number of the arithmetic in `orchestrator.data.resize`; raised when its pixels change."""

_OTHER_FORMATS: Final = (
    (b"\x89PNG", "PNG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"RIFF", "WebP or other RIFF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
)


def decoder_version() -> str:
    """Return what decides a JPEG's pixels: the versions of the decoder and of the resize."""
    return f"simplejpeg {simplejpeg.__version__}, resize {RESIZE_VERSION}"


def decode(sample: Encoded, channels: int) -> Pixels:
    """Return a sample's pixels, uint8 [height, width, channels].

    Grey images become ``channels`` equal channels; colour images become grey by the JPEG's own
    luma; CMYK images become RGB.

    Parameters
    ----------
    sample
        JPEG bytes or pixels.
    channels
        1 or 3; with pixels as content also any number they have.

    Raises
    ------
    DataError
        The bytes are not a whole JPEG, or the channels cannot be converted. The message holds the
        sample's name.
    """
    if isinstance(sample.content, bytes):
        return _decode_jpeg(sample.content, sample.name, channels)
    pixels = sample.content
    if pixels.shape[2] == channels:
        return pixels
    if pixels.shape[2] == 1:
        return np.repeat(pixels, channels, axis=2)
    raise DataError(
        f"{sample.name}: image of {pixels.shape[2]} channels, the network takes {channels}"
    )


def _decode_jpeg(content: bytes, name: str, channels: int) -> Pixels:
    if channels not in (1, 3):
        raise DataError(f"{name}: a JPEG gives 1 or 3 channels, model.channels is {channels}")
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(content)
        if height * width > MAX_PIXELS:
            raise DataError(f"{name}: {width} x {height} pixels; at most {MAX_PIXELS} are decoded")
        pixels: Pixels = simplejpeg.decode_jpeg(
            content, "RGB" if channels == 3 else "GRAY", fastdct=False, fastupsample=False
        )
    except ValueError as cause:
        raise DataError(f"{name}: {_reason(content, str(cause))}") from cause
    return pixels


def _reason(content: bytes, said: str) -> str:
    """Return what is wrong with bytes the decoder refused."""
    if not content:
        return "an empty file, expected a JPEG"
    for magic, kind in _OTHER_FORMATS:
        if content.startswith(magic):
            return f"a {kind} file by its content, expected a JPEG: convert it"
    if not content.startswith(b"\xff\xd8"):
        return "not a JPEG by its content"
    return f"a damaged or truncated JPEG ({said})"
