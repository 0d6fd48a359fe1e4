"""One training from configuration to summary: opens everything, runs the trainer, closes it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console

from orchestrator.boards.base import Board, open_board
from orchestrator.boards.draw_native import find_sum_words
from orchestrator.collectives import Collective, StopSignal
from orchestrator.config import RunConfig
from orchestrator.data import decoder_version
from orchestrator.model.graph import Graph
from orchestrator.model.initialise import initial_masters
from orchestrator.train.checkpoint import check_network, load_checkpoint
from orchestrator.train.info import RunSummary
from orchestrator.train.keeper import CheckpointKeeper, NullKeeper, find_checkpoint
from orchestrator.train.recorder import FileRecorder, NullRecorder, RunRecorder
from orchestrator.train.resume import check_resume
from orchestrator.train.rundir import RunFolder, choose_run_folder, prepare_run_folder
from orchestrator.train.setup import Setup, prepare
from orchestrator.train.state import TrainState
from orchestrator.train.trainer import Keeper, Trainer
from orchestrator.train.weights import load_weights


def run_training(
    config: RunConfig,
    collective: Collective,
    *,
    name: str,
    resume: bool = False,
    allow_other_decoder: bool = False,
    console: Console | None = None,
) -> tuple[RunSummary, RunFolder]:
    """Train as configured; every rank calls it. Return how it ended and where its files are.

    Parameters
    ----------
    config : the run.
    collective : the ranks.
    name : of the run folder, where the configuration names none.
    resume : continue from the newest checkpoint of the run folder.
    allow_other_decoder : resume although another image decoder made the checkpoint's pixels.
    console : where rank 0 shows progress; standard error by default.

    Raises
    ------
    InputError
        Configuration, data or checkpoint cannot be used.
    RunError
        The run failed after it had started.
    """
    folder = _folder(config, name, collective, resume=resume)
    setup = prepare(config)
    resumed = _resumed(config, folder, setup, allow_other_decoder) if resume else None
    board = open_board(
        config.slice, setup.graph, setup.settings, config.train.threads, collective.allocate
    )
    notices: list[str] = []
    _load(board, config, setup, resumed, notices.append)
    recorder, keeper = _outputs(config, folder, setup.graph, collective, resumed, console)
    for notice in notices:
        recorder.note(notice)
    trainer = None
    try:
        with StopSignal() as stop:
            trainer = Trainer(config, setup, board, collective, recorder, keeper, stop, resumed)
            return trainer.run(), folder
    except BaseException:
        recorder.fail(trainer.progress.step if trainer else 0)
        raise
    finally:
        board.close()


def _folder(config: RunConfig, name: str, collective: Collective, *, resume: bool) -> RunFolder:
    """Return the run folder, chosen by rank 0 so that all agree."""
    if resume:
        return resume_folder(config, name)
    chosen = str(choose_run_folder(config, name).path) if collective.rank == 0 else ""
    text = np.zeros(4096, np.uint8)
    encoded = chosen.encode()[: text.size]
    text[: len(encoded)] = np.frombuffer(encoded, np.uint8)
    collective.broadcast(text)
    return RunFolder(Path(bytes(text).rstrip(b"\0").decode()))


def resume_folder(config: RunConfig, name: str) -> RunFolder:
    """Return the folder of the run that a configuration names."""
    if config.run.dir is not None:
        return RunFolder(Path(config.run.dir))
    return RunFolder(Path("runs") / (config.run.name or name))


def _resumed(
    config: RunConfig, folder: RunFolder, setup: Setup, allow_other_decoder: bool
) -> TrainState:
    """Load the newest checkpoint and check that it belongs to this training."""
    path = find_checkpoint(folder.path)
    state = load_checkpoint(path)
    check_resume(state, config, decoder_version(), allow_other_decoder=allow_other_decoder)
    check_network(path, state, setup.graph)
    return state


def _outputs(
    config: RunConfig,
    folder: RunFolder,
    graph: Graph,
    collective: Collective,
    resumed: TrainState | None,
    console: Console | None,
) -> tuple[RunRecorder, Keeper]:
    """Return what writes down the run: files on rank 0, nothing elsewhere."""
    if collective.rank != 0:
        return NullRecorder(), NullKeeper()
    prepare_run_folder(folder, config)
    train = config.train
    keeper = CheckpointKeeper(folder.checkpoints, graph, train.keep_checkpoints, train.keep_best)
    point = None if resumed is None else resumed.resume_point
    return FileRecorder(folder, config, console or Console(stderr=True), point), keeper


def _load(
    board: Board,
    config: RunConfig,
    setup: Setup,
    resumed: TrainState | None,
    notice: Callable[[str], None],
) -> None:
    """Give the board its parameters: resumed, fine-tuned or fresh."""
    if resumed is not None:
        board.load(resumed.masters, resumed.momentum, resumed.running)
        board.histories.load(resumed.histories)
        return
    masters = initial_masters(setup.graph, config.train.seed, find_sum_words())
    running = None
    if config.model.weights is not None:
        loaded = load_weights(Path(config.model.weights), setup.graph, notice)
        masters |= loaded.masters
        running = loaded.running
    board.load(masters, running=running)
