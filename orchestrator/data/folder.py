"""Image folders, SPLIT/CLASS/FILE.jpg: in a plain directory, or in a tar archive read in place."""

import os
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from orchestrator.data.base import Encoded, class_labels
from orchestrator.data.tar import SUFFIXES, Archive, is_archive
from orchestrator.errors import DataError

EXTENSIONS: Final = (".jpg", ".jpeg")
LAYOUT: Final = "expected SPLIT/CLASS/*.jpg or *.JPEG"


class Place(NamedTuple):
    """An image file of a class folder: its name, and where an archive holds its bytes."""

    name: str
    offset: int = 0
    size: int = 0


Listing = dict[str, list[Place]]
"""Class name -> its files; both in no particular order."""


def _check_file(name: str, where: str) -> None:
    if not name.lower().endswith(EXTENSIONS):
        raise DataError(f"{where}: not a JPEG by its name; {LAYOUT}")


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not entry.name.startswith(".")]


def list_directory(root: Path, split: str) -> Listing:
    """List the class folders of ``root/split`` and their files, without hidden ones.

    Raises
    ------
    DataError
        The folder is missing, or holds something else than class folders of JPEGs.
    """
    folder = root / split
    listing: Listing = {}
    try:
        for entry in _visible(folder):
            if entry.is_dir():
                listing[entry.name] = _list_class(folder / entry.name)
            elif entry.name.lower().endswith(EXTENSIONS):
                raise DataError(f"{folder / entry.name}: an image outside any class; {LAYOUT}")
    except FileNotFoundError as cause:
        raise DataError(f"{folder}: no such folder; {LAYOUT} under {root}") from cause
    except OSError as cause:
        raise DataError(f"{folder}: cannot list: {cause.strerror}; {LAYOUT}") from cause
    return listing


def _list_class(folder: Path) -> list[Place]:
    places = []
    for entry in _visible(folder):
        if entry.is_dir():
            raise DataError(f"{folder / entry.name}: a folder inside a class folder; {LAYOUT}")
        _check_file(entry.name, f"{folder / entry.name}")
        places.append(Place(entry.name))
    return places


def list_archive(archive: Archive, path: Path, split: str) -> Listing:
    """List the class folders of the folder ``split`` in an archive, as `list_directory` does.

    Raises
    ------
    DataError
        There is no such folder, or it holds something else than class folders of JPEGs.
    """
    if not archive.members:
        found = ", ".join(sorted(archive.top_folders)[:10]) or "nothing"
        raise DataError(f"{path}: no folder '{split}' in it; {LAYOUT}; it holds: {found}")
    listing: Listing = {}
    for member in archive.members:
        parts = member.name.removeprefix(f"{split}/").split("/")
        if any(part.startswith(".") for part in parts):
            continue
        if member.is_folder and len(parts) == 1:
            listing.setdefault(parts[0], [])
        elif len(parts) == 2 and not member.is_folder:
            _check_file(parts[1], f"{path}:{member.name}")
            listing.setdefault(parts[0], []).append(Place(parts[1], member.offset, member.size))
        elif len(parts) > 2 or member.is_folder or parts[0].lower().endswith(EXTENSIONS):
            raise DataError(f"{path}:{member.name}: not a class folder's image; {LAYOUT}")
    return listing


class ImageFolder:
    """One split of an image folder.

    Classes are the folder names sorted by code point, samples the files sorted inside each class.

    Parameters
    ----------
    path
        A directory, or a ``.tar``, ``.tar.gz`` or ``.tgz`` file, that holds
        ``split/CLASS/FILE.jpg``.
    split
        Folder of the split.
    classes
        Classes in the order of their labels (those of the training split); None takes the split's
        own.

    Raises
    ------
    DataError
        The folder is missing or empty, a class has no images or is not among ``classes``, or a file
        is not a JPEG by name.
    """

    def __init__(self, path: Path, split: str, classes: tuple[str, ...] | None = None) -> None:
        self._archive: Archive | None = None
        self._root = path / split
        if path.is_dir():
            listing = list_directory(path, split)
        elif is_archive(path):
            self._archive = Archive(path, split)
            self._root = Path(f"{path}:{split}")
            listing = list_archive(self._archive, path, split)
        elif path.exists():
            allowed = ", ".join(SUFFIXES)
            raise DataError(f"{path}: expected a directory or an archive ({allowed})")
        else:
            raise DataError(f"{path}: no such file or folder; {LAYOUT} under it")
        self._check(listing, classes)
        self.classes = classes if classes is not None else tuple(sorted(listing))
        self._arrange(listing)

    def _check(self, listing: Listing, classes: tuple[str, ...] | None) -> None:
        if not listing:
            raise DataError(f"{self._root}: no class folders, so no images; {LAYOUT}")
        for name, places in sorted(listing.items()):
            if not places:
                raise DataError(f"{self._root}/{name}: an empty class, at least one image expected")
            if classes is not None and name not in classes:
                raise DataError(
                    f"{self._root}/{name}: the training split has no class of this name"
                )

    def _arrange(self, listing: Listing) -> None:
        labels = class_labels(self.classes)
        ordered = [(labels[name], sorted(listing[name])) for name in sorted(listing)]
        self._names = [place.name for _, places in ordered for place in places]
        self._labels = np.repeat([label for label, _ in ordered], [len(p) for _, p in ordered])
        self._offsets = np.array([p.offset for _, places in ordered for p in places], np.int64)
        self._sizes = np.array([p.size for _, places in ordered for p in places], np.int64)

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        """Return the path of an image; inside an archive ``ARCHIVE:SPLIT/CLASS/FILE``."""
        return f"{self._root}/{self.classes[self._labels[index]]}/{self._names[index]}"

    def read(self, index: int) -> Encoded:
        """Read one image file."""
        name = self.name(index)
        if self._archive is not None:
            content = self._archive.read(int(self._offsets[index]), int(self._sizes[index]))
        else:
            try:
                content = Path(name).read_bytes()
            except OSError as cause:
                raise DataError(f"{name}: cannot read the image: {cause.strerror}") from cause
        return Encoded(content, int(self._labels[index]), name)
