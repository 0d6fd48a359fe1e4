"""Safetensors files, streamed: one tensor in memory at a time, and a digest over every byte.

The file is the format of the safetensors project: the header's length as uint64, the header as
JSON (tensor name to element type, shape and byte range; text metadata), then the tensors one
after another, all little-endian. The library's own writer wants the whole file image as bytes
objects and cannot say how far it came when the disk fills up; this one writes tensor by tensor.

Where the metadata holds `DIGEST_KEY`, its value is the SHA-256 of header and tensors with the
digest itself taken as 64 zeros, so that a change of any byte of the file is found.
"""

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ArgumentError, CheckpointError
from orchestrator.train.disk import replacing

DIGEST_KEY = "regatta.sha256"
_BLANK = "0" * 64
_CHUNK = 1 << 22
_LONGEST_HEADER = 100_000_000
_BFLOAT16 = "BF16"

_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    _BFLOAT16: "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U8": "|u1",
    "BOOL": "|b1",
}
_CODES = {np.dtype(text): code for code, text in _DTYPES.items() if code != _BFLOAT16}


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorSource:
    """A tensor to be written: what the header says, and how to get the elements when needed."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    produce: Callable[[], NDArray[Any]]

    @property
    def n_bytes(self) -> int:
        """Size of the tensor in the file."""
        return math.prod(self.shape) * self.dtype.itemsize


def write_tensors(path: Path, tensors: Sequence[TensorSource], metadata: Mapping[str, str]) -> int:
    """Write a safetensors file as a whole and return its size in bytes.

    Tensors with wider elements come first, so that each starts at a multiple of its width;
    otherwise the given order holds. The digest is added to the metadata.

    Raises
    ------
    ArgumentError
        If a name is used twice, or a tensor is not what its source announced.
    RunError
        If the disk is full or the file cannot be written; an older file is untouched.
    """
    ordered = sorted(tensors, key=lambda source: -source.dtype.itemsize)
    header = _encode_header(ordered, {**metadata, DIGEST_KEY: _BLANK})
    total = 8 + len(header) + sum(source.n_bytes for source in ordered)
    digest = hashlib.sha256(header)
    with replacing(path, total) as file:
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        for source in ordered:
            array = np.asarray(source.produce(), source.dtype.newbyteorder("<"), order="C")
            if array.shape != source.shape:
                raise ArgumentError(
                    f"{source.name}: announced shape {source.shape}, got {array.shape}"
                )
            flat = array.reshape(-1).data
            file.write(flat)
            digest.update(flat)
        file.seek(8 + header.index(_BLANK.encode()))
        file.write(digest.hexdigest().encode())
    return total


def _encode_header(tensors: Sequence[TensorSource], metadata: Mapping[str, str]) -> bytes:
    """Return the JSON header, padded so that the tensors start at a multiple of 8 bytes."""
    # The digest goes first, where its place can be found without reading what users wrote.
    first = {DIGEST_KEY: metadata[DIGEST_KEY]}
    header: dict[str, Any] = {"__metadata__": {**first, **metadata}}
    begin = 0
    for source in tensors:
        if source.name in header:
            raise ArgumentError(f"{source.name}: two tensors have this name")
        end = begin + source.n_bytes
        header[source.name] = {
            "dtype": _CODES[source.dtype.newbyteorder("<")],
            "shape": list(source.shape),
            "data_offsets": [begin, end],
        }
        begin = end
    encoded = json.dumps(header, separators=(",", ":")).encode()
    return encoded + b" " * (-len(encoded) % 8)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Range:
    """Where a tensor lies in the file."""

    code: str
    shape: tuple[int, ...]
    begin: int


class TensorFile:
    """A safetensors file opened for reading: its header, checked; tensors are read on demand.

    Parameters
    ----------
    path : the file.

    Attributes
    ----------
    metadata : the header's text metadata.
    names : names of the tensors, in the order of the header.

    Raises
    ------
    CheckpointError
        If the file is missing, is not a safetensors file, is truncated, or has a damaged header.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _reading(path), open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            self._header = _read_header(path, file, size)
        header = _parse_header(path, self._header)
        self.metadata: dict[str, str] = header.pop("__metadata__", {})
        self._ranges = _ranges(path, header, 8 + len(self._header), size)
        self.names = tuple(self._ranges)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return self._ranges[name].shape

    def read(self, name: str) -> NDArray[Any]:
        """Return a tensor as a new array; bfloat16 becomes float32, which holds it exactly."""
        place = self._ranges[name]
        count = math.prod(place.shape)
        with _reading(self.path):
            flat: NDArray[Any] = np.fromfile(
                self.path, _DTYPES[place.code], count=count, offset=place.begin
            )
        if place.code == _BFLOAT16:
            flat = (flat.astype(np.uint32) << 16).view(np.float32)
        return flat.reshape(place.shape)

    def verify(self) -> None:
        """Compare the file with its digest.

        Raises
        ------
        CheckpointError
            If the file has no digest, or does not match it.
        """
        stored = self.metadata.get(DIGEST_KEY)
        if stored is None:
            raise CheckpointError(f"{self.path}: holds no {DIGEST_KEY}: not a Regatta checkpoint")
        digest = hashlib.sha256(self._header.replace(stored.encode(), _BLANK.encode(), 1))
        with _reading(self.path), open(self.path, "rb") as file:
            file.seek(8 + len(self._header))
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        if digest.hexdigest() != stored:
            raise CheckpointError(
                f"{self.path}: damaged: its content has SHA-256 {digest.hexdigest()[:16]}..., "
                f"but {stored[:16]}... was written; use another checkpoint"
            )


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn the operating system's errors while reading `path` into a CheckpointError."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error


def _read_header(path: Path, file: BinaryIO, size: int) -> bytes:
    """Return the raw header, or say why the file has none."""
    start = file.read(8)
    if start[:4] in (b"PK\x03\x04", b"\x80\x02\x8a\x0a"):
        raise CheckpointError(
            f"{path}: a PyTorch pickle file, not a safetensors file; pickles are never loaded: "
            "convert it with safetensors.torch.save_file"
        )
    if len(start) < 8:
        raise CheckpointError(f"{path}: truncated: the file has {size} bytes")
    length = int.from_bytes(start, "little")
    first = file.read(1)
    if length > _LONGEST_HEADER or first not in (b"{", b""):
        raise CheckpointError(
            f"{path}: not a safetensors file (or its first bytes are damaged): "
            f"the header would be {length:,} bytes long and start with {first!r}"
        )
    header = first + file.read(length - 1) if length else b""
    if len(header) < length:
        raise CheckpointError(
            f"{path}: truncated: the header needs {8 + length:,} bytes, the file has {size:,}"
        )
    return header


def _parse_header(path: Path, raw: bytes) -> dict[str, Any]:
    """Return the header as a dictionary whose metadata maps text to text."""
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: damaged: the header is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{path}: damaged: the header is not a JSON object")
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise CheckpointError(f"{path}: damaged: the header's metadata is not text")
    return header


def _ranges(path: Path, header: dict[str, Any], data: int, size: int) -> dict[str, _Range]:
    """Check every tensor's entry, and that together they cover the file exactly."""
    ranges = {}
    covered = 0
    for name, entry in header.items():
        try:
            code = entry["dtype"]
            shape = tuple(int(extent) for extent in entry["shape"])
            begin, end = (int(offset) for offset in entry["data_offsets"])
        except (TypeError, KeyError, ValueError) as error:
            raise CheckpointError(
                f"{path}: damaged: the header's entry of tensor {name!r} is incomplete"
            ) from error
        if code not in _DTYPES:
            raise CheckpointError(
                f"{path}: tensor {name!r} has element type {code!r}; "
                f"allowed are {', '.join(_DTYPES)}"
            )
        n_bytes = math.prod(shape) * np.dtype(_DTYPES[code]).itemsize
        if begin < 0 or end - begin != n_bytes or min(shape, default=0) < 0:
            raise CheckpointError(
                f"{path}: damaged: tensor {name!r} of {n_bytes:,} bytes has {end - begin:,}"
            )
        covered = max(covered, end)
        ranges[name] = _Range(code=code, shape=shape, begin=data + begin)
    if data + covered > size:
        raise CheckpointError(
            f"{path}: truncated: {data + covered:,} bytes are announced, the file has {size:,}"
        )
    if data + covered < size:
        raise CheckpointError(
            f"{path}: damaged: {data + covered:,} bytes are announced, the file has {size:,}"
        )
    return ranges
