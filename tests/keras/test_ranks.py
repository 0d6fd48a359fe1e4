"""The same program on any number of ranks gives the same bits on each of them."""

from pathlib import Path

PROGRAM = Path(__file__).parent / "ranks" / "fit.py"


def test_any_number_of_ranks_gives_the_same_results(mpirun, tmp_path):
    results = set()
    for n_ranks in (1, 3):
        file = tmp_path / f"{n_ranks}.safetensors"
        done = mpirun(n_ranks, PROGRAM, file)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout) == 65
        results.add((done.stdout, file.read_bytes()))
    assert len(results) == 1
