"""The peer of the data loader: Pillow and torch, as torchvision's training transforms do it."""

import io
import math
import random
from collections.abc import Callable
from typing import Any

from orchestrator.errors import MissingToolError

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def open_peer(size: int) -> tuple[Callable[[list[bytes]], Any], str]:
    """Return a function from JPEGs to a batch, float32 [n, 3, size, size], and the peer's name.

    The function does what ``RandomResizedCrop``, ``RandomHorizontalFlip``, ``ToTensor``,
    ``Normalize`` and a loader's collation do, with the same calls of Pillow and torch, and as in a
    loader's worker in one thread.

    Raises
    ------
    MissingToolError
        Pillow or torch is not installed.
    """
    try:
        import PIL.Image
        import torch
    except ImportError as cause:
        raise MissingToolError(
            f"bench data measures beside Pillow and torch: {cause.name} is missing; "
            "pip install pillow torch"
        ) from cause
    mean = torch.tensor(MEAN).view(-1, 1, 1)
    std = torch.tensor(STD).view(-1, 1, 1)
    chance = random.Random(0)

    def one(content: bytes) -> Any:
        image = PIL.Image.open(io.BytesIO(content)).convert("RGB")
        left, top, width, height = choose_crop(*image.size, chance)
        image = image.crop((left, top, left + width, top + height))
        image = image.resize((size, size), PIL.Image.Resampling.BILINEAR)
        if chance.random() < 0.5:
            image = image.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
        tensor = pixels.view(size, size, 3).permute(2, 0, 1).contiguous()
        return tensor.to(torch.float32).div(255).sub_(mean).div_(std)

    def batch(contents: list[bytes]) -> Any:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return torch.stack([one(content) for content in contents])
        finally:
            torch.set_num_threads(threads)

    return batch, f"Pillow {PIL.__version__}, torch {torch.__version__}"


def choose_crop(width: int, height: int, chance: random.Random) -> tuple[int, int, int, int]:
    """Return left, top, width and height of a crop as torchvision chooses it."""
    for _ in range(10):
        area = width * height * chance.uniform(0.08, 1)
        aspect = math.exp(chance.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return chance.randint(0, width - w), chance.randint(0, height - h), w, h
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side, side
