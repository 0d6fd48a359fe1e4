"""The peer of the convolution kernels: PyTorch's float32 convolutions in channels_last."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from orchestrator.bench.timing import Work
from orchestrator.errors import MissingToolError
from orchestrator.model.shapes import ConvShape

ONEDNN_BATCH = 16
"""From this batch on PyTorch runs 1x1 convolutions of one thread on oneDNN; below, it is slow."""


def load_torch(command: str) -> Any:
    """Return the module torch.

    Raises
    ------
    MissingToolError
        It is not installed.
    """
    try:
        import torch
    except ImportError as cause:
        raise MissingToolError(
            f"{command} measures beside PyTorch, which is not installed: pip install torch"
        ) from cause
    return torch


def peer_name(torch: Any) -> str:
    """Return the peer's name and version."""
    return f"PyTorch {torch.__version__}, float32, channels_last"


@contextmanager
def torch_threads(torch: Any, threads: int) -> Iterator[None]:
    """Let PyTorch use so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def note(batch: int, threads: int) -> str | None:
    """Return a warning where PyTorch does not run at its best; None where it does."""
    if threads > 1 or batch >= ONEDNN_BATCH:
        return None
    return (
        f"PyTorch runs 1x1 convolutions slowly in one thread below batch {ONEDNN_BATCH}: "
        "compare at a larger batch or with more threads"
    )


def peer_passes(torch: Any, shape: ConvShape) -> dict[str, Work]:
    """Return forward, input gradient and weight gradient of a convolution on random values."""
    sizes = {
        "x": (shape.n, shape.c, shape.h, shape.w),
        "w": (shape.k, shape.c, shape.r, shape.s),
        "e": (shape.n, shape.k, shape.p, shape.q),
    }
    x, w, e = (torch.randn(size).to(memory_format=torch.channels_last) for size in sizes.values())
    stride, pad = [shape.stride] * 2, [shape.pad] * 2

    def forward() -> Any:
        return torch.nn.functional.conv2d(x, w, None, stride, pad)

    def backward(wanted: list[bool]) -> Work:
        return lambda: torch.ops.aten.convolution_backward(
            *(e, x, w, None, stride, pad, [1, 1], False, [0, 0], 1, wanted)
        )

    return {
        "forward": forward,
        "input gradient": backward([True, False, False]),
        "weight gradient": backward([False, True, False]),
    }
