"""TFRecord shards written by the test from the format's description; damage found by checksum."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.data.crc32c import crc32c, masked_crc32c
from orchestrator.data.tfrecord import TFRecords, parse_example
from orchestrator.errors import DataError


def slow_crc32c(content: bytes) -> int:
    """The definition: a shift register with the reflected polynomial, bit by bit."""
    state = 0xFFFFFFFF
    for byte in content:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("content", "crc"),
    [
        (b"", 0),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
    ],
)
def test_crc32c_of_the_standard(content: bytes, crc: int) -> None:
    assert crc32c(content) == crc


@given(st.integers(0, 2000), st.randoms(use_true_random=False))
def test_crc32c_in_blocks_is_the_definition(size: int, random) -> None:
    content = random.randbytes(size)
    assert crc32c(content) == slow_crc32c(content)


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def message(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def example(image: bytes | None, label: int | None, packed: bool = True) -> bytes:
    features = {"image/format": message(1, message(1, b"JPEG"))}
    features["image/object/bbox"] = message(2, message(1, struct.pack("<2f", 1, 2)))
    if image is not None:
        features["image/encoded"] = message(1, message(1, image))
    if label is not None:
        value = message(1, varint(label)) if packed else b"\x08" + varint(label)
        features["image/class/label"] = message(3, value)
    entries = [message(1, message(1, k.encode()) + message(2, v)) for k, v in features.items()]
    return message(1, b"".join(entries))


def write_shard(path: Path, examples: list[bytes]) -> None:
    records = []
    for content in examples:
        length = struct.pack("<Q", len(content))
        for part in (length, content):
            records += [part, struct.pack("<I", masked_crc32c(part))]
    path.write_bytes(b"".join(records))


def test_records_of_all_shards(tmp_path: Path, jpeg) -> None:
    images = [jpeg(i) for i in range(3)]
    write_shard(tmp_path / "train-00000-of-00002", [example(images[0], 1), example(images[1], 3)])
    write_shard(tmp_path / "train-00001-of-00002", [example(images[2], 2, packed=False)])
    data = TFRecords(tmp_path, "train", 3)
    assert len(data) == 3
    assert [(data.read(i).content, data.read(i).label) for i in range(3)] == [
        (images[0], 0),
        (images[1], 2),
        (images[2], 1),
    ]
    assert data.name(1) == f"{tmp_path}/train-00000-of-00002:record 1" == data.read(1).name


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (example(b"x", None), "image/class/label expected, found: image/encoded, image/format"),
        (example(None, 1), "features image/encoded and"),
        (example(b"x", 0), "image/class/label is 0; model.classes allows 1 to 3"),
        (example(b"x", 4), "image/class/label is 4"),
        (example(b"x", -1), "image/class/label is -1"),
        (b"\xff" * 20, "record 0: not a tf.train.Example"),
        (b"", "found: none"),
    ],
)
def test_records_of_another_kind(tmp_path: Path, content: bytes, expected: str) -> None:
    write_shard(tmp_path / "train-0", [content])
    with pytest.raises(DataError, match=expected):
        TFRecords(tmp_path, "train", 3).read(0)


def test_damage_is_found_by_checksum(tmp_path: Path) -> None:
    path = tmp_path / "train-0"
    write_shard(path, [example(b"x" * 1000, 1), example(b"y" * 1000, 1)])
    whole = path.read_bytes()
    data = TFRecords(tmp_path, "train", 3)
    path.write_bytes(whole[:500] + bytes([whole[500] ^ 1]) + whole[501:])
    with pytest.raises(DataError, match=r"train-0:record 0: wrong checksum"):
        data.read(0)
    assert data.read(1).label == 0
    path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    with pytest.raises(DataError, match=r"train-0: record 0: wrong checksum of its length"):
        TFRecords(tmp_path, "train", 3)
    for end in (5, 500, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match=r"train-0: record \d is cut off: truncated"):
            TFRecords(tmp_path, "train", 3)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="train-0: an empty shard"):
        TFRecords(tmp_path, "train", 3)


@given(st.binary(max_size=200))
def test_any_bytes_parse_or_raise_a_data_error(content: bytes) -> None:
    try:
        parse_example(content, "noise")
    except DataError as error:
        assert str(error).startswith("noise: not a tf.train.Example")


@given(st.data())
def test_damaged_example_parses_or_raises_a_data_error(data: st.DataObject) -> None:
    content = bytearray(example(b"image", 5))
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        parse_example(bytes(content), "noise")
    except DataError as error:
        assert str(error).startswith("noise: not a tf.train.Example")
