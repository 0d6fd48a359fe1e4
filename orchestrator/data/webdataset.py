"""WebDataset shards: tar files whose members share a key, KEY.jpg beside KEY.cls or KEY.json."""

import json
from pathlib import Path
from typing import Final

import numpy as np

from orchestrator.data.base import Encoded
from orchestrator.data.folder import EXTENSIONS
from orchestrator.data.shards import find_shards
from orchestrator.data.tar import Archive
from orchestrator.errors import DataError

JSON_FIELDS: Final = ("label", "cls", "class")


def _split_name(name: str) -> tuple[str, str]:
    """Return key and extension; the extension begins at the first dot of the last path part."""
    folder, slash, base = name.rpartition("/")
    stem, dot, rest = base.partition(".")
    return f"{folder}{slash}{stem}", f"{dot}{rest}".lower()


class WebDataset:
    """One split of WebDataset shards, indexed once and read in place.

    A sample is an image ``KEY.jpg`` (or ``.jpeg``) with its label in ``KEY.cls`` (a number as text)
    or ``KEY.json`` (a number, or an object with a number under "label", "cls" or "class"), counted
    from 0. Samples come in the order of shards and of images in them. Other members of a key are
    ignored.

    Parameters
    ----------
    root
        Directory of the shards.
    split
        See `find_shards`.
    classes
        Number of classes: shards do not say.

    Raises
    ------
    DataError
        A shard is missing or damaged, an image has no label, or a shard holds no image.
    """

    def __init__(self, root: Path, split: str, classes: int) -> None:
        self.classes = tuple(str(label) for label in range(classes))
        paths = find_shards(root, split, ".tar")
        self._archives = [(path, Archive(path)) for path in paths]
        self._keys: list[str] = []
        places: list[tuple[int, ...]] = []
        for number, (path, archive) in enumerate(self._archives):
            for key, place in _samples(path, archive):
                self._keys.append(key)
                places.append((number, *place))
            archive.members.clear()
        self._places = np.array(places, np.int64)

    def __len__(self) -> int:
        return len(self._keys)

    def name(self, index: int) -> str:
        """Return the shard's path and the sample's key."""
        return f"{self._archives[self._places[index, 0]][0]}:{self._keys[index]}"

    def read(self, index: int) -> Encoded:
        """Read one image and its label."""
        number, offset, size, label_offset, label_size, is_json = self._places[index].tolist()
        archive = self._archives[number][1]
        name = self.name(index)
        text = archive.read(label_offset, label_size)
        label = _label(text, bool(is_json), name, len(self.classes))
        return Encoded(archive.read(offset, size), label, name)


def _samples(path: Path, archive: Archive) -> list[tuple[str, tuple[int, ...]]]:
    """Return the keys of a shard's images, each with where image and label lie.

    That is offset and size of the image, offset and size of the label, 1 if the label is JSON.
    """
    images: dict[str, tuple[int, int]] = {}
    labels: dict[str, tuple[int, int, int]] = {}
    for member in archive.members:
        key, extension = _split_name(member.name)
        if member.is_folder:
            continue
        if extension in EXTENSIONS:
            if key in images:
                raise DataError(f"{path}:{member.name}: a second image of the same key")
            images[key] = (member.offset, member.size)
        elif extension == ".cls" or (extension == ".json" and key not in labels):
            labels[key] = (member.offset, member.size, int(extension == ".json"))
    if not images:
        raise DataError(
            f"{path}: no image in this shard; expected KEY.jpg with KEY.cls or KEY.json"
        )
    for key in images:
        if key not in labels:
            raise DataError(f"{path}:{key}: an image without label; expected {key}.cls or .json")
    return [(key, (*image, *labels[key])) for key, image in images.items()]


def _label(text: bytes, is_json: bool, name: str, classes: int) -> int:
    """Return the label a ``.cls`` or ``.json`` member holds."""
    try:
        value = json.loads(text) if is_json else int(text)
    except ValueError as cause:
        kind = "JSON" if is_json else "a number"
        raise DataError(f"{name}: label {text[:40]!r} is not {kind}") from cause
    if isinstance(value, dict):
        value = next((value[field] for field in JSON_FIELDS if field in value), None)
    if not isinstance(value, int) or isinstance(value, bool):
        allowed = ", ".join(JSON_FIELDS)
        raise DataError(f"{name}: no whole number as label in its JSON; fields tried: {allowed}")
    if not 0 <= value < classes:
        raise DataError(f"{name}: label {value}; model.classes allows 0 to {classes - 1}")
    return value
