"""Image folders in directories and archives: the same samples, and every way they can be wrong."""

import shutil
import tarfile
from pathlib import Path

import pytest

from orchestrator.data.folder import ImageFolder
from orchestrator.errors import DataError


def samples(folder: ImageFolder) -> list[tuple[bytes, int]]:
    return [(s.content, s.label) for s in (folder.read(i) for i in range(len(folder)))]


def pack(folder: Path, suffix: str) -> Path:
    path = folder.parent / f"packed{suffix}"
    with tarfile.open(path, "w:gz" if suffix != ".tar" else "w") as archive:
        for split in sorted(folder.iterdir()):
            archive.add(split, split.name)
    return path


def test_classes_and_samples_are_sorted(folder: Path) -> None:
    images = ImageFolder(folder, "train")
    assert images.classes == ("ant", "bee", "cat")
    assert [images.read(i).label for i in range(12)] == [0] * 4 + [1] * 4 + [2] * 4
    assert images.name(5) == str(folder / "train" / "bee" / "1.jpg") == images.read(5).name
    assert images.read(5).content == (folder / "train" / "bee" / "1.jpg").read_bytes()


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tgz"])
def test_archive_holds_the_same_samples(folder: Path, suffix: str) -> None:
    packed = ImageFolder(pack(folder, suffix), "train")
    plain = ImageFolder(folder, "train")
    assert packed.classes == plain.classes
    assert samples(packed) == samples(plain)
    assert packed.name(0).endswith(f"packed{suffix}:train/ant/0.jpg")


def test_labels_of_another_split_follow_the_given_classes(folder: Path) -> None:
    shutil.rmtree(folder / "val" / "ant")
    images = ImageFolder(folder, "val", ("ant", "bee", "cat"))
    assert [images.read(i).label for i in range(len(images))] == [1, 1, 2, 2]
    with pytest.raises(DataError, match=r"val/cat: the training split has no class of this name"):
        ImageFolder(folder, "val", ("ant", "bee"))


def damage_missing_split(folder: Path) -> str:
    shutil.rmtree(folder / "train")
    return r"(train: no such folder|no folder 'train' in it).*expected SPLIT/CLASS"


def damage_empty_split(folder: Path) -> str:
    shutil.rmtree(folder / "train")
    (folder / "train").mkdir()
    return r"train.*expected SPLIT/CLASS"


def damage_empty_class(folder: Path) -> str:
    shutil.rmtree(folder / "train" / "bee")
    (folder / "train" / "bee").mkdir()
    return r"train/bee: an empty class, at least one image expected"


def damage_extension(folder: Path) -> str:
    (folder / "train" / "bee" / "0.png").write_bytes(b"")
    return r"train/bee/0.png: not a JPEG by its name; expected SPLIT/CLASS/\*.jpg"


def damage_nesting(folder: Path) -> str:
    (folder / "train" / "bee" / "deep").mkdir()
    (folder / "train" / "bee" / "deep" / "0.jpg").write_bytes(b"")
    return r"train/bee/deep.*expected SPLIT/CLASS"


def damage_no_class(folder: Path) -> str:
    (folder / "train" / "0.jpg").write_bytes(b"")
    return r"train/0.jpg.*expected SPLIT/CLASS"


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "damage",
    [
        damage_missing_split,
        damage_empty_split,
        damage_empty_class,
        damage_extension,
        damage_nesting,
        damage_no_class,
    ],
)
def test_wrong_layout_names_the_path(folder: Path, damage, packed: bool) -> None:
    expected = damage(folder)
    path = pack(folder, ".tar") if packed else folder
    with pytest.raises(DataError, match=expected):
        ImageFolder(path, "train")


def test_hidden_files_are_ignored(folder: Path) -> None:
    (folder / "train" / ".DS_Store").write_bytes(b"")
    (folder / "train" / "ant" / ".thumbs").write_bytes(b"")
    for path in (folder, pack(folder, ".tar")):
        assert len(ImageFolder(path, "train")) == 12


def test_path_that_is_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("a,b")
    with pytest.raises(DataError, match=r"list.csv: expected a directory or an archive \(.tar"):
        ImageFolder(tmp_path / "list.csv", "train")
    with pytest.raises(DataError, match="nowhere: no such file or folder"):
        ImageFolder(tmp_path / "nowhere", "train")


def test_image_that_vanished(folder: Path) -> None:
    images = ImageFolder(folder, "train")
    (folder / "train" / "ant" / "0.jpg").unlink()
    with pytest.raises(DataError, match=r"ant/0.jpg: cannot read the image: No such file"):
        images.read(0)


def test_cifar10(real_data: Path) -> None:
    images = ImageFolder(real_data / "cifar10-images.tar.gz", "test")
    assert len(images) == 10_000
    assert len(images.classes) == 10
    assert images.read(9_999).label == 9
    assert images.name(1) == f"{real_data}/cifar10-images.tar.gz:test/airplane/0001.jpg"


def test_imagenet_sample_in_place(real_data: Path) -> None:
    images = ImageFolder(real_data / "imagenet-sample.tar", "train")
    assert len(images) == len(images.classes) == 500
    assert images.read(499).content[:2] == b"\xff\xd8"
