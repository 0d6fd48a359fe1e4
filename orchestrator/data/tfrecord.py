"""ImageNet as TFRecord shards: records of ``tf.train.Example`` with an image and a label from 1.

A record is: length uint64, masked CRC-32C of the length, the bytes, masked CRC-32C of the bytes;
little-endian. An Example is a protocol buffer: field 1 (features) holds entries of field 1 (map),
each with a name (1) and a Feature (2), which holds a list of bytes (1), floats (2) or integers (3)
in its field 1.

References ---------- https://www.tensorflow.org/tutorials/load_data/tfrecord,
https://protobuf.dev/programming-guides/encoding
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from orchestrator.data.base import Encoded
from orchestrator.data.crc32c import masked_crc32c
from orchestrator.data.shards import find_shards
from orchestrator.data.tar import read_at
from orchestrator.errors import DataError

IMAGE: Final = "image/encoded"
LABEL: Final = "image/class/label"
_HEAD: Final = 12
_FOOT: Final = 4

Field = tuple[int, bytes | int]


class TFRecords:
    """One split of TFRecord shards, indexed once (lengths only) and read in place.

    Parameters
    ----------
    root
        Directory of the shards, ``train-00000-of-01024`` and so on.
    split
        See `find_shards`.
    classes
        Number of classes; labels in the shards are 1 to this.

    Raises
    ------
    DataError
        A shard is missing, empty or damaged.
    """

    def __init__(self, root: Path, split: str, classes: int) -> None:
        self.classes = tuple(str(label) for label in range(classes))
        self._paths = find_shards(root, split, "")
        places: list[tuple[int, int, int, int]] = []
        for number, path in enumerate(self._paths):
            records = enumerate(index_records(path))
            places += [(number, order, offset, size) for order, (offset, size) in records]
        self._places = np.array(places, np.int64)

    def __len__(self) -> int:
        return len(self._places)

    def name(self, index: int) -> str:
        """Return the shard's path and the record's number in it, from 0."""
        number, order = self._places[index, :2]
        return f"{self._paths[number]}:record {order}"

    def read(self, index: int) -> Encoded:
        """Read and check one record."""
        number, _, offset, size = self._places[index].tolist()
        name = self.name(index)
        record = read_at(self._paths[number], offset, size + _FOOT)
        content = record[:size]
        if masked_crc32c(content) != int.from_bytes(record[size:], "little"):
            raise DataError(f"{name}: wrong checksum: the shard is damaged")
        features = parse_example(content, name)
        image, label = features.get(IMAGE), features.get(LABEL)
        if not isinstance(image, bytes) or not isinstance(label, int):
            found = ", ".join(sorted(features)) or "none"
            raise DataError(f"{name}: features {IMAGE} and {LABEL} expected, found: {found}")
        if not 1 <= label <= len(self.classes):
            raise DataError(
                f"{name}: {LABEL} is {label}; model.classes allows 1 to {len(self.classes)}"
            )
        return Encoded(image, label - 1, name)


def index_records(path: Path) -> list[tuple[int, int]]:
    """Return offset and size, in bytes, of each record's content.

    Raises
    ------
    DataError
        The file is empty, truncated, or a length does not match its checksum.
    """
    places: list[tuple[int, int]] = []
    try:
        with path.open("rb", buffering=0) as shard:
            total = os.fstat(shard.fileno()).st_size
            offset = 0
            while offset < total:
                head = os.pread(shard.fileno(), _HEAD, offset)
                size = _record_size(head, path, len(places))
                end = offset + _HEAD + size + _FOOT
                if end > total:
                    raise DataError(f"{path}: record {len(places)} is cut off: truncated")
                places.append((offset + _HEAD, size))
                offset = end
    except OSError as cause:
        raise DataError(f"{path}: cannot read the shard: {cause.strerror}") from cause
    if not places:
        raise DataError(f"{path}: an empty shard, expected TFRecords")
    return places


def _record_size(head: bytes, path: Path, number: int) -> int:
    if len(head) < _HEAD:
        raise DataError(f"{path}: record {number} is cut off: truncated")
    size, check = struct.unpack("<QI", head)
    if masked_crc32c(head[:8]) != check:
        raise DataError(
            f"{path}: record {number}: wrong checksum of its length: no TFRecord file, or damaged"
        )
    return int(size)


def parse_example(content: bytes, name: str) -> dict[str, bytes | int]:
    """Return the first value of each bytes or integer feature of a ``tf.train.Example``.

    Raises
    ------
    DataError
        The bytes are not an Example; the message begins with ``name``.
    """
    features: dict[str, bytes | int] = {}
    try:
        for entry in _children(content, 1, 1):
            parts = dict(_fields(entry))
            key, feature = parts.get(1), parts.get(2, b"")
            if not isinstance(key, bytes) or not isinstance(feature, bytes):
                raise ValueError("a feature without name or value")
            value = _first_value(feature)
            if value is not None:
                features[key.decode()] = value
    except (ValueError, IndexError) as cause:
        raise DataError(f"{name}: not a tf.train.Example: {cause}") from cause
    return features


def _first_value(feature: bytes) -> bytes | int | None:
    for kind, body in _fields(feature):
        if not isinstance(body, bytes):
            raise ValueError("a feature of unknown kind")
        for number, value in _fields(body):
            if kind == 3 and number == 1:
                return _signed(_varint(value, 0)[0] if isinstance(value, bytes) else value)
            if kind == 1 and number == 1:
                return value
    return None


def _children(content: bytes, *path: int) -> Iterator[bytes]:
    """Yield the messages found by following field numbers inwards."""
    for number, value in _fields(content):
        if number != path[0]:
            continue
        if not isinstance(value, bytes):
            raise ValueError(f"field {number} is not a message")
        if len(path) == 1:
            yield value
        else:
            yield from _children(value, *path[1:])


def _fields(content: bytes) -> Iterator[Field]:
    """Yield number and value of each field: an int for varints, bytes for all others."""
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(content, at)
            yield tag >> 3, value
            continue
        if kind not in (1, 2, 5):
            raise ValueError(f"wire type {kind}")
        size = {1: 8, 5: 4}.get(kind, 0)
        if kind == 2:
            size, at = _varint(content, at)
        if at + size > len(content):
            raise ValueError("a field longer than its message")
        yield tag >> 3, content[at : at + size]
        at += size


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """Return the number at ``at``, 7 bits a byte, and where it ends."""
    value = shift = 0
    while True:
        if at >= len(content) or shift > 63:
            raise ValueError("a number that does not end")
        value |= (content[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if content[at - 1] < 128:
            return value, at


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value
