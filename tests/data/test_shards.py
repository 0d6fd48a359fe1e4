"""Shard names: patterns, folders, prefixes, and missing shards."""

from pathlib import Path

import pytest

from orchestrator.data.shards import expand_braces, find_shards
from orchestrator.errors import DataError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")


def test_braces() -> None:
    assert expand_braces("a.tar") == ["a.tar"]
    assert expand_braces("a-{008..011}.tar") == [f"a-{i:03d}.tar" for i in range(8, 12)]
    assert expand_braces("{b,a}-{0..1}") == ["b-0", "b-1", "a-0", "a-1"]


@pytest.mark.parametrize(
    "pattern", ["a-{0..1", "a-0..1}", "a-{3..1}", "a-{x..y}", "{0..99999999}", "{0..999}{0..999}"]
)
def test_bad_patterns_are_named(pattern: str) -> None:
    with pytest.raises(DataError) as caught:
        expand_braces(pattern)
    assert pattern in str(caught.value)


def test_split_as_pattern_folder_prefix_and_file(tmp_path: Path) -> None:
    touch(tmp_path, "train-1.tar", "train-0.tar", "training-0.tar", "train-0.txt", "val/b.tar")
    assert find_shards(tmp_path, "train", ".tar") == [
        tmp_path / "train-0.tar",
        tmp_path / "train-1.tar",
    ]
    assert find_shards(tmp_path, "train-{1..1}.tar", ".tar") == [tmp_path / "train-1.tar"]
    assert find_shards(tmp_path, "val", ".tar") == [tmp_path / "val" / "b.tar"]
    assert find_shards(tmp_path, "train-0.tar", ".tar") == [tmp_path / "train-0.tar"]


def test_missing_shards_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "train-00000-of-00003", "train-00002-of-00003")
    with pytest.raises(DataError, match=r"1 of 3 shards are missing, .* train-00001-of-00003"):
        find_shards(tmp_path, "train", "")
    with pytest.raises(DataError, match=r"x-1.tar: shard missing, named by the pattern x-\{1..2\}"):
        find_shards(tmp_path, "x-{1..2}.tar", ".tar")
    with pytest.raises(DataError, match=r"no shards of split 'val'; expected val-\*.tar, val/\*"):
        find_shards(tmp_path, "val", ".tar")
    with pytest.raises(DataError, match="nowhere: no such directory"):
        find_shards(tmp_path / "nowhere", "val", ".tar")
