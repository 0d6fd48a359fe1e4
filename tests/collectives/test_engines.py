"""All engines keep one contract, checked by ranks that mpirun starts."""

from pathlib import Path

import numpy as np
import pytest

from orchestrator.collectives import SingleCollective, open_collective, under_mpi
from orchestrator.collectives.horovod_package import load_horovod
from orchestrator.config import CollectiveConfig
from orchestrator.errors import ArgumentError, ConfigError, MissingToolError

RANKS = Path(__file__).parent / "ranks"


@pytest.mark.parametrize(
    ("kind", "n_ranks"),
    [
        ("shared", 2),
        ("shared", 3),
        ("messages", 2),
        ("hosts", 3),
        ("hosts", 4),
        ("full", 3),
        ("full-later", 2),
    ],
)
def test_sums_are_exact(mpirun, kind, n_ranks):
    done = mpirun(n_ranks, RANKS / "contract.py", kind)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "all equal\n"


def test_horovod_sums_the_same_bits(mpirun):
    try:
        load_horovod()
    except MissingToolError as error:
        pytest.skip(str(error))
    done = mpirun(2, RANKS / "contract.py", "horovod", timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "all equal\n"


def test_shared_memory_leaves_no_file(mpirun):
    before = set(Path("/dev/shm").glob("regatta-*"))
    assert mpirun(2, RANKS / "contract.py", "shared").returncode == 0
    assert set(Path("/dev/shm").glob("regatta-*")) <= before


def test_one_process_needs_no_mpi():
    engine = open_collective(CollectiveConfig(), environ={})
    assert isinstance(engine, SingleCollective)
    buffer = engine.allocate(5)
    buffer[:] = range(5)
    for exchange in (engine.sum_int32, engine.max_int32, engine.broadcast):
        exchange(buffer)
    np.testing.assert_array_equal(buffer, range(5))
    engine.barrier()
    engine.close()
    with pytest.raises(SystemExit, match="3"):
        engine.abort(3)


@pytest.mark.parametrize(
    ("environ", "ranks"),
    [
        ({}, False),
        ({"OMPI_COMM_WORLD_SIZE": "1", "PMIX_RANK": "0"}, False),
        ({"OMPI_COMM_WORLD_SIZE": "2", "PMIX_RANK": "1"}, True),
        ({"PMIX_RANK": "0"}, True),
    ],
)
def test_launcher_is_found_in_the_environment(environ, ranks):
    assert under_mpi(environ) is ranks


@pytest.mark.parametrize("engine", ["links", "hybrid"])
def test_link_engines_are_refused_by_name(engine):
    with pytest.raises(ConfigError, match=f"collective.engine: {engine}"):
        open_collective(CollectiveConfig(engine=engine), environ={})


def test_missing_horovod_names_the_script(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "horovod", None)
    monkeypatch.setitem(__import__("sys").modules, "horovod.torch", None)
    with pytest.raises(MissingToolError, match="launch/install_horovod.sh"):
        open_collective(CollectiveConfig(engine="horovod"), environ={})


def test_buffers_are_checked():
    from orchestrator.collectives.base import check_flat, check_memory

    check_flat(np.zeros(3, np.int32), np.int32)
    with pytest.raises(ArgumentError, match="1-D int32 array, not 2-D int32"):
        check_flat(np.zeros((3, 2), np.int32), np.int32)
    with pytest.raises(ArgumentError, match="not 1-D float64"):
        check_flat(np.zeros(3), np.int32)
    with pytest.raises(ArgumentError, match="contiguous"):
        check_memory(np.zeros(6, np.int32)[::2])
