import struct

import pytest

from orchestrator.boards.hardware.image import loadable
from orchestrator.errors import ArgumentError
from orchestrator.virtual.elf import Segment
from orchestrator.virtual.image import aplx


def part(address, data):
    return Segment(address, data, len(data))


END = struct.pack("<4I", 0xFFFFFFFF, 0, 0, 0)
ARM = b"\x00\x00\xa0\xe1"  # mov r0, r0


def test_an_image_is_whole_words():
    assert loadable(ARM * 3 + b"\1") == ARM * 3 + b"\1\0\0\0"


def test_a_built_image_passes():
    image = aplx((part(0, ARM * 1000), part(0x400000, b"data" * 8)))
    assert loadable(image) == image


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"", "empty"),
        (ARM * 65537, "262148 bytes: a chip's load area takes 262144"),
        (ARM * 8192, "32768 bytes at 0x00000000: a core's instruction memory takes 32512"),
        (aplx((part(0x7000, ARM * 1000),)), "4000 bytes at 0x00007000"),
        (aplx((part(0x40F000, ARM * 1100),)), "0x0040f000: a core's data memory takes 65536"),
        (struct.pack("<4I", 3, 0x400000, 0x10004, 0) + END, "65540 bytes at 0x00400000"),
        (struct.pack("<4I", 1, 0, 64, 32), "no end"),
    ],
)
def test_images_that_a_core_cannot_take_are_refused(image, message):
    with pytest.raises(ArgumentError, match=message):
        loadable(image)


def test_parts_outside_a_core_may_be_of_any_size():
    entry = struct.pack("<4I", 3, 0x60240000, 1 << 20, 0)
    assert loadable(entry + END) == entry + END
