"""The figures of the exchange benchmark, and a small real run beside Horovod."""

import io

import pytest
from rich.console import Console

from orchestrator.bench.allreduce import figures, run, table
from orchestrator.collectives.horovod_package import load_horovod
from orchestrator.errors import ArgumentError, MissingToolError

MEASURED = {
    "ranks": 2,
    "rounds": 3,
    "network": "resnet50",
    "elements": 25_557_032,
    "cases": {
        "regatta": {"seconds": 0.010, "cpu_s": 0.02},
        "MPI_Allreduce": {"seconds": 0.030, "cpu_s": 0.06},
        "horovod, one tensor": {"seconds": 0.060, "cpu_s": 0.10},
        "horovod, one tensor a parameter": {"seconds": 0.090, "cpu_s": 0.08},
    },
}


def test_ratios_are_to_the_fastest_peer():
    result = figures(MEASURED)
    assert result["peer_case"] == "horovod, one tensor"
    assert (result["wall_ratio"], result["cpu_ratio"]) == (6.0, 5.0)


def test_table_shows_every_case():
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(table(figures(MEASURED)))
    text = console.export_text()
    assert "97.5 MiB" in text and "6.00 times the speed of horovod, one tensor" in text
    assert all(name in text for name in MEASURED["cases"])


def test_wrong_numbers_are_refused():
    with pytest.raises(ArgumentError, match="1 ranks, 9 rounds"):
        run(ranks=1)
    with pytest.raises(ArgumentError, match="0 rounds"):
        run(rounds=0)


def test_small_network_is_measured():
    try:
        load_horovod()
    except MissingToolError as error:
        pytest.skip(str(error))
    result = run(ranks=2, rounds=1, network="resnet18")
    assert result["elements"] == 11_689_512
    assert all(case["seconds"] > 0 for case in result["cases"].values())
    assert result["peer_case"].startswith("horovod")
