"""The loader: a ghost batch depends on its request alone; damage, threads, early stops."""

import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from orchestrator.config.data import DataConfig
from orchestrator.data.base import Encoded
from orchestrator.data.folder import ImageFolder
from orchestrator.data.loader import GhostBatch, GhostRequest, Loader
from orchestrator.errors import ArgumentError, ConfigError, DataError

SIZE = 16


def make_loader(dataset, *, training: bool = True, size: int = SIZE, **keys: object) -> Loader:
    data = DataConfig(source="folder", path="unused", **keys)
    return Loader(
        dataset,
        data=data,
        image_size=size,
        channels=3,
        ghost_batch=4,
        seed=11,
        training=training,
    )


@pytest.fixture
def images(folder: Path) -> ImageFolder:
    return ImageFolder(folder, "train")


def requests(epoch: int = 0, ghosts: tuple[int, ...] = (0, 1, 2)) -> list[GhostRequest]:
    return [GhostRequest(epoch, np.arange(4 * g, 4 * g + 4), g) for g in ghosts]


def by_key(batches: Iterator[GhostBatch]) -> dict[int, tuple[bytes, bytes, tuple[str, ...]]]:
    return {b.key: (b.images.tobytes(), b.labels.tobytes(), b.skipped) for b in batches}


def data_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("regatta-data")]


@pytest.mark.parametrize("augmentation", ["none", "cifar", "imagenet"])
def test_any_split_of_the_requests_gives_the_same_batches(images, augmentation: str) -> None:
    whole = by_key(make_loader(images, augmentation=augmentation).ghost_batches(requests()))
    for ranks in (((0,), (1,), (2,)), ((2, 0), (1,)), ((1, 2, 0),)):
        for workers, prefetch in ((1, 1), (3, 5)):
            parts = {}
            for ghosts in ranks:
                loader = make_loader(
                    images, augmentation=augmentation, workers=workers, prefetch=prefetch
                )
                parts |= by_key(loader.ghost_batches(requests(ghosts=ghosts)))
            assert parts == whole


def test_epochs_differ_and_cover_everything(images) -> None:
    loader = make_loader(images, augmentation="imagenet")
    first, second = (list(loader.ghost_batches(requests(epoch))) for epoch in (0, 1))
    for batches in (first, second):
        assert sorted(np.concatenate([b.labels for b in batches])) == [0] * 4 + [1] * 4 + [2] * 4
    assert (np.stack([b.images for b in first]) != np.stack([b.images for b in second])).any()
    assert sorted(loader.epoch_order(1)) == list(range(12))


def test_evaluation_is_in_order_and_the_same_in_every_epoch(images) -> None:
    loader = make_loader(images, training=False, augmentation="imagenet")
    assert loader.epoch_order(3).tolist() == list(range(12))
    assert by_key(loader.ghost_batches(requests(0))) == by_key(loader.ghost_batches(requests(9)))
    batch = next(loader.ghost_batches(requests()))
    assert batch.labels.tolist() == [0, 0, 0, 0]
    assert batch.images.shape == (4, SIZE, SIZE, 3)
    assert batch.own.all()


def test_batches_come_in_the_order_asked_for(images) -> None:
    loader = make_loader(images, workers=4, prefetch=2)
    keys = [b.key for b in loader.ghost_batches(requests(ghosts=(2, 0, 1, 0)))]
    assert keys == [2, 0, 1, 0]


class Pixels:
    """Images whose every pixel is its column plus 100; counts what was read."""

    classes = ("only",)

    def __init__(self, count: int = 12, size: int = SIZE) -> None:
        self.read_indices: list[int] = []
        self._count = count
        row = np.arange(100, 100 + size, dtype=np.uint8)
        self._image = np.broadcast_to(row[None, :, None], (size, size, 3)).copy()

    def __len__(self) -> int:
        return self._count

    def name(self, index: int) -> str:
        return f"pixels/{index}"

    def read(self, index: int) -> Encoded:
        self.read_indices.append(index)
        return Encoded(self._image, 0, self.name(index))


def test_cifar_crops_a_padded_image_and_mirrors_it() -> None:
    loader = make_loader(Pixels(400), augmentation="cifar", mean=(Fraction(1, 255),) * 3)
    seen = set()
    asked = [GhostRequest(0, np.arange(4 * g, 4 * g + 4)) for g in range(100)]
    for batch in loader.ghost_batches(asked):
        for image in batch.images[..., 0].astype(int):
            middle = image[SIZE // 2]
            inside = middle[middle != 1]
            step = np.unique(np.diff(inside))
            assert step.tolist() in ([1], [-1])
            line = middle if step[0] == 1 else middle[::-1]
            left = int((line[SIZE // 2] - 100) - SIZE // 2)
            expected = [100 + x if 0 <= x < SIZE else 1 for x in range(left, left + SIZE)]
            assert line.tolist() == expected
            seen.add((left, int(step[0])))
    assert seen == {(left, step) for left in range(-4, 5) for step in (1, -1)}


def test_without_flip_or_augmentation_pixels_stay() -> None:
    plain = next(make_loader(Pixels(), augmentation="none").ghost_batches(requests()))
    assert (plain.images[0] == Pixels().read(0).content).all()
    crops = make_loader(Pixels(), augmentation="cifar", flip=False, pad=0)
    assert (next(crops.ghost_batches(requests())).images == plain.images).all()


def test_other_size_is_resized_without_augmentation() -> None:
    batch = next(make_loader(Pixels(size=32), augmentation="none").ghost_batches(requests()))
    assert batch.images.shape == (4, SIZE, SIZE, 3)
    assert batch.images[0, 0, 8, 0] in (116, 117)


def test_prefetch_is_bounded() -> None:
    pixels = Pixels(4000)
    loader = make_loader(pixels, prefetch=2, workers=1)
    asked: list[int] = []

    def endless() -> Iterator[GhostRequest]:
        for ghost in range(1000):
            asked.append(ghost)
            yield GhostRequest(0, np.arange(4 * ghost, 4 * ghost + 4), ghost)

    batches = loader.ghost_batches(endless())
    assert [next(batches).key for _ in range(3)] == [0, 1, 2]
    assert len(asked) == 5
    batches.close()
    assert len(pixels.read_indices) <= 20
    assert not data_threads()


def test_threads_end_when_the_consumer_stops_or_fails(images) -> None:
    def consume() -> None:
        for _ in make_loader(images, workers=3).ghost_batches(requests()):
            raise KeyError("the consumer's own error")

    with pytest.raises(KeyError):
        consume()
    assert not data_threads()
    assert len(list(make_loader(images).ghost_batches(requests()))) == 3
    assert not data_threads()


def truncate(images: ImageFolder, *indices: int) -> list[str]:
    names = [images.name(index) for index in indices]
    for name in names:
        Path(name).write_bytes(Path(name).read_bytes()[:200])
    return names


def test_truncated_image_stops_with_its_name(images) -> None:
    (name,) = truncate(images, 7)
    with pytest.raises(DataError, match=f"{name}: a damaged or truncated JPEG"):
        list(make_loader(images).ghost_batches(requests()))
    assert not data_threads()


def test_skip_takes_the_next_good_image_of_the_ghost_batch(images, caplog) -> None:
    names = truncate(images, 1, 2, 11)
    loader = make_loader(images, training=False, on_error="skip")
    first, second, third = loader.ghost_batches(requests())
    assert first.skipped == tuple(names[:2])
    assert first.own.tolist() == [True, False, False, True]
    assert (first.images[1] == first.images[3]).all() and (first.images[2] == first.images[3]).all()
    assert not second.skipped
    assert third.skipped == (names[2],)
    assert (third.images[3] == third.images[0]).all()
    assert third.labels.tolist() == [2, 2, 2, 2]
    assert sum("skipped: " in message for message in caplog.messages) == 3
    assert all(any(name in message for message in caplog.messages) for name in names)


def test_skipping_is_the_same_for_any_split_of_the_requests(images) -> None:
    truncate(images, 1, 5, 6, 8)
    keys = {"on_error": "skip", "augmentation": "imagenet"}
    whole = by_key(make_loader(images, **keys).ghost_batches(requests()))
    parts = {}
    for ghosts in ((1,), (2, 0)):
        parts |= by_key(make_loader(images, **keys).ghost_batches(requests(ghosts=ghosts)))
    assert parts == whole
    assert sum(len(skipped) for _, _, skipped in whole.values()) == 4


def test_ghost_batch_without_any_good_image(images) -> None:
    names = truncate(images, *range(12))
    loader = make_loader(images, on_error="skip")
    with pytest.raises(DataError, match=r"every image of a ghost batch is damaged: .*/0.jpg"):
        list(loader.ghost_batches(requests()))
    evaluated = list(make_loader(images, training=False, on_error="skip").ghost_batches(requests()))
    assert [name for batch in evaluated for name in batch.skipped] == names
    assert not any(batch.own.any() for batch in evaluated)


@pytest.mark.parametrize("positions", [[], [0, 1, 2, 3, 4], [12], [-1]])
def test_impossible_requests(images, positions: list[int]) -> None:
    asked = GhostRequest(0, np.array(positions, np.int64))
    with pytest.raises(ArgumentError, match="ghost batch of|positions"):
        list(make_loader(images).ghost_batches([asked]))


def test_means_must_match_the_channels(images) -> None:
    with pytest.raises(ConfigError, match=r"data.mean: 1 values for images of 3 channels"):
        make_loader(images, mean=(Fraction(1, 2),), std=(Fraction(1, 2),))


def test_real_photographs(real_data: Path) -> None:
    sample = ImageFolder(real_data / "imagenet-sample.tar", "train")
    loader = make_loader(sample, size=224, augmentation="imagenet")
    batch = next(loader.ghost_batches([GhostRequest(0, np.arange(4))]))
    assert batch.images.shape == (4, 224, 224, 3)
    assert batch.images.std() > 20
