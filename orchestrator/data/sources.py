"""From the configuration to a data set."""

from pathlib import Path
from typing import Final, Literal

from orchestrator.config.data import DataConfig
from orchestrator.config.model import ModelConfig
from orchestrator.data.base import Dataset, Subset
from orchestrator.data.digits import Digits
from orchestrator.data.folder import ImageFolder
from orchestrator.data.synthetic import Synthetic
from orchestrator.data.tfrecord import TFRecords
from orchestrator.data.webdataset import WebDataset
from orchestrator.errors import ConfigError

Split = Literal["train", "eval"]

CIFAR10: Final = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
SYNTHETIC_CLASSES: Final = 10


def open_dataset(data: DataConfig, model: ModelConfig, split: Split, seed: int) -> Dataset:
    """Open one split of the configured data set.

    ``data.train_samples`` and ``data.eval_samples`` limit it to so many samples, spread evenly over
    the whole.

    Parameters
    ----------
    data, model
        Sections of the configuration.
    split
        "train" or "eval".
    seed
        Seed of the run; only synthetic data depends on it.

    Raises
    ------
    DataError
        The data is missing, empty or damaged; the message names the path.
    ConfigError
        The configuration does not fit the data set.
    """
    whole = _open(data, model, split, seed)
    if model.classes is not None and len(whole.classes) > model.classes:
        raise ConfigError(
            f"model.classes: {model.classes}, but the data set has {len(whole.classes)} classes"
        )
    limit = data.train_samples if split == "train" else data.eval_samples
    if limit is None or limit == len(whole):
        return whole
    if limit > len(whole):
        key = f"data.{split}_samples"
        raise ConfigError(f"{key}: {limit}, but the data set has {len(whole)}")
    return Subset(whole, limit)


def _open(data: DataConfig, model: ModelConfig, split: Split, seed: int) -> Dataset:
    if data.source == "digits":
        return Digits(split)
    if data.source == "synthetic":
        return _synthetic(data, model, split, seed)
    if data.source == "memory":
        raise ConfigError(
            "data.source: memory stands for arrays that a Python program gave; set data.source "
            "and the other keys of a data set that can be read here"
        )
    if data.path is None:
        raise ConfigError(f"data.path: missing; data.source {data.source} needs one")
    path = Path(data.path)
    folder = data.train_split if split == "train" else data.eval_split
    if data.source == "folder":
        classes = _training_classes(path, data, folder) if split == "eval" else None
        return ImageFolder(path, folder, classes)
    if data.source == "cifar10":
        return ImageFolder(path, "test" if folder == "val" else folder, CIFAR10)
    if model.classes is None:
        raise ConfigError(f"model.classes: missing; {data.source} shards do not name their classes")
    if data.source == "webdataset":
        return WebDataset(path, folder, model.classes)
    return TFRecords(path, folder, model.classes)


def _training_classes(path: Path, data: DataConfig, eval_split: str) -> tuple[str, ...] | None:
    """Return the classes of the training split, so that labels mean the same in both.

    None, for the evaluation split's own, where only that is there: on a machine that
    only evaluates.
    """
    if eval_split == data.train_split or (path.is_dir() and not (path / data.train_split).exists()):
        return None
    return ImageFolder(path, data.train_split).classes


def _synthetic(data: DataConfig, model: ModelConfig, split: Split, seed: int) -> Synthetic:
    count = data.train_samples if split == "train" else data.eval_samples
    if count is None:
        raise ConfigError(f"data.{split}_samples: missing; data.source synthetic needs a size")
    return Synthetic(
        split,
        count=count,
        classes=model.classes if model.classes is not None else SYNTHETIC_CLASSES,
        size=model.image_size,
        channels=model.channels,
        seed=seed,
    )
