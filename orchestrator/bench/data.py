"""``regatta bench data``: JPEGs to input tensors, ours beside Pillow and torch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import simplejpeg
from rich.table import Table

from orchestrator.bench.peer_images import open_peer
from orchestrator.bench.tables import speed_table
from orchestrator.bench.timing import Times, alternate, medians
from orchestrator.boards.kernels_native import open_kernels
from orchestrator.config.data import DataConfig
from orchestrator.data.augment import input_table
from orchestrator.data.base import Dataset, Encoded, Subset
from orchestrator.data.decode import decoder_version
from orchestrator.data.folder import ImageFolder
from orchestrator.data.loader import GhostRequest, Loader
from orchestrator.data.resize import Axis, Geometry
from orchestrator.data.resize_native import resize_native
from orchestrator.errors import ArgumentError

GHOST_BATCH: Final = 32
MADE_HEIGHT, MADE_WIDTH = 375, 500
MADE_IMAGES: Final = 64


class MadeImages:
    """JPEGs of 500 x 375 pixels, about 100 kB each, as ImageNet's are: soft shapes under grain."""

    classes = ("made",)

    def __init__(self, count: int) -> None:
        rng = np.random.default_rng(0)
        rows = Axis(0, 12, MADE_HEIGHT, 0, MADE_HEIGHT)
        columns = Axis(0, 16, MADE_WIDTH, 0, MADE_WIDTH)
        self._contents = []
        for _ in range(count):
            shapes = rng.integers(30, 226, (12, 16, 3), np.uint8)
            soft = resize_native(shapes, Geometry(rows, columns)).astype(np.int64)
            grain = rng.integers(-24, 25, (MADE_HEIGHT, MADE_WIDTH, 1))
            pixels = np.clip(soft + grain, 0, 255).astype(np.uint8)
            self._contents.append(simplejpeg.encode_jpeg(pixels, quality=90))

    def __len__(self) -> int:
        return len(self._contents)

    def name(self, index: int) -> str:
        """Return "made/" and the number."""
        return f"made/{index}"

    def read(self, index: int) -> Encoded:
        """Return one JPEG."""
        return Encoded(self._contents[index], 0, self.name(index))


def run(
    path: Path | None = None,
    *,
    split: str = "train",
    images: int = 128,
    rounds: int = 5,
    size: int = 224,
) -> dict[str, Any]:
    """Measure decoding, random resized crop, flip and normalisation of the same JPEGs.

    Ours goes through the loader with one worker thread, as in training, and ends as the int16 input
    mantissas; the peer ends as a float32 tensor. Rounds alternate; figures are medians. Reading the
    files is not measured.

    Parameters
    ----------
    path
        Image folder, directory or archive; None measures images made for the purpose.
    split
        Folder inside it.
    images
        Images in a round, at least 1; those of the data set are repeated where it has fewer.
    rounds
        Rounds of each side, at least 1.
    size
        Height and width of the input.

    Returns
    -------
    dict
        ``images_per_cpu_s``, ``images_per_s``, the peer's with the prefix ``peer_``, and
        ``cpu_ratio`` and ``wall_ratio``: ours over the peer's, above 1 is faster.

    Raises
    ------
    MissingToolError
        Pillow or torch is not installed, or the kernels are not built.
    ArgumentError
        ``images``, ``rounds`` or ``size`` is below 1.
    """
    for name, value in (("images", images), ("rounds", rounds), ("size", size)):
        if value < 1:
            raise ArgumentError(f"bench data: {name} is {value}, at least 1 is needed")
    peer_batch, peer_name = open_peer(size)
    dataset = _choose(path, split, images)
    contents = [dataset.read(i % len(dataset)) for i in range(images)]
    ours = _ours(_Memory(contents), size)
    theirs = _theirs(peer_batch, contents)
    our_times, peer_times = alternate((ours, theirs), rounds)
    return _figures(our_times, peer_times, images) | {
        "images": images,
        "rounds": rounds,
        "size": size,
        "source": "made" if path is None else path.name,
        "decoder": decoder_version(),
        "peer": peer_name,
    }


class _Memory:
    """Samples that were read beforehand."""

    classes = ("measured",)

    def __init__(self, samples: list[Encoded]) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    def name(self, index: int) -> str:
        return self._samples[index].name

    def read(self, index: int) -> Encoded:
        return self._samples[index]


def _choose(path: Path | None, split: str, images: int) -> Dataset:
    if path is None:
        return MadeImages(min(images, MADE_IMAGES))
    folder = ImageFolder(path, split)
    return Subset(folder, images) if images < len(folder) else folder


def _ours(dataset: Dataset, size: int) -> Callable[[], None]:
    data = DataConfig(source="folder", path="measured", augmentation="imagenet", workers=1)
    loader = Loader(
        dataset,
        data=data,
        image_size=size,
        channels=3,
        ghost_batch=GHOST_BATCH,
        seed=0,
        training=True,
    )
    table, _ = input_table(data.mean, data.std)
    kernels = open_kernels(threads=1)

    def work() -> None:
        starts = range(0, len(dataset), GHOST_BATCH)
        ends = [min(start + GHOST_BATCH, len(dataset)) for start in starts]
        requests = [GhostRequest(0, np.arange(a, b)) for a, b in zip(starts, ends, strict=True)]
        for batch in loader.ghost_batches(requests):
            kernels.normalise(batch.images, table, np.empty(batch.images.shape, np.int16))

    return work


def _theirs(batch: Callable[[list[bytes]], Any], samples: list[Encoded]) -> Callable[[], None]:
    contents = [sample.content for sample in samples if isinstance(sample.content, bytes)]

    def work() -> None:
        for start in range(0, len(contents), GHOST_BATCH):
            batch(contents[start : start + GHOST_BATCH])

    return work


def _figures(ours: list[Times], theirs: list[Times], images: int) -> dict[str, float]:
    cpu, wall, peer_cpu, peer_wall = (
        images / median for side in (ours, theirs) for median in medians(side)
    )
    return {
        "images_per_cpu_s": round(cpu, 1),
        "images_per_s": round(wall, 1),
        "peer_images_per_cpu_s": round(peer_cpu, 1),
        "peer_images_per_s": round(peer_wall, 1),
        "cpu_ratio": round(cpu / peer_cpu, 3),
        "wall_ratio": round(wall / peer_wall, 3),
    }


def table(result: dict[str, Any]) -> Table:
    """Return the result of `run` as a table."""
    size, images, rounds = result["size"], result["images"], result["rounds"]
    title = f"JPEG to {size} x {size} input, {images} images, median of {rounds} rounds"
    shown = speed_table(title, result, digits=0)
    shown.caption = f"regatta: {result['decoder']}; peer: {result['peer']}"
    return shown
