"""Ranks that stall or fail end the whole job, once, with the cause and the right exit code."""

import re
from pathlib import Path

import pytest

from orchestrator.collectives import guarded
from orchestrator.collectives.failure import messages_of
from orchestrator.errors import ConfigError

RANKS = Path(__file__).parent / "ranks"


@pytest.mark.parametrize(
    ("kind", "n_ranks", "missing", "waiting"),
    [
        ("shared", 2, 0, "1"),
        ("shared", 3, 2, "0, 1"),
        ("messages", 3, 1, "0, 2"),
        ("hosts", 4, 3, "0, 1, 2"),
    ],
)
def test_a_stalled_rank_is_named(mpirun, kind, n_ranks, missing, waiting):
    done = mpirun(n_ranks, RANKS / "stall.py", kind, str(missing))
    assert done.returncode == 3
    expected = (
        f"regatta: rank {missing} has not reached exchange 2 (sum of 10 int32, step 17) for 1 s "
        f"(collective.timeout_s); waiting there: {waiting}\n"
    )
    assert done.stderr.count(expected) == 1
    assert done.stderr.count("has not reached") == 1


def test_ranks_at_different_exchanges_are_shown(mpirun):
    done = mpirun(2, RANKS / "stall.py", "shared", "different")
    assert done.returncode == 3
    assert "no exchange ended for 1 s" in done.stderr
    assert "rank 0 at exchange 2 (sum of 10 int32, step 17)" in done.stderr
    assert re.search(r"rank 1 at exchange \d \(\w+( of .*)?, step 17\)", done.stderr)


def test_a_late_rank_is_waited_for(mpirun):
    done = mpirun(3, RANKS / "stall.py", "shared", "late")
    assert (done.returncode, done.stdout) == (0, "9\n"), done.stderr


def test_bad_input_on_all_ranks_is_said_once(mpirun):
    done = mpirun(3, RANKS / "fail.py", "alike")
    assert done.returncode == 2
    assert done.stderr.count("train.epochs: -1 is not allowed") == 1
    assert "rank 0:" not in done.stderr
    assert "MPI_ABORT" not in done.stderr


def test_different_causes_are_all_said(mpirun):
    done = mpirun(2, RANKS / "fail.py", "different")
    assert done.returncode == 3
    for rank in range(2):
        assert done.stderr.count(f"rank {rank}: disk of rank {rank} is full") == 1


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("one", "rank 1: disk full"),
        ("bug", "rank 1: unexpected KeyError: 'key'"),
        ("interrupt", "rank 1: interrupted"),
    ],
)
def test_one_failing_rank_ends_all(mpirun, kind, cause):
    done = mpirun(3, RANKS / "fail.py", kind, timeout=50)
    assert done.returncode == 3
    assert done.stderr.count(cause) == 1
    assert done.stdout == ""


def test_alone_the_message_and_the_code_remain(capsys):
    with pytest.raises(SystemExit, match="2"), guarded():
        raise ConfigError("no such key")
    assert capsys.readouterr().err == "regatta: no such key\n"
    with pytest.raises(SystemExit, match="3"), guarded():
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "regatta: interrupted\n"
    said = []
    with pytest.raises(SystemExit, match="3"), guarded(said.append):
        raise ZeroDivisionError("bug")
    assert said[0].startswith("unexpected ZeroDivisionError: bug\nTraceback")


def test_messages_are_said_by_the_lowest_rank():
    assert messages_of({}, 2) == []
    assert messages_of({0: (2, "a"), 1: (2, "a")}, 3) == [(0, "rank 0: a")]
    assert messages_of({0: (2, "a"), 1: (3, "b"), 2: (3, "b")}, 3) == [
        (0, "rank 0: a"),
        (1, "rank 1: b"),
    ]
