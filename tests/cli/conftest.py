"""The ``regatta`` command inside the test's own process, and small runs to use it on."""

import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.cli import main
from orchestrator.collectives import SingleCollective
from orchestrator.config import parse_config
from orchestrator.train.session import run_training

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

TINY = """
model: {name: mlp, image_size: 8, channels: 1, hidden: [12]}
data: {source: synthetic, train_samples: 64, eval_samples: 24, mean: [0.5], std: [0.5]}
train: {global_batch: 16, ghost_batch: 8, epochs: 2, eval_batch: 8}
lr_schedule: {base_lr: 0.1}
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    def refused(self, code: int = 2) -> str:
        """Return the one message of a command that ended with this code."""
        assert "Traceback" not in self.err
        messages = [line for line in self.err.splitlines() if line.startswith("regatta: ")]
        assert (self.code, len(messages)) == (code, 1), self.err
        assert self.err.endswith(messages[0] + "\n")
        return messages[0].removeprefix("regatta: ")


@pytest.fixture
def regatta(tmp_path, monkeypatch, capfd):
    """Runs the command in an empty working directory with `tiny.yaml`: regatta(*arguments)."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REGATTA_KERNELS", raising=False)
    earlier = {number: signal.getsignal(number) for number in SIGNALS}

    def run(*arguments) -> Ended:
        monkeypatch.setattr(sys, "argv", ["regatta", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        shown = capfd.readouterr()
        return Ended(end.value.code or 0, shown.out, shown.err)

    yield run
    for number, handler in earlier.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The folder of a finished run of `tiny.yaml`; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    config = parse_config(TINY, [f"run.dir={folder}"])
    run_training(config, SingleCollective(), name="finished", brief=True)
    return folder
