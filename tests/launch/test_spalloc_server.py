"""launch/spalloc_server.sh: what it says of wrong arguments; tests/boards/hardware starts it."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "launch" / "spalloc_server.sh"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((), "usage: "), (("no_such.yaml", "--port", "1"), "there is no file no_such.yaml")],
)
def test_wrong_arguments_are_named(arguments, message, tmp_path):
    done = subprocess.run(
        [SCRIPT, *arguments], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert done.returncode == 2
    assert done.stderr.startswith(message)
