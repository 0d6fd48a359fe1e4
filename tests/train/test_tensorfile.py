import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from safetensors.torch import save_file

from orchestrator.errors import ArgumentError, CheckpointError
from orchestrator.train.tensorfile import DIGEST_KEY, TensorFile, TensorSource, write_tensors


def source(name: str, array: np.ndarray) -> TensorSource:
    return TensorSource(name=name, shape=array.shape, dtype=array.dtype, produce=lambda: array)


ARRAYS = {
    "b": np.arange(5, dtype=np.int8),
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "scalar": np.array(7, np.int64),
    "empty": np.empty((0, 3), np.float32),
}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "t.safetensors"
    size = write_tensors(path, [source(*item) for item in ARRAYS.items()], {"note": 'ü "quoted"'})
    assert path.stat().st_size == size
    return path


def test_the_library_reads_what_we_write(written: Path) -> None:
    loaded = safetensors.numpy.load_file(written)
    assert loaded.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == array.dtype


def test_we_read_what_we_write(written: Path) -> None:
    file = TensorFile(written)
    file.verify()
    assert file.metadata["note"] == 'ü "quoted"'
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(file.read(name), array)
        assert file.read(name).shape == file.shape(name) == array.shape


def test_we_read_what_the_library_writes(tmp_path: Path) -> None:
    path = tmp_path / "torch.safetensors"
    values = {
        "half": torch.tensor([1.5, -2.25], dtype=torch.float16),
        "brain": torch.tensor([[1.0, 3.140625]], dtype=torch.bfloat16),
        "double": torch.tensor(0.1, dtype=torch.float64),
    }
    save_file(values, path, {"format": "pt"})
    file = TensorFile(path)
    assert file.metadata == {"format": "pt"}
    for name, value in values.items():
        np.testing.assert_array_equal(file.read(name), value.double().numpy())
    with pytest.raises(CheckpointError, match="not a Regatta checkpoint"):
        file.verify()


def test_every_flipped_bit_is_found(written: Path) -> None:
    good = written.read_bytes()
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 1 << (position % 8)
        written.write_bytes(bad)
        with pytest.raises(CheckpointError):
            TensorFile(written).verify()


def test_every_truncation_is_found(written: Path) -> None:
    good = written.read_bytes()
    for size in range(len(good)):
        written.write_bytes(good[:size])
        with pytest.raises(CheckpointError, match="truncated"):
            TensorFile(written)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "truncated: the file has 0 bytes"),
        (b"rubbish", "truncated: the file has 7 bytes"),
        (b"hello, this is some text that is no checkpoint", "not a safetensors file"),
        (b"PK\x03\x04" + b"\0" * 60, "pickle"),
        (b"\x80\x02\x8a\x0a" + b"\0" * 60, "pickle"),
        ((8).to_bytes(8, "little") + b"{broken}", "not JSON"),
        ((2).to_bytes(8, "little") + b"{}" + b"junk", "damaged"),
        ((16).to_bytes(8, "little") + b'{"a":{"dtype":1}', "not JSON"),
        ((17).to_bytes(8, "little") + b'{"a":{"dtype":1}}', "incomplete"),
        ((30).to_bytes(8, "little") + b'{"__metadata__":{"format":1}}  ', "metadata is not text"),
    ],
)
def test_what_is_no_tensor_file_says_so(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        TensorFile(path)


def test_entries_must_cover_their_shape(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    for offsets in ([0, 8], [4, 0], [-4, 8]):
        entry = {"a": {"dtype": "F32", "shape": [3], "data_offsets": offsets}}
        header = json.dumps(entry).encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 12)
        with pytest.raises(CheckpointError, match="damaged"):
            TensorFile(path)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone: cannot be read: No such file"):
        TensorFile(tmp_path / "gone")
    with pytest.raises(CheckpointError, match="cannot be read"):
        TensorFile(tmp_path)


def test_a_tensor_must_be_what_was_announced(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    wrong = TensorSource(
        name="a", shape=(2,), dtype=np.dtype(np.int32), produce=lambda: np.zeros(3, np.int32)
    )
    with pytest.raises(ArgumentError, match=r"announced shape \(2,\), got \(3,\)"):
        write_tensors(path, [wrong], {})
    with pytest.raises(ArgumentError, match="two tensors"):
        write_tensors(path, [source("a", np.zeros(1))] * 2, {})
    assert list(tmp_path.iterdir()) == []


def test_the_digest_covers_the_metadata(written: Path) -> None:
    content = written.read_bytes()
    written.write_bytes(content.replace(b"quoted", b"quotes"))
    with pytest.raises(CheckpointError, match="damaged: its content has SHA-256"):
        TensorFile(written).verify()
    assert DIGEST_KEY in TensorFile(written).metadata
