"""Archives: every header dialect tarfile writes, in place and compressed, whole and damaged."""

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.data.tar import Archive, read_members
from orchestrator.errors import DataError

FILES = {
    "train/a/1.jpg": b"x" * 700,
    "train/a/2.jpg": b"",
    f"train/{'long' * 40}/{'name' * 40}.jpg": b"y" * 512,
    "test/b/1.jpg": b"z",
}


def contents(archive: Archive) -> dict[str, bytes]:
    return {m.name: archive.read(m.offset, m.size) for m in archive.members if not m.is_folder}


@pytest.mark.parametrize("dialect", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize(("suffix", "mode"), [("tar", "w"), ("tar.gz", "w:gz"), ("tgz", "w:gz")])
def test_members_and_their_bytes(
    tmp_path: Path, write_tar, dialect: int, suffix: str, mode: str
) -> None:
    path = write_tar(tmp_path / f"data.{suffix}", FILES, mode, format=dialect)
    assert contents(Archive(path)) == FILES
    wanted = {name: content for name, content in FILES.items() if name.startswith("train/")}
    assert contents(Archive(path, "train")) == wanted


def test_ustar_prefix_and_leading_dot(tmp_path: Path, write_tar) -> None:
    files = {f"./{'d' * 90}/{'e' * 50}/1.jpg": b"1"}
    path = write_tar(tmp_path / "a.tar", files, format=tarfile.USTAR_FORMAT)
    assert contents(Archive(path)) == {name[2:]: content for name, content in files.items()}


@pytest.mark.parametrize(("suffix", "mode"), [("tar", "w"), ("tar.gz", "w:gz")])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.8])
def test_truncated_archive_is_named(
    tmp_path: Path, write_tar, suffix: str, mode: str, share: float
) -> None:
    path = write_tar(tmp_path / f"cut.{suffix}", {"train/a/1.jpg": bytes(range(256)) * 40}, mode)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    if suffix == "tar" and share == 0.8:
        path.write_bytes(whole[:10752])
    with pytest.raises(DataError, match="cut.tar"):
        Archive(path)


def test_other_file_and_missing_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "noise.tar"
    path.write_bytes(b"no archive" * 100)
    with pytest.raises(DataError, match="noise.tar: not a tar archive"):
        Archive(path)
    with pytest.raises(DataError, match=r"none.tar.gz: cannot read"):
        Archive(tmp_path / "none.tar.gz")
    path = tmp_path / "noise.tgz"
    path.write_bytes(b"no archive" * 100)
    with pytest.raises(DataError, match="noise.tgz: cannot read"):
        Archive(path)


def test_links_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "links.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("train/a/1.jpg")
        member.type, member.linkname = tarfile.SYMTYPE, "elsewhere"
        archive.addfile(member)
    with pytest.raises(DataError, match=r"train/a/1.jpg is a link"):
        Archive(path)


def test_file_cut_after_indexing(tmp_path: Path, write_tar) -> None:
    path = write_tar(tmp_path / "a.tar", FILES)
    archive = Archive(path)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(DataError, match=r"a.tar: 88 of 700 bytes at offset 512: truncated"):
        archive.read(512, 700)


@given(st.data())
def test_any_damage_gives_members_or_a_data_error(data: st.DataObject) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in FILES:
            archive.addfile(tarfile.TarInfo(name))
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 4000))] = data.draw(st.integers(0, 255))
    try:
        assert len(list(read_members(io.BytesIO(content), Path("damaged.tar")))) <= len(FILES)
    except DataError as error:
        assert "damaged.tar" in str(error)
