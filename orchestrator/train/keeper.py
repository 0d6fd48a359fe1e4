"""Which checkpoints of a run stay: the newest few, and the one with the best accuracy."""

import os
import re
from pathlib import Path

from orchestrator.errors import CheckpointError
from orchestrator.model.graph import Graph
from orchestrator.train.checkpoint import read_correct, save_checkpoint
from orchestrator.train.disk import sync_folder, temporary_path, writing
from orchestrator.train.state import TrainState

BEST = "best.safetensors"
_NAME = re.compile(r"step-(\d{8,})\.safetensors")


def checkpoint_name(step: int) -> str:
    """Return the file name of the checkpoint after `step` updates.

    Examples
    --------
    >>> checkpoint_name(20)
    'step-00000020.safetensors'
    """
    return f"step-{step:08d}.safetensors"


def checkpoints_by_step(folder: Path) -> dict[int, Path]:
    """Return the numbered checkpoints of a folder by step, the newest last."""
    found = {}
    for path in folder.glob("step-*.safetensors"):
        if match := _NAME.fullmatch(path.name):
            found[int(match[1])] = path
    return dict(sorted(found.items()))


def find_checkpoint(path: Path) -> Path:
    """Return the checkpoint a user means: a file, or the newest one of a run or its folder.

    Raises
    ------
    CheckpointError
        If there is none.
    """
    if path.is_file():
        return path
    if not path.exists():
        raise CheckpointError(f"{path}: no such checkpoint or run folder")
    for folder in (path / "checkpoints", path):
        numbered = checkpoints_by_step(folder)
        if numbered:
            return numbered[max(numbered)]
        if (folder / BEST).is_file():
            return folder / BEST
    raise CheckpointError(f"{path}: holds no checkpoint (step-*.safetensors or {BEST})")


class CheckpointKeeper:
    """Saves the checkpoints of a run and lets old ones go.

    An old checkpoint is removed only after a newer one is safely on the disk.

    Parameters
    ----------
    folder : the run's folder of checkpoints; made where absent.
    graph : the network.
    keep : how many of the newest checkpoints stay, at least 1.
    keep_best : also keep the one with the most right images, as ``best.safetensors``.

    Attributes
    ----------
    best : right images of the best checkpoint; None before the first evaluation.

    Raises
    ------
    RunError
        If a file cannot be written, also by the methods.
    """

    def __init__(self, folder: Path, graph: Graph, keep: int, keep_best: bool = True) -> None:
        self.folder = folder
        self._graph = graph
        self._keep = keep
        self._keep_best = keep_best
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for unfinished in folder.glob(".*.safetensors.tmp"):
                unfinished.unlink(missing_ok=True)
        self.best: int | None = None
        if (folder / BEST).exists():
            try:
                self.best = read_correct(folder / BEST)
            except CheckpointError:
                # A damaged best checkpoint is no reason to stop: the next better one replaces it.
                self.best = None

    def save(self, state: TrainState, correct: int | None = None) -> Path:
        """Write the checkpoint of a step and return its path.

        Parameters
        ----------
        state : what is saved.
        correct : right images of the evaluation the state was just given, if any. The state
            becomes the best one if they are more than ever before; of equal ones the first stays.
        """
        path = self.folder / checkpoint_name(state.step)
        save_checkpoint(path, state, self._graph, correct=correct)
        if self._keep_best and correct is not None and (self.best is None or correct > self.best):
            self._name_best(path, state, correct)
        self._let_go(state.step)
        return path

    def save_best(self, state: TrainState, correct: int) -> None:
        """Write a state that is not to have a checkpoint of its own, if it is the best so far."""
        if self._keep_best and (self.best is None or correct > self.best):
            save_checkpoint(self.folder / BEST, state, self._graph, correct=correct)
            self.best = correct

    def _name_best(self, path: Path, state: TrainState, correct: int) -> None:
        """Give a checkpoint the second name, or write it again where links are not possible."""
        if not _link(path, self.folder / BEST):
            save_checkpoint(self.folder / BEST, state, self._graph, correct=correct)
        self.best = correct

    def _let_go(self, step: int) -> None:
        """Remove all but the newest checkpoints of steps up to `step`."""
        numbered = [path for at, path in checkpoints_by_step(self.folder).items() if at <= step]
        with writing(self.folder):
            for path in numbered[: -self._keep]:
                path.unlink(missing_ok=True)


class NullKeeper:
    """Saves nothing: for every rank but 0."""

    def save(self, state: TrainState, correct: int | None = None) -> None:
        """Do nothing."""

    def save_best(self, state: TrainState, correct: int) -> None:
        """Do nothing."""


def _link(existing: Path, name: Path) -> bool:
    """Give a checkpoint, which is never changed in place, a second name; False if impossible."""
    temporary = temporary_path(name)
    try:
        temporary.unlink(missing_ok=True)
        os.link(existing, temporary)
        os.replace(temporary, name)
        sync_folder(name.parent)
    except OSError:
        temporary.unlink(missing_ok=True)
        return False
    # Renaming a link onto another link of the same file does nothing and leaves both names.
    temporary.unlink(missing_ok=True)
    return True
