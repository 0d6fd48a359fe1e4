"""What a training would do: ranks, ghost batches, steps, memory and disk, before it starts."""

from collections.abc import Mapping
from typing import Any

from orchestrator.collectives.cuts import share
from orchestrator.config import RunConfig
from orchestrator.model.lower import Lowered, PoolOp, lower
from orchestrator.optim import plan_batches
from orchestrator.train.setup import prepare

STATE_BYTES = 14
"""Per parameter: master, momentum and gradient of 4 bytes, the weight copy of 2."""

CHECKPOINT_BYTES = 12
"""Per parameter: master, momentum and a float32 weight."""


def preview(config: RunConfig, ranks: int) -> dict[str, Any]:
    """Return what a training on so many ranks would do.

    Raises
    ------
    ConfigError, DataError
        What would also end the training at once.
    """
    setup = prepare(config)
    assert setup.train_data is not None
    graph, train = setup.graph, config.train
    batches = plan_batches(train, len(setup.train_data))
    ghosts = train.global_batch // train.ghost_batch
    shares = [share(ghosts, ranks, rank) for rank in range(ranks)]
    parameters = sum(p.size for p in graph.parameters)
    bytes_per_image = activation_bytes(lower(graph))
    # One more is on the disk while a new one is written.
    checkpoints = train.keep_checkpoints + 1 + (1 if train.keep_best else 0)
    return {
        "network": config.model.name,
        "parameters": parameters,
        "classes": len(setup.classes),
        "train_samples": len(setup.train_data),
        "eval_samples": len(setup.eval_data),
        "ranks": ranks,
        "global_batch": train.global_batch,
        "ghost_batch": train.ghost_batch,
        "ghost_batches_per_rank": [part.stop - part.start for part in shares],
        "steps_per_epoch": batches.steps(0),
        "dropped_samples_per_epoch": len(setup.train_data) % train.global_batch,
        "total_steps": batches.total_steps,
        "macs_per_image": graph.macs,
        "rank_memory_bytes": parameters * STATE_BYTES + bytes_per_image * train.ghost_batch,
        "exchange_bytes_per_step": parameters * 4,
        "checkpoint_bytes": parameters * CHECKPOINT_BYTES,
        "disk_bytes": parameters * CHECKPOINT_BYTES * checkpoints,
    }


def activation_bytes(plan: Lowered) -> int:
    """Return what one image keeps for the backward pass, and the largest error on its way.

    int16 sums and activations, one byte an element for the place of each pool's maximum; the three
    largest tensors once more, for the errors under way.
    """
    sizes = []
    total = 0
    for op in plan.ops:
        h, w, c = plan.shapes[op.output]
        elements = h * w * c
        sizes.append(2 * elements)
        total += (3 if isinstance(op, PoolOp) else 2) * elements
    h, w, c = plan.shapes[plan.input]
    return total + 2 * h * w * c + sum(sorted(sizes)[-3:])


def facts(report: Mapping[str, Any]) -> dict[str, str]:
    """Return a preview as names and texts."""
    shares = report["ghost_batches_per_rank"]
    each = f"{min(shares)}" if min(shares) == max(shares) else f"{min(shares)} to {max(shares)}"
    idle = shares.count(0)
    return {
        "network": f"{report['network']}, {report['parameters']:,} parameters, "
        f"{report['macs_per_image'] / 1e9:.3f} GMAC forward an image",
        "data": f"{report['train_samples']:,} training and {report['eval_samples']:,} evaluation "
        f"images, {report['classes']} classes",
        "step": f"{report['global_batch']:,} images in ghost batches of {report['ghost_batch']}",
        "ranks": f"{report['ranks']}, each {each} ghost batches a step"
        + (f"; {idle} without work" if idle else ""),
        "steps": f"{report['total_steps']:,} ({report['steps_per_epoch']:,} in the first epoch, "
        f"{report['dropped_samples_per_epoch']:,} images dropped at its end)",
        "memory of a rank": size_text(report["rank_memory_bytes"]) + " (estimate)",
        "exchange of a step": size_text(report["exchange_bytes_per_step"]),
        "checkpoints": f"{size_text(report['checkpoint_bytes'])} each, "
        f"{size_text(report['disk_bytes'])} in all",
    }


def size_text(n_bytes: int) -> str:
    """Return a size as people write it.

    Examples
    --------
    >>> size_text(832), size_text(51_100_000)
    ('832 B', '51.1 MB')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= scale:
            return f"{n_bytes / scale:.1f} {unit}"
    return f"{n_bytes} B"
