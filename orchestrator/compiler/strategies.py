"""Single strategies: splits that a network is cut by where only one idea is used.

They are points of the same space as what the search finds, laid out and timed in the same way.
"""

from collections.abc import Iterator

import numpy as np

from orchestrator.compiler.layers import Network
from orchestrator.compiler.program import Split, WeightSplit
from orchestrator.compiler.search import decider
from orchestrator.compiler.site import Site

Cuts = tuple[dict[str, Split], dict[str, WeightSplit]]


def single_cuts(site: Site) -> Iterator[tuple[str, Cuts]]:
    """Yield the name and the splits of every single strategy.

    *Images*: every chip takes whole images and all weights. *Channels*: every chip takes all
    images and a group of every layer's channels. *Pipeline*: the layers are dealt to runs of chips
    by their products; within a run, image rows are dealt. Since batch norm and the exponents of
    activations need the whole ghost batch, no two runs of a pipeline work at a time.
    """
    n, network = site.mesh.n, site.network
    every = site.mesh.order(1)
    images = Split(chips=every[: min(n, site.images)], groups=1, whole_images=True)
    yield "images", _everywhere(network, images)
    yield "channels", _everywhere(network, Split(chips=every, groups=n))
    yield "pipeline", _pipeline(network, every)


def _everywhere(network: Network, split: Split) -> Cuts:
    weights = {op.name: WeightSplit(split=split) for op in network.convolutions}
    return {op.name: split for op in network.operations}, weights


def _pipeline(network: Network, chips: tuple[int, ...]) -> Cuts:
    """Cut the layers in as many runs as there are chips, or layers, with about equal products."""
    layers = network.convolutions
    macs = np.array([op.weights * op.y.height * op.y.width for op in layers], np.float64)
    ends = np.cumsum(macs) / macs.sum()
    found = {}
    for op, first, end in zip(layers, [0.0, *ends[:-1]], ends, strict=True):
        low = min(len(chips) - 1, int(first * len(chips)))
        high = max(low + 1, round(float(end) * len(chips)))
        found[op.name] = Split(chips=chips[low:high], groups=1)
    splits = {op.name: found[decider(network, op).name] for op in network.operations}
    return splits, {name: WeightSplit(split=split) for name, split in found.items()}
