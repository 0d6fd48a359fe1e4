"""From configuration to data set: digits, synthetic, limits, classes, what does not fit."""

from pathlib import Path

import numpy as np
import pytest

from orchestrator.config.data import DataConfig
from orchestrator.config.model import ModelConfig
from orchestrator.data import open_dataset
from orchestrator.data.order import epoch_order
from orchestrator.errors import ConfigError, DataError


def model(**keys: object) -> ModelConfig:
    return ModelConfig(**{"name": "resnet20", "image_size": 8, **keys})


def test_digits_are_split_once_for_all() -> None:
    data = DataConfig(source="digits")
    train, test = (open_dataset(data, model(), split, 0) for split in ("train", "eval"))
    assert (len(train), len(test)) == (1442, 355)
    assert train.classes == tuple("0123456789")
    names = {d.name(i) for d in (train, test) for i in range(len(d))}
    assert names == {f"digits/{i}" for i in range(1797)}
    assert (test.name(0), test.read(0).label) == ("digits/33", 5)
    pixels = np.stack([test.read(i).content for i in range(len(test))])
    assert pixels.shape == (355, 8, 8, 1)
    assert pixels.dtype == np.uint8
    assert pixels.max() == 240
    counts = np.bincount([test.read(i).label for i in range(len(test))])
    assert counts.min() >= 34


def synthetic(**keys: object) -> DataConfig:
    return DataConfig(**{"source": "synthetic", "train_samples": 60, "eval_samples": 30, **keys})


def test_synthetic_is_addressed_by_seed_split_and_index() -> None:
    shape = model(classes=3, image_size=10, channels=2)
    data = open_dataset(synthetic(), shape, "train", 5)
    again = open_dataset(synthetic(train_samples=7), shape, "train", 5)
    assert len(data) == 60
    assert data.classes == ("0", "1", "2")
    assert data.read(4).content.shape == (10, 10, 2)
    assert (data.read(4).content == again.read(4).content).all()
    assert (data.read(4).content != data.read(7).content).any()
    for other in (
        open_dataset(synthetic(), shape, "train", 6),
        open_dataset(synthetic(), shape, "eval", 5),
    ):
        assert (data.read(4).content != other.read(4).content).any()


def test_synthetic_classes_can_be_told_apart() -> None:
    shape = model(classes=5, image_size=16)
    train, test = (open_dataset(synthetic(), shape, split, 1) for split in ("train", "eval"))
    images = np.stack([train.read(i).content.astype(float) for i in range(60)])
    labels = np.array([train.read(i).label for i in range(60)])
    means = np.stack([images[labels == c].mean(0) for c in range(5)])
    distances = [
        np.abs(means - test.read(i).content).sum((1, 2, 3)).argmin() == test.read(i).label
        for i in range(30)
    ]
    assert np.mean(distances) == 1


def folder_config(path: Path, **keys: object) -> DataConfig:
    return DataConfig(source="folder", path=str(path), **keys)


def test_evaluation_uses_the_training_classes(folder: Path) -> None:
    for name in ("ant", "cat"):
        for image in (folder / "val" / name).iterdir():
            image.unlink()
        (folder / "val" / name).rmdir()
    data = open_dataset(folder_config(folder), model(), "eval", 0)
    assert data.classes == ("ant", "bee", "cat")
    assert [data.read(i).label for i in range(len(data))] == [1, 1]


def test_evaluation_alone_uses_its_own_classes(folder: Path) -> None:
    (folder / "train").rename(folder / "elsewhere")
    assert open_dataset(folder_config(folder), model(), "eval", 0).classes == ("ant", "bee", "cat")


def test_limit_keeps_every_class(folder: Path) -> None:
    data = open_dataset(folder_config(folder, train_samples=6), model(), "train", 0)
    assert [data.read(i).label for i in range(len(data))] == [0, 0, 1, 1, 2, 2]
    assert data.name(1).endswith("ant/2.jpg") and data.read(1).name == data.name(1)
    with pytest.raises(ConfigError, match=r"data.train_samples: 13, but the data set has 12"):
        open_dataset(folder_config(folder, train_samples=13), model(), "train", 0)


def test_classes_must_fit_the_network(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"model.classes: 2, but the data set has 3 classes"):
        open_dataset(folder_config(folder), model(classes=2), "train", 0)
    assert len(open_dataset(folder_config(folder), model(classes=9), "train", 0)) == 12
    for source in ("webdataset", "tfrecord"):
        with pytest.raises(ConfigError, match=f"model.classes: missing; {source} shards"):
            open_dataset(DataConfig(source=source, path=str(folder)), model(), "train", 0)


def test_cifar10_expects_its_classes(folder: Path) -> None:
    data = DataConfig(source="cifar10", path=str(folder))
    with pytest.raises(DataError, match="train/ant: "):
        open_dataset(data, model(), "train", 0)
    with pytest.raises(DataError, match="test: no such folder"):
        open_dataset(data, model(), "eval", 0)


def test_order_is_a_permutation_of_seed_and_epoch() -> None:
    order = epoch_order(1000, 3, 4)
    assert sorted(order) == list(range(1000))
    assert (order == epoch_order(1000, 3, 4)).all()
    for other in (epoch_order(1000, 3, 5), epoch_order(1000, 4, 4)):
        assert (order == other).mean() < 0.02
    assert epoch_order(0, 3, 4).shape == (0,)
    moved = np.abs(order - np.arange(1000)).mean()
    assert 290 < moved < 380
