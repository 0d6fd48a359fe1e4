"""``regatta bench transfer``: memory to and from a board, beside spinnman on the same board.

The boards are virtual and served by a process of their own; each answers both sides. One has a
clean network, the other loses, doubles and reorders datagrams.
"""

import contextlib
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table

from orchestrator.bench.timing import Times, alternate, medians, paired_ratios
from orchestrator.boards.hardware.boards import given_host
from orchestrator.boards.hardware.exchange import WINDOW, BoardLink, exchange
from orchestrator.boards.hardware.pieces import Read, Write
from orchestrator.boards.hardware.spinnman_session import SpinnmanSession
from orchestrator.errors import ArgumentError, RunError
from orchestrator.wire.layout import USER_HEAP
from orchestrator.wire.numbers import MAX_SCP_DATA

MEGABYTE: Final = 1_000_000
AREA: Final = USER_HEAP + 0x100000
"""Where data go: in the heap's free block, behind its headers."""

LARGEST_MEGABYTES: Final = 100
FAULT_SHARE: Final = 0.05
"""Of datagrams each way: lost, doubled, and held back so that others overtake, one each."""

PEER_BYTES_WITH_FAULTS: Final = 16 * 1024
"""spinnman waits a second for every few datagrams then; its rate does not depend on the size."""

_CLEAN: Final = "127.0.110.0"
_FAULTY: Final = "127.0.111.0"
_VERSION: Final = 3
_READY: Final = "serving"


class Way(NamedTuple):
    """One row: which way data go, over which network, and each side's bytes and times."""

    way: str
    network: str
    our_bytes: int
    peer_bytes: int
    ours: list[Times]
    peers: list[Times]


def run(*, megabytes: float = 16, rounds: int = 3) -> dict[str, Any]:
    """Write to a virtual board and read back, both sides in turn.

    Parameters
    ----------
    megabytes
        Of each transfer, 10^6 bytes, at most 100; spinnman moves 16 KiB where datagrams are lost.
    rounds
        At least 1; speeds are those of the medians, ratios medians of the rounds'.

    Returns
    -------
    dict
        ``ways``: write and read without faults and with; each with megabytes a second and CPU
        microseconds a datagram of both sides, ``wall_ratio`` and ``cpu_ratio`` a byte.

    Raises
    ------
    ArgumentError
        A number outside its range.
    MissingToolError
        spinnman is not installed.
    RunError
        A board does not answer, or data come back changed.
    """
    if not 0 < megabytes <= LARGEST_MEGABYTES:
        raise ArgumentError(
            f"bench transfer: megabytes is {megabytes}, above 0 and at most {LARGEST_MEGABYTES}"
        )
    if rounds < 1:
        raise ArgumentError(f"bench transfer: rounds is {rounds}, at least 1 is needed")
    size = max(1, round(megabytes * MEGABYTE))
    with served(_CLEAN, faults=False):
        ways = _measure(_CLEAN, "clean", size, size, rounds)
    with served(_FAULTY, faults=True):
        ways += _measure(_FAULTY, "faulty", size, min(size, PEER_BYTES_WITH_FAULTS), rounds)
    return {
        "megabytes": megabytes,
        "rounds": rounds,
        "window": WINDOW,
        "fault_share": FAULT_SHARE,
        "ways": [_figures(way) for way in ways],
    }


@contextlib.contextmanager
def served(base_address: str, *, faults: bool) -> Iterator[None]:
    """Serve a booted board of four chips in another process.

    Raises
    ------
    RunError
        It does not start.
    """
    with tempfile.TemporaryDirectory() as folder:
        machine = Path(folder) / "board.yaml"
        machine.write_text(f"shape: spinn3\nbooted: true\nbase_address: {base_address}\n")
        command = [sys.executable, "-m", "orchestrator", "machine", "serve", str(machine)]
        if faults:
            plan = Path(folder) / "faults.yaml"
            share = f"loss: {FAULT_SHARE}, duplication: {FAULT_SHARE}, reordering: {FAULT_SHARE}"
            plan.write_text(f"received: {{{share}}}\nsent: {{{share}}}\n")
            command += ["--faults", str(plan)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        with process:
            try:
                _await_ready(process)
                yield
            finally:
                process.terminate()


def _await_ready(process: "subprocess.Popen[str]") -> None:
    said = []
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(_READY):
            return
        said.append(line)
    raise RunError(f"the virtual board did not start: {''.join(said).strip()}")


def _measure(
    base_address: str, network: str, our_size: int, peer_size: int, rounds: int
) -> list[Way]:
    host = base_address.removesuffix("0") + "1"
    data = random.Random(0).randbytes(our_size)
    with SpinnmanSession(given_host(host), _VERSION) as session, BoardLink(host) as link:
        transceiver = session.transceiver

        def write_ours() -> None:
            exchange([(link, [Write(0, 0, AREA, data)])])

        def write_theirs() -> None:
            transceiver.write_memory(0, 0, AREA, data[:peer_size])

        def read_ours() -> None:
            _check("our", exchange([(link, [Read(0, 0, AREA, our_size)])])[0][0], data)

        def read_theirs() -> None:
            found = transceiver.read_memory(0, 0, AREA, peer_size)
            _check("spinnman's", bytes(found), data[:peer_size])

        def way(name: str, ours: Callable[[], None], theirs: Callable[[], None]) -> Way:
            times = alternate([ours, theirs], rounds)
            return Way(name, network, our_size, peer_size, *times)

        return [way("write", write_ours, write_theirs), way("read", read_ours, read_theirs)]


def _check(whose: str, found: bytes | bytearray, data: bytes) -> None:
    if found != data:
        raise RunError(f"what {whose} side reads back is not what was written")


def _figures(way: Way) -> dict[str, Any]:
    scale = way.our_bytes / way.peer_bytes  # both sides' speeds are a byte's
    ratios = medians(paired_ratios(way.ours, way.peers))
    return {
        "way": way.way,
        "network": way.network,
        **_side("", way.our_bytes, medians(way.ours)),
        **_side("peer_", way.peer_bytes, medians(way.peers)),
        "wall_ratio": round(ratios.wall * scale, 2),
        "cpu_ratio": round(ratios.cpu * scale, 2),
    }


def _side(prefix: str, size: int, times: Times) -> dict[str, float]:
    datagrams = -(-size // MAX_SCP_DATA)
    return {
        f"{prefix}bytes": size,
        f"{prefix}megabytes_per_s": float(f"{size / times.wall / MEGABYTE:.4g}"),
        f"{prefix}cpu_us_per_datagram": round(1e6 * times.cpu / datagrams, 1),
    }


def table(result: dict[str, Any]) -> Table:
    """Return the figures as a table."""
    share = f"{100 * result['fault_share']:g} %"
    shown = Table(
        box=SIMPLE_HEAD,
        title=f"{result['megabytes']:g} MB to and from a virtual board, "
        f"{result['window']} requests under way, median of {result['rounds']} rounds",
        caption="CPU: the client's, per 256 bytes. Faulty: of all datagrams each way "
        f"{share} are lost, {share} come twice and {share} are overtaken; "
        f"spinnman moves {result['ways'][-1]['peer_bytes']} bytes there",
    )
    shown.add_column("")
    for name in ("MB/s", "spinnman", "ratio", "CPU us", "spinnman", "ratio"):
        shown.add_column(name, justify="right")
    for way in result["ways"]:
        shown.add_row(
            way["way"] if way["network"] == "clean" else f"{way['way']}, faulty",
            f"{way['megabytes_per_s']:.2f}",
            f"{way['peer_megabytes_per_s']:.3g}",
            f"{way['wall_ratio']:.3g}",
            f"{way['cpu_us_per_datagram']:.0f}",
            f"{way['peer_cpu_us_per_datagram']:.0f}",
            f"{way['cpu_ratio']:.3g}",
        )
    return shown
