"""Ghost batches of pixels in the order asked for, decoded ahead of time in threads.

Threads suffice: the decoder and the resize release Python's lock while they work. What a ghost
batch holds depends on the request alone, never on the thread, the rank or what was loaded before.
"""

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from orchestrator.config.data import DataConfig
from orchestrator.data import augment
from orchestrator.data.base import Dataset, Pixels
from orchestrator.data.decode import decode
from orchestrator.data.order import epoch_order
from orchestrator.data.resize_native import find_resize
from orchestrator.errors import ArgumentError, ConfigError, DataError

LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GhostRequest:
    """Which samples make a ghost batch.

    Parameters
    ----------
    epoch
        Epoch, 0 and up; it decides order and augmentation.
    positions
        int64 [samples], positions in the epoch's order (in evaluation: in the data set).
    key
        Handed back with the batch, for the asker.
    """

    epoch: int
    positions: NDArray[np.int64]
    key: int = 0


@dataclass(frozen=True, slots=True)
class GhostBatch:
    """One ghost batch.

    Parameters
    ----------
    images
        uint8 [samples, height, width, channels].
    labels
        int32 [samples].
    positions
        int64 [samples], as requested.
    skipped
        Names of the damaged samples.
    own
        bool [samples], false where a damaged sample was replaced by another of this batch: what an
        evaluation must not count.
    key
        As requested.
    """

    images: Pixels
    labels: NDArray[np.int32]
    positions: NDArray[np.int64]
    skipped: tuple[str, ...]
    own: NDArray[np.bool_]
    key: int


class Loader:
    """Reads, decodes, augments.

    Parameters
    ----------
    dataset
        One split.
    data
        Section `data` of the configuration.
    image_size
        Height and width of the network's input.
    channels
        Its channels.
    ghost_batch
        Most samples in a request.
    seed
        Seed of the run.
    training
        Shuffle and augment; otherwise samples come in the data set's order, resized and cropped at
        the centre.

    Raises
    ------
    ConfigError
        ``data.mean`` has not one value per channel.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        data: DataConfig,
        image_size: int,
        channels: int,
        ghost_batch: int,
        seed: int,
        training: bool,
    ) -> None:
        if len(data.mean) != channels:
            raise ConfigError(
                f"data.mean: {len(data.mean)} values for images of {channels} channels; "
                "give one per channel"
            )
        self._dataset = dataset
        self._data = data
        self._size = image_size
        self._channels = channels
        self._ghost_batch = ghost_batch
        self._seed = seed
        self._training = training
        self._resize = find_resize()
        side = image_size + 2 * data.pad
        self._padding = np.tile(augment.padding_pixel(data.mean), (side, side, 1))
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self._dataset)

    def epoch_order(self, epoch: int) -> NDArray[np.int64]:
        """Return which sample stands at each position, int64 [samples]."""
        if not self._training:
            return np.arange(len(self._dataset))
        kept_epoch, order = self._order
        if kept_epoch != epoch:
            order = epoch_order(len(self._dataset), self._seed, epoch)
            self._order = (epoch, order)
        return order

    def ghost_batches(self, requests: Iterable[GhostRequest]) -> Iterator[GhostBatch]:
        """Yield the ghost batch of each request, in order.

        ``data.workers`` threads work on at most ``data.prefetch`` requests ahead of the one
        yielded. They end when the iterator is exhausted, closed or dropped, or raises.

        Raises
        ------
        DataError
            A sample is damaged, with its name; under ``data.on_error: skip`` only in training, if
            all of a ghost batch are.
        """
        pending: deque[Future[GhostBatch]] = deque()
        pool = ThreadPoolExecutor(self._data.workers, thread_name_prefix="regatta-data")
        try:
            for request in requests:
                samples = self._samples(request)
                pending.append(pool.submit(self._load, request, samples))
                if len(pending) > self._data.prefetch:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _samples(self, request: GhostRequest) -> NDArray[np.int64]:
        positions = request.positions
        if not 0 < len(positions) <= self._ghost_batch:
            raise ArgumentError(
                f"ghost batch of {len(positions)} samples; 1 to {self._ghost_batch} are allowed"
            )
        if positions.min() < 0 or positions.max() >= len(self._dataset):
            raise ArgumentError(
                f"positions {positions.min()} to {positions.max()}; "
                f"the data set has 0 to {len(self._dataset) - 1}"
            )
        return self.epoch_order(request.epoch)[positions]

    def _load(self, request: GhostRequest, samples: NDArray[np.int64]) -> GhostBatch:
        """Load one ghost batch; runs in a worker thread."""
        count = len(samples)
        images = np.zeros((count, self._size, self._size, self._channels), np.uint8)
        labels = np.zeros(count, np.int32)
        own = np.ones(count, np.bool_)
        skipped = []
        words = augment.draw(self._seed, request.epoch, samples)
        for slot, sample in enumerate(samples.tolist()):
            try:
                images[slot], labels[slot] = self._image(sample, words[slot])
            except DataError as error:
                if self._data.on_error == "stop":
                    raise
                own[slot] = False
                skipped.append(self._dataset.name(sample))
                LOG.warning("skipped: %s", error)
        if self._training and not own.any():
            raise DataError(f"every image of a ghost batch is damaged: {', '.join(skipped)}")
        if own.any() and not own.all():
            _replace(images, labels, own)
        return GhostBatch(images, labels, request.positions, tuple(skipped), own, request.key)

    def _image(self, sample: int, words: augment.Words) -> tuple[Pixels, int]:
        encoded = self._dataset.read(sample)
        pixels = decode(encoded, self._channels)
        height, width, _ = pixels.shape
        data = self._data
        flip = self._training and data.flip and augment.is_flipped(words)
        if data.augmentation == "imagenet" and self._training:
            crop = augment.random_resized_crop(
                words, height, width, data.crop_area, data.crop_aspect
            )
            geometry = augment.resized_crop(crop, self._size, flip)
            return self._resize(pixels, geometry), encoded.label
        pixels = self._whole(pixels)
        if data.augmentation == "cifar" and self._training:
            pixels = self._padded_crop(pixels, words)[:, :: -1 if flip else 1]
        return pixels, encoded.label

    def _whole(self, pixels: Pixels) -> Pixels:
        """Return the whole image (imagenet: its centre) at the network's size."""
        short = self._size
        if self._data.augmentation == "imagenet":
            short = augment.short_side(self._size, self._data.resize)
        elif pixels.shape[:2] == (self._size, self._size):
            return pixels
        height, width, _ = pixels.shape
        return self._resize(pixels, augment.centre_crop(height, width, short, self._size))

    def _padded_crop(self, pixels: Pixels, words: augment.Words) -> Pixels:
        pad = self._data.pad
        padded = self._padding.copy()
        padded[pad : pad + self._size, pad : pad + self._size] = pixels
        top, left = augment.padding_crop(words, pad)
        return padded[top : top + self._size, left : left + self._size]


def _replace(images: Pixels, labels: NDArray[np.int32], own: NDArray[np.bool_]) -> None:
    """Fill the slots of damaged samples with the next good one of the ghost batch, cyclically."""
    count = len(own)
    for slot in np.flatnonzero(~own):
        source = next(s % count for s in range(slot + 1, slot + count) if own[s % count])
        images[slot] = images[source]
        labels[slot] = labels[source]
