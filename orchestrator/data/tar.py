"""Reading tar archives where they lie: an index of members once, their bytes by offset afterwards.

Written here because ``tarfile`` takes seconds and a hundred megabytes of objects for an archive of
60,000 small images; this reader needs neither, and may be read from several threads at once.
"""

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from orchestrator.errors import DataError

BLOCK: Final = 512
COMPRESSED: Final = (".tar.gz", ".tgz")
SUFFIXES: Final = (".tar", *COMPRESSED)
_FILE_TYPES: Final = b"0\x007"
_LINK_TYPES: Final = b"12"


class Member(NamedTuple):
    """A file or folder of an archive; ``offset`` and ``size`` are bytes, uncompressed."""

    name: str
    offset: int
    size: int
    is_folder: bool


def is_archive(path: Path) -> bool:
    """Tell whether the name of ``path`` is that of an archive this module reads."""
    return path.name.lower().endswith(SUFFIXES)


def _number(field: bytes, path: Path) -> int:
    """Decode a header's number: octal text, or base 256 for files of 8 GiB and more."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    text = field.strip(b" \0")
    try:
        return int(text, 8) if text else 0
    except ValueError as cause:
        raise DataError(f"{path}: not a tar archive, or damaged: number {text!r}") from cause


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _pax(content: bytes, path: Path) -> dict[str, str]:
    """Decode a pax header: records of length, space, key, equals sign, value, newline."""
    records = {}
    while content:
        head, _, _ = content.partition(b" ")
        length = int(head) if head.isdigit() else 0
        key, equals, value = content[len(head) + 1 : length - 1].partition(b"=")
        if not 0 < length <= len(content) or not equals:
            raise DataError(f"{path}: damaged pax header {content[:40]!r}")
        records[_text(key)] = value.decode("utf-8", "surrogateescape")
        content = content[length:]
    return records


def _take(stream: BinaryIO, count: int, path: Path) -> bytes:
    content = stream.read(count)
    if len(content) < count:
        raise DataError(f"{path}: the archive ends in the middle of a member: it is truncated")
    return content


def _header(stream: BinaryIO, path: Path) -> bytes | None:
    """Read the next header block, None at the archive's end."""
    block = stream.read(BLOCK)
    if len(block) < BLOCK:
        raise DataError(f"{path}: the archive has no end mark: it is truncated, or not a tar file")
    if not any(block):
        return None
    expected = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    if _number(block[148:156], path) != expected:
        raise DataError(f"{path}: not a tar archive, or damaged: wrong header checksum")
    return block


def read_members(stream: BinaryIO, path: Path) -> Iterator[Member]:
    """Yield the files and folders of the archive in ``stream``, in order.

    After a yield the stream stands at the member's content; the consumer may read up to ``size``
    bytes of it.

    Raises
    ------
    DataError
        ``stream`` is not a tar archive, is truncated or holds a link (links have no content of
        their own).
    """
    extended: dict[str, str] = {}
    while (block := _header(stream, path)) is not None:
        size = _number(block[124:136], path)
        kind = block[156:157]
        if kind in (b"x", b"g", b"L", b"K"):
            content = _take(stream, -(-size // BLOCK) * BLOCK, path)[:size]
            if kind == b"x":
                extended |= _pax(content, path)
            elif kind == b"L":
                extended["path"] = _text(content)
            continue
        prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else ""
        name = extended.get("path") or (f"{prefix}/" if prefix else "") + _text(block[:100])
        size = int(extended.get("size", size))
        extended = {}
        name = name.removeprefix("./").rstrip("/")
        if kind not in (b"5", *(_FILE_TYPES[i : i + 1] for i in range(len(_FILE_TYPES)))):
            what = "a link" if kind in _LINK_TYPES else f"of type {kind!r}"
            raise DataError(f"{path}: member {name} is {what}; only files and folders are read")
        start = stream.tell()
        yield Member(name, start, size, kind == b"5")
        stream.seek(start + -(-size // BLOCK) * BLOCK)


class Archive:
    """The members of a tar archive under one folder, with their bytes.

    A plain archive is read in place by offset. A compressed one is decompressed once; the bytes of
    the wanted members, and only those, stay in memory.

    Parameters
    ----------
    path
        A ``.tar``, ``.tar.gz`` or ``.tgz`` file.
    folder
        Only members below this folder; "" for all.

    Raises
    ------
    DataError
        The file is missing, truncated or not an archive.
    """

    def __init__(self, path: Path, folder: str = "") -> None:
        self._path = path
        self._memory: bytes | None = None
        self.members: list[Member] = []
        self.top_folders: set[str] = set()
        try:
            if path.name.lower().endswith(COMPRESSED):
                self._load(folder)
            else:
                self._index(folder)
        except (OSError, EOFError, zlib.error) as cause:
            raise DataError(f"{path}: cannot read the archive: {cause}") from cause

    def _wanted(self, member: Member, folder: str) -> bool:
        self.top_folders.add(member.name.split("/", 1)[0])
        return not folder or member.name.startswith(f"{folder}/")

    def _index(self, folder: str) -> None:
        total = self._path.stat().st_size
        with self._path.open("rb", buffering=0) as stream:
            for member in read_members(stream, self._path):
                if member.offset + member.size > total:
                    raise DataError(f"{self._path}: member {member.name} is cut off: truncated")
                if self._wanted(member, folder):
                    self.members.append(member)

    def _load(self, folder: str) -> None:
        kept = bytearray()
        with gzip.open(self._path) as compressed, io.BufferedReader(compressed) as stream:
            for member in read_members(stream, self._path):
                if self._wanted(member, folder):
                    self.members.append(member._replace(offset=len(kept)))
                    kept += _take(stream, member.size, self._path)
        self._memory = bytes(kept)

    def read(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes at a member's ``offset``; raise DataError if they are not there."""
        if self._memory is not None:
            return self._memory[offset : offset + size]
        return read_at(self._path, offset, size)


def read_at(path: Path, offset: int, size: int) -> bytes:
    """Return ``size`` bytes of a file from ``offset``.

    The file is opened for each read: a data set of a thousand shards would otherwise hold a
    thousand descriptors.

    Raises
    ------
    DataError
        The file cannot be read, or ends before.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            content = os.pread(descriptor, size, offset)
        finally:
            os.close(descriptor)
    except OSError as cause:
        raise DataError(f"{path}: cannot read: {cause.strerror}") from cause
    if len(content) != size:
        raise DataError(f"{path}: {len(content)} of {size} bytes at offset {offset}: truncated")
    return content
