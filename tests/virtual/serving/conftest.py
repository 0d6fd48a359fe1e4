import json
import subprocess
import sys
from pathlib import Path

import pytest

CLIENT = Path(__file__).with_name("spinnman_client.py")


@pytest.fixture(scope="session")
def spinnman(tmp_path_factory):
    """Run spinnman_client.py: spinnman(subjects, host, version=5, bmp=None) -> what it found."""
    pytest.importorskip("spinnman", reason="spinnman is not installed: pip install SpiNNMan")

    def run(subjects, host, version=5, bmp=None, timeout=120):
        folder = tmp_path_factory.mktemp("spinnman")
        command = [sys.executable, CLIENT, ",".join(subjects), host, str(version), folder]
        done = subprocess.run(
            [*command, *([bmp] if bmp else [])],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=folder,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run
