"""``regatta bench step``: whole training steps, ours beside PyTorch's float32."""

import math
from typing import Any

from rich.table import Table

from orchestrator.bench.machine import freed_memory_kept
from orchestrator.bench.peer_convolutions import load_torch, note, peer_name, torch_threads
from orchestrator.bench.step_memory import OURS, PEER, measure_alone
from orchestrator.bench.step_sides import StepCase, default_input, our_step, peer_step
from orchestrator.bench.tables import speed_table
from orchestrator.bench.timing import Times, alternate, medians, paired_ratios
from orchestrator.boards.kernels_native import open_kernels
from orchestrator.errors import ArgumentError


def run(
    *,
    network: str = "resnet50",
    batch: int = 16,
    ghost_batch: int | None = None,
    rounds: int = 5,
    threads: int = 1,
    image_size: int | None = None,
    kernel_set: str | None = None,
) -> dict[str, Any]:
    """Measure forward, backward and update on the same images from the same weights.

    The two sides take turns in this process, with a malloc that keeps freed memory; peak memory is
    measured in a process for each side, with the C library's own settings.

    Parameters
    ----------
    network
        A name the configuration knows.
    batch, ghost_batch
        Images of a step; of one pass of both sides (None: the batch).
    rounds
        Steps of each side, at least 1; one more goes before, unmeasured.
    threads
        Of both sides.
    image_size
        None for the network's usual one.
    kernel_set
        Ours to measure; None for the set that training would take.

    Returns
    -------
    dict
        ``images_per_cpu_s``, ``images_per_s``, ``peak_mib``, ``before_mib`` (libraries alone), the
        peer's with the prefix ``peer_``; ``cpu_ratio`` and ``wall_ratio``, medians of each round's
        ratio of our speed over the peer's; ``memory_ratio``, our memory beyond the libraries over
        the peer's; ``loss`` of the last step of both.

    Raises
    ------
    ArgumentError
        A number is below 1, or the ghost batch is larger than the batch.
    MissingToolError
        PyTorch is not installed, or the kernels are not built.
    RunError
        A process that measures memory failed.
    """
    if rounds < 1:
        raise ArgumentError(f"bench step: rounds is {rounds}, at least 1 is needed")
    usual_size, classes = default_input(network)
    case = StepCase(
        network=network,
        image_size=usual_size if image_size is None else image_size,
        classes=classes,
        batch=batch,
        ghost_batch=batch if ghost_batch is None else ghost_batch,
        threads=threads,
        kernel_set=kernel_set,
    )
    torch = load_torch("bench step")
    kernels = open_kernels(threads, kernel_set)
    parameters = sum(math.prod(parameter.shape) for parameter in case.graph.parameters)
    memory = {side: measure_alone(side, case) for side in (OURS, PEER)}
    with freed_memory_kept() as tuned, torch_threads(torch, threads):
        losses, (ours, peers) = _alternate(case, rounds)
    return {
        "network": network,
        "parameters": parameters,
        "image_size": case.image_size,
        "batch": batch,
        "ghost_batch": case.ghost_batch,
        "rounds": rounds,
        "threads": threads,
        "kernel_set": kernels.name,
        "peer": peer_name(torch),
        "note": note(case.ghost_batch, threads),
        "malloc_tuned": tuned,
        **_speeds(ours, peers, batch),
        **_memory(memory[OURS], memory[PEER]),
        "loss": round(losses[0], 4),
        "peer_loss": round(losses[1], 4),
    }


def _alternate(case: StepCase, rounds: int) -> tuple[list[float], list[list[Times]]]:
    """Return the last losses of both sides, and their times."""
    steps = our_step(case), peer_step(case)
    losses = [math.nan, math.nan]

    def ours() -> None:
        losses[0] = steps[0]()

    def peer() -> None:
        losses[1] = steps[1]()

    return losses, alternate((ours, peer), rounds)


def _speeds(ours: list[Times], peers: list[Times], batch: int) -> dict[str, Any]:
    our, peer = medians(ours), medians(peers)
    ratios = paired_ratios(ours, peers)
    middle = medians(ratios)
    return {
        "images_per_cpu_s": round(batch / our.cpu, 3),
        "images_per_s": round(batch / our.wall, 3),
        "peer_images_per_cpu_s": round(batch / peer.cpu, 3),
        "peer_images_per_s": round(batch / peer.wall, 3),
        "cpu_ratio": round(middle.cpu, 3),
        "wall_ratio": round(middle.wall, 3),
        "cpu_ratios": [round(ratio.cpu, 3) for ratio in ratios],
        "wall_ratios": [round(ratio.wall, 3) for ratio in ratios],
    }


def _memory(ours: dict[str, float], peer: dict[str, float]) -> dict[str, float]:
    added, peer_added = (side["peak_mib"] - side["before_mib"] for side in (ours, peer))
    return {
        **ours,
        **{f"peer_{name}": value for name, value in peer.items()},
        "memory_ratio": round(added / peer_added, 3),
    }


def table(result: dict[str, Any]) -> Table:
    """Return the result of `run` as a table."""
    title = (
        f"Training step of {result['network']}, {result['image_size']} x {result['image_size']}, "
        f"batch {result['batch']} in ghost batches of {result['ghost_batch']}, "
        f"{result['threads']} thread(s), median of {result['rounds']} rounds"
    )
    shown = speed_table(title, result, digits=2)
    for label, key in (("peak memory, MiB", "peak_mib"), ("of it libraries", "before_mib")):
        shown.add_row(label, f"{result[key]:.0f}", f"{result['peer_' + key]:.0f}", "")
    shown.add_row("memory without libraries", "", "", f"{result['memory_ratio']:.2f}")
    shown.add_row("loss of the last step", f"{result['loss']:.3f}", f"{result['peer_loss']:.3f}")
    ratios = result["cpu_ratios"]
    shown.caption = (
        f"regatta: {result['kernel_set']} kernels; peer: {result['peer']}; ratio per CPU second "
        f"in single rounds: {min(ratios):.2f} .. {max(ratios):.2f}"
    )
    if result["note"]:
        shown.caption = f"{shown.caption}; {result['note']}"
    return shown
