"""One training from configuration to summary: opens everything, runs the trainer, closes it."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from orchestrator.boards.base import Board, open_board
from orchestrator.boards.draw_native import find_sum_words
from orchestrator.collectives import Collective, StopSignal, from_first
from orchestrator.config import RunConfig
from orchestrator.data import decoder_version
from orchestrator.errors import CheckpointError
from orchestrator.model.graph import Graph
from orchestrator.model.initialise import initial_masters
from orchestrator.optim import plan_batches
from orchestrator.train.checkpoint import check_network, load_checkpoint
from orchestrator.train.info import RunSummary
from orchestrator.train.keeper import CheckpointKeeper, NullKeeper, find_checkpoint
from orchestrator.train.recorder import FileRecorder, NullRecorder, RunRecorder
from orchestrator.train.resume import check_resume
from orchestrator.train.rundir import (
    RunFolder,
    choose_run_folder,
    latest_run_folder,
    prepare_run_folder,
)
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
    brief: bool = False,
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
    brief : show no more of the run than a live line, as one of many.

    Raises
    ------
    InputError
        Configuration, data or checkpoint cannot be used.
    RunError
        The run failed after it had started.
    """
    folder = _folder(config, name, collective, resume=resume)
    setup = prepare(config)
    assert setup.train_data is not None
    plan_batches(config.train, len(setup.train_data))
    resumed = _resumed(config, folder, setup, allow_other_decoder) if resume else None
    board = open_board(
        config.slice, setup.graph, setup.settings, config.train.threads, collective.allocate
    )
    notices = idle_ranks(config, collective.size)
    _load(board, config, setup, resumed, notices.append)
    recorder, keeper = _outputs(
        config, folder, setup.graph, collective, resumed, console or Console(stderr=True), brief
    )
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
    choose = latest_run_folder if resume else choose_run_folder
    return RunFolder(Path(from_first(collective, lambda: str(choose(config, name).path))))


def _resumed(
    config: RunConfig, folder: RunFolder, setup: Setup, allow_other_decoder: bool
) -> TrainState:
    """Load the newest checkpoint and check that it belongs to this training."""
    try:
        path = find_checkpoint(folder.path)
    except CheckpointError as error:
        raise CheckpointError(
            f"nothing to resume: {error}; without --resume a new training starts"
        ) from None
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
    console: Console,
    brief: bool,
) -> tuple[RunRecorder, Keeper]:
    """Return what writes down the run: files on rank 0, nothing elsewhere."""
    opened: list[tuple[RunRecorder, Keeper]] = [(NullRecorder(), NullKeeper())]

    def open_files() -> None:
        prepare_run_folder(folder, config)
        keep, best = config.train.keep_checkpoints, config.train.keep_best
        keeper = CheckpointKeeper(folder.checkpoints, graph, keep, best)
        point = None if resumed is None else resumed.resume_point
        opened[0] = FileRecorder(folder, config, console, point, brief=brief), keeper

    from_first(collective, open_files)
    return opened[0]


def idle_ranks(config: RunConfig, ranks: int) -> list[str]:
    """Return a warning where a step has fewer ghost batches than there are ranks."""
    train = config.train
    batches = [train.global_batch, *(batch for _, batch in train.batch_schedule)]
    ghosts = min(batches) // train.ghost_batch
    if ghosts >= ranks:
        return []
    return [
        f"warning: {ranks - ghosts} of {ranks} ranks have nothing to compute: a step of "
        f"{min(batches)} images is {ghosts} ghost batches of {train.ghost_batch}; "
        f"{ghosts} ranks are as fast"
    ]


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
        try:
            loaded = load_weights(Path(config.model.weights), setup.graph, notice)
        except CheckpointError as error:
            raise CheckpointError(f"model.weights: {error}") from None
        masters |= loaded.masters
        running = loaded.running
    board.load(masters, running=running)
