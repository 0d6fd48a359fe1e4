"""``bench transfer``: both sides over both networks, data that change, boards that are away."""

import io

import pytest
from rich.console import Console

from orchestrator.bench import transfer
from orchestrator.bench.transfer import run, served, table
from orchestrator.errors import ArgumentError, RunError

pytest.importorskip("spinnman", reason="spinnman is not installed: pip install SpiNNMan")


@pytest.fixture(scope="module")
def small() -> dict:
    patch = pytest.MonkeyPatch()
    patch.setattr(transfer, "PEER_BYTES_WITH_FAULTS", 256)  # each loss costs spinnman a second
    with patch.context():
        result = run(megabytes=0.02, rounds=1)
    patch.undo()
    return result


def test_figures_of_a_small_run(small: dict) -> None:
    ways = [(way["way"], way["network"]) for way in small["ways"]]
    assert ways == [(a, b) for b in ("clean", "faulty") for a in ("write", "read")]
    for way in small["ways"]:
        assert way["bytes"] == 20_000
        assert way["peer_bytes"] == (20_000 if way["network"] == "clean" else 256)
        for name in ("megabytes_per_s", "cpu_us_per_datagram"):
            assert way[name] > 0 and way[f"peer_{name}"] > 0
        # Of one round the ratio is that of the speeds.
        speeds = way["megabytes_per_s"] / way["peer_megabytes_per_s"]
        assert way["wall_ratio"] == pytest.approx(speeds, rel=0.1)
        assert way["cpu_ratio"] > 0


def test_table_shows_every_way(small: dict) -> None:
    console = Console(file=io.StringIO(), width=160)
    console.print(table(small))
    shown = " ".join(console.file.getvalue().split())
    for text in ("0.02 MB", "write, faulty", "read", "32 requests", "5 % are lost", "256 bytes t"):
        assert text in shown


def test_data_that_change_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "exchange", lambda work: [[b"something else"]])
    with pytest.raises(RunError, match="not what was written"):
        run(megabytes=0.001, rounds=1)


def test_a_board_that_cannot_be_served_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match=r"did not start: .*base_address"):
        with served("127.0.0.5", faults=False):
            pass


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"megabytes": 0}, "megabytes is 0"),
        ({"megabytes": 101}, "at most 100"),
        ({"megabytes": float("nan")}, "megabytes is nan"),
        ({"rounds": 0}, "rounds is 0"),
    ],
)
def test_numbers_outside_their_range_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        run(**settings)
