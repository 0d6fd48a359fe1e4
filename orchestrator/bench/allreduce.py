"""``regatta bench allreduce``: the exchange of a network's gradient, ours beside Horovod's."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from rich.table import Table

from orchestrator.collectives import under_mpi
from orchestrator.collectives.horovod_package import load_horovod
from orchestrator.collectives.mpirun import python_ranks, rank_environment
from orchestrator.errors import ArgumentError, MissingToolError, RunError

OURS = "regatta"
PEER = "horovod"


def run(*, ranks: int = 2, rounds: int = 9, network: str = "resnet50") -> dict[str, Any]:
    """Measure the sum over ranks of one int32 for every parameter of a network.

    Starts its own ranks on this host. Ours and Horovod alternate in every round; figures are
    medians. Times are those of the slowest rank, processor times those of all ranks together.

    Parameters
    ----------
    ranks
        Ranks, at least 2.
    rounds
        Rounds, at least 1.
    network
        Whose parameters are exchanged, at 224 x 224 and 1000 classes.

    Returns
    -------
    dict
        ``cases`` maps a name to ``seconds`` and ``cpu_s``. ``wall_ratio`` and ``cpu_ratio``: our
        speed over that of Horovod's fastest case, above 1 is faster; ``peer_case`` names it.

    Raises
    ------
    ArgumentError
        ``ranks`` or ``rounds`` is too small, or mpirun has started this command itself.
    MissingToolError
        Horovod or mpirun is not installed.
    RunError
        The ranks failed.
    """
    if ranks < 2 or rounds < 1:
        raise ArgumentError(
            f"bench allreduce: {ranks} ranks, {rounds} rounds; at least 2 and 1 are needed"
        )
    if under_mpi():
        raise ArgumentError("bench allreduce starts its own ranks: run it without mpirun")
    load_horovod()
    return figures(_run_ranks(ranks, rounds, network))


def figures(measured: dict[str, Any]) -> dict[str, Any]:
    """Add the ratios to what the ranks measured."""
    cases: dict[str, dict[str, float]] = measured["cases"]
    peers = {name: case for name, case in cases.items() if name.startswith(PEER)}
    best = min(peers, key=lambda name: peers[name]["seconds"])
    ours = cases[OURS]
    return {
        **measured,
        "peer_case": best,
        "wall_ratio": round(peers[best]["seconds"] / ours["seconds"], 3),
        "cpu_ratio": round(peers[best]["cpu_s"] / ours["cpu_s"], 3),
    }


def table(result: dict[str, Any]) -> Table:
    """Return the result of `run` as a table."""
    mebibytes = 4 * result["elements"] / 2**20
    title = (
        f"Sum of {result['network']}'s gradient ({result['elements']:,} int32, {mebibytes:.1f} "
        f"MiB) over {result['ranks']} ranks, median of {result['rounds']} rounds"
    )
    shown = Table(title=title, title_justify="left")
    shown.add_column("")
    for name in ("ms", "CPU ms, all ranks", f"{OURS}'s speed over it"):
        shown.add_column(name, justify="right")
    ours = result["cases"][OURS]["seconds"]
    for name, case in result["cases"].items():
        milliseconds = (f"{1000 * case[key]:.1f}" for key in ("seconds", "cpu_s"))
        shown.add_row(name, *milliseconds, f"{case['seconds'] / ours:.2f}")
    shown.caption = (
        f"{result['wall_ratio']:.2f} times the speed of {result['peer_case']}, "
        f"{result['cpu_ratio']:.2f} times in processor time"
    )
    return shown


def _run_ranks(ranks: int, rounds: int, network: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="regatta-") as folder:
        file = Path(folder) / "result.json"
        program = ["-m", "orchestrator.bench.allreduce_ranks", str(rounds), network, str(file)]
        done = subprocess.run(
            python_ranks(ranks, program),
            env=rank_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            kind = MissingToolError if done.returncode == MissingToolError.exit_code else RunError
            raise kind(f"bench allreduce: the ranks failed:\n{done.stderr.strip()}")
        measured: dict[str, Any] = json.loads(file.read_text())
        return measured
