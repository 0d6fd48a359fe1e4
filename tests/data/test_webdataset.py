"""WebDataset shards written by the test, read in place; labels in every form; damaged ones."""

from pathlib import Path

import pytest

from orchestrator.data.webdataset import WebDataset
from orchestrator.errors import DataError


def test_samples_in_order_of_shards(tmp_path: Path, jpeg, write_tar) -> None:
    images = [jpeg(i) for i in range(4)]
    first = {"a/0.jpg": images[0], "a/0.cls": b"2", "a/1.x.txt": b"?", "a/1.cls": b"0\n"}
    second = {"2.json": b'{"label": 1, "w": 3}', "2.JPEG": images[2], "3.jpg": images[3]}
    write_tar(tmp_path / "train-000.tar", first | {"a/1.jpeg": images[1]})
    write_tar(tmp_path / "train-001.tar", second | {"3.json": b"2"})
    data = WebDataset(tmp_path, "train-{000..001}.tar", 3)
    assert data.classes == ("0", "1", "2")
    assert [data.read(i).label for i in range(len(data))] == [2, 0, 1, 2]
    assert [data.read(i).content for i in range(len(data))] == images
    assert data.name(1) == f"{tmp_path}/train-000.tar:a/1" == data.read(1).name


def test_cls_wins_over_json(tmp_path: Path, write_tar) -> None:
    for order in (("cls", "json"), ("json", "cls")):
        text = {"cls": b"1", "json": b'{"w": 7}'}
        files = {"0.jpg": b"", **{f"0.{kind}": text[kind] for kind in order}}
        write_tar(tmp_path / "train-0.tar", files)
        assert WebDataset(tmp_path, "train", 3).read(0).label == 1


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ({"0.cls": b"cat"}, r"train-0.tar:0: label b'cat' is not a number"),
        ({"0.json": b"{"}, r"train-0.tar:0: label b'\{' is not JSON"),
        ({"0.json": b'{"w": 1}'}, "no whole number as label in its JSON; fields tried: label"),
        ({"0.json": b"true"}, "no whole number"),
        ({"0.json": b"1.5"}, "no whole number"),
        ({"0.cls": b"3"}, "label 3; model.classes allows 0 to 2"),
        ({"0.cls": b"-1"}, "label -1"),
        ({"0.cls": b"\xff"}, "is not a number"),
    ],
)
def test_bad_labels_name_the_sample(tmp_path: Path, write_tar, label, message: str) -> None:
    write_tar(tmp_path / "train-0.tar", {"0.jpg": b"", **label})
    data = WebDataset(tmp_path, "train", 3)
    with pytest.raises(DataError, match=message):
        data.read(0)


def test_shards_without_what_is_needed(tmp_path: Path, write_tar) -> None:
    write_tar(tmp_path / "a-0.tar", {"7.jpg": b""})
    write_tar(tmp_path / "b-0.tar", {"7.cls": b"0"})
    write_tar(tmp_path / "c-0.tar", {"7.jpg": b"", "7.cls": b"0", "7.jpeg": b""})
    with pytest.raises(DataError, match=r"a-0.tar:7: an image without label; expected 7.cls"):
        WebDataset(tmp_path, "a", 3)
    with pytest.raises(DataError, match=r"b-0.tar: no image in this shard; expected KEY.jpg"):
        WebDataset(tmp_path, "b", 3)
    with pytest.raises(DataError, match=r"c-0.tar:7.jpeg: a second image of the same key"):
        WebDataset(tmp_path, "c", 3)
