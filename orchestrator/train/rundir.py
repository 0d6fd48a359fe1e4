"""The folder of a run: where its files are, and that no other run's files are in the way."""

import re
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from orchestrator.config import RunConfig, dump_config
from orchestrator.errors import ArgumentError
from orchestrator.train.disk import replace_text, writing

RUNS = Path("runs")
"""Folder of the run folders, inside the working directory."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of a run's files.

    Attributes
    ----------
    path : the run folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        """One record per step and per evaluation."""
        return self.path / "metrics.jsonl"

    @property
    def mlperf(self) -> Path:
        """The MLPerf log."""
        return self.path / "mlperf.log"

    @property
    def timeline(self) -> Path:
        """The Chrome trace."""
        return self.path / "timeline.json"

    @property
    def tensorboard(self) -> Path:
        """The folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    def holds_run(self) -> bool:
        """Tell whether a run has left files here."""
        files = (self.config, self.metrics, self.mlperf)
        return any(file.exists() for file in files) or self.holds_checkpoint()

    def holds_checkpoint(self) -> bool:
        """Tell whether a run has left a checkpoint here."""
        return any(self.checkpoints.glob("*.safetensors"))


def choose_run_folder(config: RunConfig, default_name: str, root: Path = RUNS) -> RunFolder:
    """Return the folder a new run is to use; nothing is written.

    ``run.dir`` is taken as it is, ``run.name`` names a folder inside `root`. Without either the
    folder is called after `default_name`, with the first of -2, -3, ... that is free.

    Raises
    ------
    ArgumentError
        If the folder that was asked for holds a run, or is a file.
    """
    if config.run.dir is None and config.run.name is None:
        names = (default_name if i == 1 else f"{default_name}-{i}" for i in count(1))
        return next(RunFolder(root / name) for name in names if not (root / name).exists())
    if config.run.dir is not None:
        key, folder = "run.dir", RunFolder(Path(config.run.dir))
    else:
        key, folder = "run.name", RunFolder(root / str(config.run.name))
    if folder.path.exists() and not folder.path.is_dir():
        raise ArgumentError(f"{key}: {folder.path} is a file; choose another {key}")
    if folder.holds_checkpoint():
        raise ArgumentError(
            f"{key}: {folder.path} holds another run; choose another {key}, remove that folder, "
            "or continue that run with --resume"
        )
    if folder.holds_run():
        raise ArgumentError(
            f"{key}: {folder.path} holds another run, which left no checkpoint; choose another "
            f"{key}, or remove that folder"
        )
    return folder


def latest_run_folder(config: RunConfig, default_name: str, root: Path = RUNS) -> RunFolder:
    """Return the folder of the run to resume: the configured one, else the one last begun.

    That is, of the folders `default_name`, `default_name`-2, ... the one whose configuration was
    written last.
    """
    if config.run.dir is not None:
        return RunFolder(Path(config.run.dir))
    if config.run.name is not None:
        return RunFolder(root / config.run.name)
    name = re.compile(re.escape(default_name) + r"(-[0-9]+)?")
    found = [RunFolder(path) for path in root.glob("*") if name.fullmatch(path.name)]
    begun = [folder for folder in found if folder.config.exists()]
    newest = max(begun, key=lambda folder: folder.config.stat().st_mtime_ns, default=None)
    return newest or RunFolder(root / default_name)


def prepare_run_folder(folder: RunFolder, config: RunConfig) -> None:
    """Make the folder where absent, and write the resolved configuration into it.

    Raises
    ------
    RunError
        If the folder or the file cannot be written.
    """
    with writing(folder.path):
        folder.checkpoints.mkdir(parents=True, exist_ok=True)
    replace_text(folder.config, dump_config(config))
