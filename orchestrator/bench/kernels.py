"""``regatta bench kernels``: convolutions by layer and pass, ours beside PyTorch's float32."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, prod
from typing import Any, Final

import numpy as np
from rich.table import Table

from orchestrator.bench.machine import freed_memory_kept
from orchestrator.bench.peer_convolutions import (
    load_torch,
    note,
    peer_name,
    peer_passes,
    torch_threads,
)
from orchestrator.bench.tables import layer_table
from orchestrator.bench.timing import Times, Work, alternate, medians
from orchestrator.boards.kernels import Kernels
from orchestrator.boards.kernels_native import open_kernels
from orchestrator.config import ModelConfig
from orchestrator.dfp import LIMIT13
from orchestrator.errors import ArgumentError
from orchestrator.model.lower import ConvOp, lower
from orchestrator.model.shapes import ConvShape
from orchestrator.model.zoo import build_network

ALL: Final = "all"
PASSES: Final = ("forward", "input gradient", "weight gradient")
TIMES: Final = ("cpu_s", "wall_s")


@dataclass(frozen=True, slots=True)
class Layer:
    """Convolutions of one shape.

    Attributes
    ----------
    shape : with the batch.
    count : how many of them the network has.
    first : whether they read the image, which needs no gradient.
    """

    shape: ConvShape
    count: int
    first: bool

    @property
    def kernel(self) -> str:
        """The kernel's size, such as 3x3."""
        return f"{self.shape.r}x{self.shape.s}"

    @property
    def name(self) -> str:
        """Input size, channels, kernel and stride."""
        s = self.shape
        return f"{s.h}x{s.w} {s.c}-{s.k} {self.kernel}/{s.stride}"

    @property
    def macs(self) -> int:
        """Products in one pass."""
        s = self.shape
        return prod((s.n, s.p, s.q, s.k, s.r, s.s, s.c))


def run(
    *,
    layers: str = ALL,
    batch: int = 16,
    rounds: int = 5,
    threads: int = 1,
    kernel_set: str | None = None,
    network: str = "resnet50",
    image_size: int = 224,
) -> dict[str, Any]:
    """Measure every convolution shape of a network in every pass; both sides take turns.

    Parameters
    ----------
    layers
        Kernel size such as "3x3", or "all".
    batch, rounds, threads
        At least 1; the same threads for both sides.
    kernel_set
        Ours to measure; None for the set that training would take.
    network, image_size
        Whose layers.

    Returns
    -------
    dict
        ``layers``, each with its passes; ``summary`` by kernel size and pass; ``cpu_ratio`` and
        ``wall_ratio`` of all of it: our speed over the peer's, above 1 is faster.

    Raises
    ------
    ArgumentError
        A number is below 1, or the network has no such layer.
    MissingToolError
        PyTorch is not installed, or the kernels are not built.
    """
    for name, value in (("batch", batch), ("rounds", rounds), ("threads", threads)):
        if value < 1:
            raise ArgumentError(f"bench kernels: {name} is {value}, at least 1 is needed")
    chosen = choose_layers(network, image_size, batch, layers)
    torch = load_torch("bench kernels")
    kernels = open_kernels(threads, kernel_set)
    with freed_memory_kept() as tuned, torch_threads(torch, threads), torch.no_grad():
        measured = [_measure_layer(torch, kernels, layer, rounds) for layer in chosen]
    overall = _summary(measured, None, None)
    return {
        "network": network,
        "image_size": image_size,
        "batch": batch,
        "rounds": rounds,
        "threads": threads,
        "kernel_set": kernels.name,
        "peer": peer_name(torch),
        "note": note(batch, threads),
        "malloc_tuned": tuned,
        "layers": measured,
        "summary": summarise(measured),
        "cpu_ratio": overall["cpu_ratio"],
        "wall_ratio": overall["wall_ratio"],
    }


def choose_layers(network: str, image_size: int, batch: int, layers: str) -> list[Layer]:
    """Return a network's convolution shapes in order, each with how often it occurs.

    Raises
    ------
    ArgumentError
        None has this kernel size; the message lists those there are.
    """
    plan = lower(build_network(ModelConfig(name=network, image_size=image_size), 1000))
    shapes: Counter[tuple[ConvShape, bool]] = Counter()
    for op in plan.ops:
        if isinstance(op, ConvOp) and op is not plan.logits:
            sizes = (op.height, op.width, op.channels, op.filters, *op.kernel)
            shape = ConvShape.of(batch, *sizes, stride=op.stride, pad=op.padding)
            shapes[shape, op.input == plan.input] += 1
    found = [Layer(shape, count, first) for (shape, first), count in shapes.items()]
    chosen = [layer for layer in found if layers in (ALL, layer.kernel)]
    if not chosen:
        kernels = ", ".join(dict.fromkeys(layer.kernel for layer in found))
        raise ArgumentError(f"--layers {layers}: {network} has {kernels}; or give {ALL}")
    return chosen


def our_passes(kernels: Kernels, shape: ConvShape) -> dict[str, Work]:
    """Return the passes of a convolution on random 13-bit mantissas, rounded to 16 bits."""
    rng = np.random.default_rng(0)
    x, w, e = (
        rng.integers(-LIMIT13, LIMIT13 + 1, size, np.int16)
        for size in (shape.x_shape, shape.w_shape, shape.y_shape)
    )
    y, d = np.empty(shape.y_shape, np.int16), np.empty(shape.x_shape, np.int16)
    total = np.zeros(shape.w_shape, np.int32)
    products = {
        "forward": shape.r * shape.s * shape.c,
        "input gradient": shape.r * shape.s * shape.k,
        "weight gradient": shape.n * shape.p * shape.q,
    }
    shifts = {name: _shift(count) for name, count in products.items()}
    return {
        "forward": lambda: kernels.conv_forward(shape, x, w, None, shifts["forward"], y),
        "input gradient": lambda: kernels.conv_input_gradient(
            shape, e, w, None, 0, 0, None, shifts["input gradient"], d
        ),
        "weight gradient": lambda: kernels.conv_weight_gradient(
            shape, e, x, shifts["weight gradient"], total
        ),
    }


def _shift(products: int) -> int:
    """Return a shift to 16 bits for a sum of so many random products (4 deviations and more)."""
    return max(0, 24 + products.bit_length() // 2 - 13)


def _measure_layer(torch: Any, kernels: Kernels, layer: Layer, rounds: int) -> dict[str, Any]:
    ours, peers = our_passes(kernels, layer.shape), peer_passes(torch, layer.shape)
    passes = {}
    for name in PASSES:
        if layer.first and name == "input gradient":
            continue
        our, peer = (medians(times) for times in alternate((ours[name], peers[name]), rounds))
        passes[name] = _entry(our, peer, layer.macs)
    return {
        "name": layer.name,
        "kernel": layer.kernel,
        "count": layer.count,
        "macs": layer.macs,
        "passes": passes,
    }


def _entry(our: Times, peer: Times, macs: int) -> dict[str, float]:
    return {
        "cpu_s": our.cpu,
        "wall_s": our.wall,
        "peer_cpu_s": peer.cpu,
        "peer_wall_s": peer.wall,
        "gmac_per_cpu_s": round(macs / our.cpu / 1e9, 2),
        "peer_gmac_per_cpu_s": round(macs / peer.cpu / 1e9, 2),
        "cpu_ratio": round(peer.cpu / our.cpu, 3),
        "wall_ratio": round(peer.wall / our.wall, 3),
    }


def summarise(layers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return totals over all convolutions of each kernel size, by pass and together."""
    kernels = list(dict.fromkeys(layer["kernel"] for layer in layers))
    rows = [_summary(layers, kernel, name) for kernel in kernels for name in (*PASSES, None)]
    if len(kernels) > 1:
        rows += [_summary(layers, None, name) for name in (*PASSES, None)]
    return [row for row in rows if row]


def _summary(
    layers: Sequence[dict[str, Any]], kernel: str | None, name: str | None
) -> dict[str, Any]:
    """Return the totals of a kernel size and a pass (None: of all); empty if nothing was measured.

    Every layer counts as often as the network has it. ``geometric_cpu_ratio`` is the mean of the
    ratios, so that it does not depend on which layers take most time.
    """
    chosen = [
        (layer["count"], layer["macs"], entry)
        for layer in layers
        for pass_name, entry in layer["passes"].items()
        if kernel in (None, layer["kernel"]) and name in (None, pass_name)
    ]
    if not chosen:
        return {}
    ours, peers = (
        Times(*(sum(count * entry[prefix + key] for count, _, entry in chosen) for key in TIMES))
        for prefix in ("", "peer_")
    )
    ratios = [(count, entry["cpu_ratio"]) for count, _, entry in chosen]
    mean = sum(count * log(ratio) for count, ratio in ratios) / sum(count for count, _ in ratios)
    macs = sum(count * macs for count, macs, _ in chosen)
    return {
        "kernel": kernel or ALL,
        "pass": name or ALL,
        **_entry(ours, peers, macs),
        "geometric_cpu_ratio": round(exp(mean), 3),
    }


def table(result: dict[str, Any]) -> Table:
    """Return the result of `run` as a table: layers, then totals."""
    shown = layer_table(title=_title(result), caption=result["note"])
    for name in PASSES:
        shown.add_column(name, justify="right", min_width=9)
        shown.add_column("ratio", justify="right", no_wrap=True)
    for layer in result["layers"]:
        label = f"{layer['count']}x {layer['name']}"
        shown.add_row(label, *_cells(layer["passes"]))
    shown.add_section()
    for kernel in dict.fromkeys(row["kernel"] for row in result["summary"]):
        passes = {row["pass"]: row for row in result["summary"] if row["kernel"] == kernel}
        label = f"{kernel} together: {passes[ALL]['cpu_ratio']:.2f}"
        shown.add_row(label, *_cells(passes))
    return shown


def _title(result: dict[str, Any]) -> str:
    return (
        f"{result['network']}, batch {result['batch']}, {result['threads']} thread(s), GMAC per "
        f"CPU second: regatta ({result['kernel_set']})/{result['peer']}; "
        f"median of {result['rounds']} rounds; ratio: our speed over the peer's"
    )


def _cells(passes: dict[str, dict[str, Any]]) -> list[str]:
    cells = []
    for entry in (passes.get(name) for name in PASSES):
        if entry is None:
            cells += ["-", "-"]
            continue
        cells.append(f"{entry['gmac_per_cpu_s']:.1f}/{entry['peer_gmac_per_cpu_s']:.1f}")
        cells.append(f"{entry['cpu_ratio']:.2f}")
    return cells
