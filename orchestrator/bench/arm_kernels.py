"""``regatta bench kernels --target arm968``: convolutions on an emulated core, by layer and pass.

A core runs its share of a layer from SDRAM to SDRAM, every instruction emulated: 64 channels of the
result, of one image or, on small maps, two (weight gradient: 32 output and 32 input channels of all
images), with everything that belongs to it: transfers, rounding, measuring. Packing the weights,
once for all shares of a step, is counted apart. Transfers run at the rate that is left to a core
when all of a chip's move data; what the core sleeps until they are done, mostly before its first
tile and after its last, is counted apart too. The kernels that are no convolutions are measured by
element, with transfers that take no time.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from orchestrator.bench.arm_elements import measure_elements
from orchestrator.bench.kernels import ALL, PASSES, Layer, choose_layers
from orchestrator.bench.plain_tiles import PlainProgram, build_plain, plain_rate
from orchestrator.bench.tables import layer_table
from orchestrator.config import ModelConfig
from orchestrator.dfp import LIMIT13
from orchestrator.errors import ArgumentError
from orchestrator.model.lower import lower
from orchestrator.model.shapes import ConvShape
from orchestrator.model.zoo import build_network
from orchestrator.virtual.arm_kernels import ArmKernels
from orchestrator.virtual.chip import ChipMemory
from orchestrator.virtual.conv_plan import DMA_BYTES_PER_CYCLE
from orchestrator.virtual.core import Core
from orchestrator.virtual.image import Image, build_image
from orchestrator.virtual.tasks import Task
from orchestrator.virtual.tasks_element import CHUNK
from orchestrator.virtual.tasks_weights import Pack

_RESULT_CHANNELS: Final = 64
_SMALL_MAP: Final = 14 * 14
"""Positions up to which a share has two images: the inner product pairs those of 7 x 7."""
_COUNTS: Final = ("cycles", "sleep_cycles", "dma_bytes", "dma_transfers")


@dataclass(frozen=True, slots=True)
class Cost:
    """What tasks took: processor cycles, of them asleep, bytes and pieces moved."""

    cycles: int = 0
    sleep_cycles: int = 0
    dma_bytes: int = 0
    dma_transfers: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        """Return the cost of both."""
        return Cost(*(getattr(self, name) + getattr(other, name) for name in _COUNTS))


class CountedKernels(ArmKernels):
    """Kernels that keep what their tasks took, packing apart."""

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.work = self.packing = Cost()

    def run(self, *tasks: Task) -> None:
        """Run tasks one by one and add up their costs."""
        for task in tasks:
            before = self._counts()
            super().run(task)
            taken = Cost(*(now - then for now, then in zip(self._counts(), before, strict=True)))
            if isinstance(task, Pack):
                self.packing += taken
            else:
                self.work += taken

    def _counts(self) -> list[int]:
        return [getattr(self.core, name) for name in _COUNTS]


def run(
    *, layers: str = ALL, batch: int = 16, network: str = "resnet50", image_size: int = 224
) -> dict[str, Any]:
    """Measure a core's share of a network's convolutions and last layer, and the other kernels.

    Parameters
    ----------
    layers
        Kernel size such as "3x3", or "all".
    batch
        Images of the weight gradient and of the dense layer, at least 1.
    network, image_size
        Whose layers.

    Returns
    -------
    dict
        ``layers``, each with its passes: products, cycles, of them asleep, transfers,
        ``mac_per_cycle`` of the cycles awake, ``mac_per_cycle_with_waits`` of all, and
        ``plain_mac_per_cycle`` of gcc -O3 on plain C; ``elements``, the other kernels.

    Raises
    ------
    ArgumentError
        batch is below 1, or the network has no such layer.
    MissingToolError
        No ARM compiler, no emulator, or no sources.
    """
    if batch < 1:
        raise ArgumentError(f"bench kernels: batch is {batch}, at least 1 is needed")
    image, plain = build_image(), build_plain()
    chosen = choose_layers(network, image_size, batch, layers)
    if layers == ALL:
        chosen.append(_last_layer(network, image_size, batch))
    return {
        "bench": "arm_kernels",
        "target": "arm968",
        "network": network,
        "image_size": image_size,
        "batch": batch,
        "dma_bytes_per_cycle": DMA_BYTES_PER_CYCLE,
        "itcm_bytes": image.itcm_bytes,
        "layers": _measure(image, plain, chosen),
        "elements": _measure_elements(image),
    }


def _last_layer(network: str, image_size: int, batch: int) -> Layer:
    op = lower(build_network(ModelConfig(name=network, image_size=image_size), 1000)).logits
    return Layer(ConvShape.dense(batch, op.height * op.width * op.channels, op.filters), 1, False)


def share(name: str, shape: ConvShape) -> ConvShape:
    """Return what one core takes of a layer's pass."""
    positions = shape.p * shape.q
    if name == "weight gradient":
        images, c, k = shape.n, min(shape.c, CHUNK), min(shape.k, CHUNK)
    else:
        images = min(shape.n, 2 if positions <= _SMALL_MAP else 1)
        c, k = shape.c, shape.k
    if positions == 1:
        images = shape.n
    if name == "forward":
        k = min(k, _RESULT_CHANNELS)
    elif name == "input gradient":
        c = min(c, _RESULT_CHANNELS)
    return ConvShape.of(images, shape.h, shape.w, c, k, shape.r, shape.s, shape.stride, shape.pad)


def _measure(image: Image, plain: PlainProgram, layers: Sequence[Layer]) -> list[dict[str, Any]]:
    """Return every layer with its passes; shares that several layers have are run once."""
    known: dict[tuple[str, ConvShape], dict[str, Any]] = {}
    found = []
    for layer in layers:
        passes = {}
        for name in PASSES:
            if layer.first and name == "input gradient":
                continue
            part = share(name, layer.shape)
            if (name, part) not in known:
                known[name, part] = _measure_share(image, plain, name, part)
            passes[name] = known[name, part]
        found.append(
            {
                "name": layer.name,
                "kernel": layer.kernel,
                "count": layer.count,
                "macs": layer.macs,
                "passes": passes,
            }
        )
    return found


def _measure_share(image: Image, plain: PlainProgram, name: str, part: ConvShape) -> dict[str, Any]:
    core = Core(ChipMemory(), 1, image, dma_bytes_per_cycle=DMA_BYTES_PER_CYCLE)
    try:
        kernels = CountedKernels(core)
        _passes(kernels, part)[name]()
    finally:
        core.close()
    macs = part.n * part.p * part.q * part.k * part.r * part.s * part.c
    work = kernels.work
    awake = work.cycles - work.sleep_cycles
    plain_macs = plain_rate(plain, name, part)
    return {
        "share": f"{part.n} images, {part.c} to {part.k} channels",
        "macs": macs,
        **{count: getattr(work, count) for count in _COUNTS},
        "packing_cycles": kernels.packing.cycles,
        "mac_per_cycle": round(macs / awake, 4),
        "mac_per_cycle_with_waits": round(macs / work.cycles, 4),
        "bytes_per_mac": round(work.dma_bytes / macs, 4),
        "plain_mac_per_cycle": round(plain_macs, 4),
        "ratio": round(macs / awake / plain_macs, 2),
    }


def _measure_elements(image: Image) -> list[dict[str, Any]]:
    core = Core(ChipMemory(), 1, image)
    try:
        return [asdict(figures) for figures in measure_elements(ArmKernels(core))]
    finally:
        core.close()


def _passes(kernels: ArmKernels, shape: ConvShape) -> dict[str, Callable[[], object]]:
    """Return the passes of a convolution on random 13-bit mantissas."""
    forward = rounding_shift(shape.r * shape.s * shape.c)
    backward = rounding_shift(shape.r * shape.s * shape.k)
    weights = rounding_shift(shape.n * shape.p * shape.q)
    rng = np.random.default_rng(0)

    def random(size: Sequence[int]) -> NDArray[np.int16]:
        return rng.integers(-LIMIT13, LIMIT13 + 1, size).astype(np.int16)

    x, w, e = random(shape.x_shape), random(shape.w_shape), random(shape.y_shape)
    y, d = np.empty_like(e), np.empty_like(x)
    total = np.zeros(shape.w_shape, np.int32)
    return {
        "forward": lambda: kernels.conv_forward(shape, x, w, None, forward, y),
        "input gradient": lambda: kernels.conv_input_gradient(
            shape, e, w, None, 0, 0, None, backward, d
        ),
        "weight gradient": lambda: kernels.conv_weight_gradient(shape, e, x, weights, total),
    }


def rounding_shift(terms: int) -> int:
    """Return what delayed exponents round sums of so many random products by.

    Their largest, some five standard deviations, and one bit of margin then fit 15 bits.
    """
    deviation = LIMIT13**2 / 3 * math.sqrt(terms)
    return int(5 * deviation).bit_length() + 1 - 15


def table(result: dict[str, Any]) -> Table:
    """Return the result of `run` as a table."""
    shown = layer_table(
        title=f"{result['network']} on an emulated ARM968 core, products per cycle with all but "
        "waits included: regatta/gcc -O3 of plain C; other kernels: cycles per element; B: bytes "
        "moved for 1000 products or elements",
        caption="a core's share of a layer: 64 result channels of an image (of two up to 14x14); "
        f"weight gradient 32 x 32 channels of {result['batch']} images; transfers at "
        f"{result['dma_bytes_per_cycle']} bytes per cycle; image {result['itcm_bytes']} B",
    )
    for name in PASSES:
        shown.add_column(name, justify="right", min_width=11)
        shown.add_column("B", justify="right", no_wrap=True)
    for layer in result["layers"]:
        shown.add_row(f"{layer['count']}x {layer['name']}", *_cells(layer["passes"]))
    shown.add_section()
    for kernel in result["elements"]:
        cycles, moved = kernel["cycles_per_element"], kernel["dma_bytes_per_element"]
        shown.add_row(kernel["kernel"], f"{cycles:.1f}", f"{1000 * moved:.0f}")
    return shown


def _cells(passes: dict[str, dict[str, Any]]) -> list[str]:
    cells = []
    for entry in (passes.get(name) for name in PASSES):
        if entry is None:
            cells += ["-", "-"]
            continue
        cells.append(f"{entry['mac_per_cycle']:.3f}/{entry['plain_mac_per_cycle']:.3f}")
        cells.append(f"{1000 * entry['bytes_per_mac']:.0f}")
    return cells
