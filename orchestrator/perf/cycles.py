"""What a share of a layer takes a core: cycles and bytes, from the measured cycle table.

The table is ``kernels-arm968.json`` in this folder, written by ``regatta bench kernels --target
arm968 --json FILE`` on emulated cores (docs/kernels-arm968.md): for every layer and pass of
ResNet-50 the products, cycles, bytes and waits of one core's share with everything included; for
the other kernels cycles and bytes an element. A layer that was not measured takes the figures of
the nearest one that was; `CycleTable.convolution` says which that is.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from math import log
from typing import Any

from orchestrator.errors import ArgumentError, MissingToolError

TABLE = "kernels-arm968.json"
REMEASURE = f"regatta bench kernels --target arm968 --json orchestrator/perf/{TABLE}"

IMAGE_CHANNELS = 4
"""Up to this many channels a convolution reads the network's input, with a kernel of its own."""


class Pass(StrEnum):
    """The three products of a layer, named as in the table."""

    FORWARD = "forward"
    INPUT_GRADIENT = "input gradient"
    WEIGHT_GRADIENT = "weight gradient"


class Element(StrEnum):
    """The kernels that are no convolutions, named as in the table."""

    STATISTICS = "statistics"
    APPLY = "batch norm, ReLU"
    APPLY_SHORTCUT = "batch norm, shortcut, ReLU"
    BACKWARD_SUMS = "backward sums"
    BACKWARD = "batch norm backward"
    MAX_POOL = "max pool 3x3/2, outputs"
    MAX_POOL_BACKWARD = "max pool 3x3/2 backward"
    AVERAGE_POOL = "global average pool"
    AVERAGE_POOL_BACKWARD = "global average pool backward"
    INPUT_TABLE = "input table"
    DROPOUT = "dropout"
    SCALE = "scale"
    LOSS = "loss"
    UPDATE = "update"
    UPDATE_NESTEROV = "update, Nesterov"
    COPY = "13-bit copy"
    BIT_LENGTH = "bit length"
    NORM = "norm"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a share takes one core.

    Attributes
    ----------
    cycles : processor cycles, those asleep not among them.
    dma_bytes : bytes between SDRAM and data memory.
    dma_transfers : pieces they come in.
    waited_bytes : of the bytes, those whose transfer no computation hides: mostly of the first
        tile in and the last one out. They take longer where a core has less bandwidth.
    """

    cycles: float = 0.0
    dma_bytes: float = 0.0
    dma_transfers: float = 0.0
    waited_bytes: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        """Return the cost of one after the other."""
        return Cost(
            self.cycles + other.cycles,
            self.dma_bytes + other.dma_bytes,
            self.dma_transfers + other.dma_transfers,
            self.waited_bytes + other.waited_bytes,
        )

    def __mul__(self, times: float) -> "Cost":
        """Return the cost of several alike."""
        return Cost(
            self.cycles * times,
            self.dma_bytes * times,
            self.dma_transfers * times,
            self.waited_bytes * times,
        )

    __rmul__ = __mul__


@dataclass(frozen=True, slots=True)
class Measured:
    """One pass of one measured layer.

    Attributes
    ----------
    layer : its name in the table, as ``28x28 512-128 1x1/1``.
    kind : `kind_of` its kernel and channels.
    strided : whether its stride is above 1.
    positions : of its output map.
    reduction : channels that its sums run over (input for forward, output for an input gradient);
        0 for a weight gradient, whose sums run over positions.
    per_product : what one product takes.
    packing_cycles : for each weight, to lay it out for this pass; 0 for a weight gradient.
    """

    layer: str
    kind: str
    strided: bool
    positions: int
    reduction: int
    per_product: Cost
    packing_cycles: float


def kind_of(kernel: tuple[int, int], channels: int) -> str:
    """Return which of the cores' inner loops a convolution takes.

    Examples
    --------
    >>> kind_of((7, 7), 3), kind_of((1, 1), 64), kind_of((5, 5), 64)
    ('image', 'pointwise', 'window')
    """
    if channels <= IMAGE_CHANNELS:
        return "image"
    return "pointwise" if kernel == (1, 1) else "window"


@dataclass(frozen=True, eq=False)
class CycleTable:
    """The measured costs; made by `load_table` or `parse_table`."""

    passes: Mapping[Pass, tuple[Measured, ...]]
    elements: Mapping[Element, Cost]

    def nearest(
        self, pass_: Pass, kernel: tuple[int, int], channels: int, stride: int, positions: int,
        reduction: int,
    ) -> Measured:  # fmt: skip
        """Return the measured layer that stands for another one.

        Layers of the same kind come first, then those that are strided alike; among these the one
        with the least ``|ln(positions ratio)| + |ln(reduction ratio)| / 2``, since the length of
        rows changes a rate more than the length of sums; the first of equals. A window stands for
        an image where that pass of an image was not measured.

        Parameters
        ----------
        channels : input channels of the layer.
        positions : of its output map, at least 1.
        reduction : as in `Measured`; ignored for a weight gradient.
        """
        kind = kind_of(kernel, channels)

        def distance(one: Measured) -> tuple[int, bool, float]:
            near = abs(log(positions / one.positions))
            if one.reduction:
                near += abs(log(reduction / one.reduction)) / 2
            other = 0 if one.kind == kind else 1 if one.kind == "window" else 2
            return other, one.strided != (stride > 1), near

        return min(self.passes[pass_], key=distance)

    def convolution(
        self, pass_: Pass, kernel: tuple[int, int], channels: int, stride: int, positions: int,
        reduction: int,
    ) -> Cost:  # fmt: skip
        """Return what each product of a pass takes; parameters as in `nearest`.

        A core pads channels to multiples of 32 (those of the network's input to 4), so the padded
        ones count as products. Costs are in proportion to products, waits among them.
        """
        return self.nearest(pass_, kernel, channels, stride, positions, reduction).per_product

    def packing(
        self, pass_: Pass, kernel: tuple[int, int], channels: int, stride: int, positions: int,
        reduction: int,
    ) -> Cost:  # fmt: skip
        """Return what laying out one weight for a pass takes: read and written once a step."""
        one = self.nearest(pass_, kernel, channels, stride, positions, reduction)
        return Cost(one.packing_cycles, 4.0 if one.packing_cycles else 0.0)

    def product(self, kernel: str) -> Cost:
        """Return what a product takes of a layer named with its pass.

        Parameters
        ----------
        kernel : as ``weight gradient 28x28 512-128 1x1/1``: pass, size of the input, channels,
            window and stride.
        """
        pass_, size, channels, window = kernel.rsplit(" ", 3)
        layer = _Layer.named(f"{size} {channels} {window}")
        return self.convolution(
            Pass(pass_),
            layer.kernel,
            layer.c,
            layer.stride,
            layer.positions,
            layer.reduction(pass_),
        )

    def element(self, kernel: Element) -> Cost:
        """Return what an element takes of a kernel that is no convolution."""
        return self.elements[kernel]


@cache
def load_table() -> CycleTable:
    """Return the table that this package came with.

    Raises
    ------
    MissingToolError
        There is none, or it is not one of a calibrated core.
    """
    try:
        text = files("orchestrator.perf").joinpath(TABLE).read_text(encoding="utf-8")
    except OSError as error:
        raise MissingToolError(
            f"the cycle table orchestrator/perf/{TABLE} cannot be read ({error}): without the "
            f"measured cycles of a core there is no plan and no study; {REMEASURE} measures them"
        ) from None
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise _uncalibrated(f"it is not JSON ({error})") from None
    return parse_table(data)


def parse_table(data: Mapping[str, Any]) -> CycleTable:
    """Return the table of a result of ``regatta bench kernels --target arm968``.

    Raises
    ------
    MissingToolError
        It is not one, or lacks a pass or a kernel: the command that measures it is named.
    """
    try:
        if data["bench"] != "arm_kernels":
            raise _uncalibrated(f"it holds {data['bench']!r}, not 'arm_kernels'")
        rate = float(data["dma_bytes_per_cycle"])
        passes: dict[Pass, list[Measured]] = {each: [] for each in Pass}
        for layer in data["layers"]:
            for name, figures in layer["passes"].items():
                passes[Pass(name)].append(_measured(layer["name"], Pass(name), figures, rate))
        elements = {
            Element(each["kernel"]): Cost(
                each["cycles_per_element"],
                each["dma_bytes_per_element"],
            )
            for each in data["elements"]
        }
    except (KeyError, TypeError, ValueError, AttributeError, ArgumentError) as error:
        raise _uncalibrated(f"it is incomplete or has another form ({error})") from None
    missing = [each for each in Pass if not passes[each]]
    missing_elements = [each for each in Element if each not in elements]
    if missing or missing_elements:
        raise _uncalibrated(f"it lacks {', '.join([*missing, *missing_elements])}")
    return CycleTable({each: tuple(found) for each, found in passes.items()}, elements)


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer as its name describes it: ``HxW C-K RxS/STRIDE``, with the size of its input."""

    size: tuple[int, int]
    c: int
    k: int
    kernel: tuple[int, int]
    stride: int

    @classmethod
    def named(cls, name: str) -> "_Layer":
        size, channels, kernel = name.split(" ")
        window, _, stride = kernel.partition("/")
        (height, width), (r, s) = (map(int, text.split("x")) for text in (size, window))
        c, k = map(int, channels.split("-"))
        return cls((height, width), c, k, (r, s), int(stride))

    @property
    def positions(self) -> int:
        """Return those of the output: padded to the input's, or one for a window of all."""
        if self.kernel == self.size:
            return 1
        return -(-self.size[0] // self.stride) * -(-self.size[1] // self.stride)

    def reduction(self, pass_: str) -> int:
        """Return the channels that a pass sums over, 0 for a weight gradient."""
        return {Pass.FORWARD: self.c, Pass.INPUT_GRADIENT: self.k}.get(Pass(pass_), 0)


def _measured(name: str, pass_: Pass, figures: Mapping[str, Any], rate: float) -> Measured:
    layer = _Layer.named(name)
    macs = int(figures["macs"])
    asleep = float(figures["sleep_cycles"])
    awake = float(figures["cycles"]) - asleep
    if macs < 1 or not 0 <= asleep or not awake > 0:
        raise ArgumentError(f"{name}: {macs} products in {awake} cycles")
    cost = Cost(awake, figures["dma_bytes"], figures["dma_transfers"], asleep * rate)
    reduction = layer.reduction(pass_)
    other = {Pass.FORWARD: layer.k, Pass.INPUT_GRADIENT: layer.c}.get(pass_, 1)
    weights = layer.kernel[0] * layer.kernel[1] * max(reduction, 1) * min(other, SHARE_CHANNELS)
    return Measured(
        layer=name,
        kind=kind_of(layer.kernel, layer.c),
        strided=layer.stride > 1,
        positions=layer.positions,
        reduction=reduction,
        per_product=cost * (1 / macs),
        packing_cycles=figures["packing_cycles"] / weights,
    )


SHARE_CHANNELS = 64
"""Result channels of a measured share, whose weights its packing lays out."""


def _uncalibrated(why: str) -> MissingToolError:
    return MissingToolError(
        f"the cycle table orchestrator/perf/{TABLE} is not calibrated: {why}; {REMEASURE} "
        "measures it"
    )
