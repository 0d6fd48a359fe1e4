"""What stands behind a model: its state, and the board and ranks that change it."""

import dataclasses
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from orchestrator.boards.base import Board, open_board
from orchestrator.boards.running import RunningStatistics
from orchestrator.collectives import Collective, StopSignal, open_collective
from orchestrator.config import (
    CollectiveConfig,
    ModelConfig,
    RunConfig,
    dump_config,
    numeric_differences,
)
from orchestrator.data import decoder_version
from orchestrator.errors import ArgumentError, ConfigError
from orchestrator.keras.settings import Compiled, Fit, in_arguments, run_config
from orchestrator.model.graph import Graph
from orchestrator.model.initialise import initial_masters
from orchestrator.model.lower import lower
from orchestrator.train.info import RunSummary
from orchestrator.train.keeper import NullKeeper
from orchestrator.train.recorder import RunRecorder
from orchestrator.train.setup import Setup, replica_settings
from orchestrator.train.state import TrainState
from orchestrator.train.trainer import Trainer


class Engine:
    """State, board and ranks of one model.

    The state's arrays are the board's own while one is open, so they are always up to date.

    Parameters
    ----------
    graph : the network.
    network : the section `model` that names or describes it.
    mean, std : normalisation, one value a channel.
    seed : of the initial weights.

    Attributes
    ----------
    state : what a checkpoint holds.
    fitted : configuration of the training that made the state; None for weights that were set or
        are fresh.
    compiled : how to train and on what; None before `compile`.
    """

    def __init__(
        self,
        graph: Graph,
        network: ModelConfig,
        mean: tuple[Fraction, ...],
        std: tuple[Fraction, ...],
        seed: int,
    ) -> None:
        self.graph = graph
        self.network = network
        self.mean = mean
        self.std = std
        self.seed = seed
        self.compiled: Compiled | None = None
        self.fitted: RunConfig | None = None
        self._collective: Collective | None = None
        self._board: Board | None = None
        self._board_seed = seed
        self.config("model", Fit(samples=1))
        sizes = {parameter.name: parameter.shape[0] for parameter in graph.parameters}
        running = RunningStatistics(lower(graph).norms, sizes).values
        self.state = self.fresh_state(initial_masters(graph, seed), running)

    def fresh_state(
        self, masters: dict[str, NDArray[np.int32]], running: dict[str, NDArray[np.int64]]
    ) -> TrainState:
        """Return the state at the start of a training from these weights."""
        momentum = {name: np.zeros_like(array) for name, array in masters.items()}
        return TrainState(self.network.name, masters, momentum, running)

    @property
    def collective(self) -> Collective:
        """The ranks, opened when first needed."""
        if self._collective is None:
            self._collective = open_collective(CollectiveConfig())
        return self._collective

    def config(self, call: str, fit: Fit, seed: int | None = None) -> RunConfig:
        """Return the configuration of a training; `call` begins messages.

        Raises
        ------
        ArgumentError
            If a value is not allowed.
        """
        return run_config(
            call,
            self.network,
            self.compiled or Compiled(),
            self.mean,
            self.std,
            self.seed if seed is None else seed,
            fit,
        )

    def compile(self, compiled: Compiled, collective: Collective | None) -> None:
        """Take other settings, if they are allowed."""
        before, self.compiled = self.compiled, compiled
        try:
            self.config("compile", Fit(samples=1))
        except ArgumentError:
            self.compiled = before
            raise
        self.close()
        self._collective = collective or self._collective

    def plan(self, fit: Fit, seed: int) -> tuple[RunConfig, TrainState | None]:
        """Return a fit's configuration, and the state it goes on from or None."""
        going_on = dataclasses.replace(fit, epochs=self.state.epoch + fit.epochs)
        config = self.config("fit", going_on, seed)
        if self.fitted is not None and not numeric_differences(self.fitted, config):
            return config, dataclasses.replace(self.state, evaluated=self.state.step)
        return self.config("fit", fit, seed), None

    def train(
        self, config: RunConfig, setup: Setup, resumed: TrainState | None, recorder: RunRecorder
    ) -> RunSummary:
        """Run the trainer, and keep the state it leaves."""
        board = self.board(config.train.seed)
        with StopSignal() as stop:
            try:
                trainer = Trainer(
                    config, setup, board, self.collective, recorder, NullKeeper(), stop, resumed
                )
            except ConfigError as error:
                raise ArgumentError(f"fit: {in_arguments(str(error))}") from None
            if resumed is None:
                self.replace(self.fresh_state(self.state.masters, self.state.running), None)
            try:
                return trainer.run()
            finally:
                recorder.fail(trainer.progress.step)
                self.state, self.fitted = trainer.state(), config

    def board(self, seed: int | None = None) -> Board:
        """Return the board with the model's state, opened for a seed (by default any)."""
        if self._board is not None and seed in (None, self._board_seed):
            return self._board
        self.close()
        self._board_seed = self._board_seed if seed is None else seed
        config = self.config("fit", Fit(samples=1), self._board_seed)
        self._board = open_board(
            config.slice,
            self.graph,
            replica_settings(config, self.graph),
            config.train.threads,
            self.collective.allocate,
        )
        self._fill(self._board)
        return self._board

    def calibrated_board(self, images: NDArray[np.uint8]) -> Board:
        """Return the board with exponents to evaluate under, from these images if it has none."""
        board = self.board()
        if board.histories.is_empty():
            board.calibrate_evaluation(images)
        return board

    def replace(self, state: TrainState, fitted: RunConfig | None) -> None:
        """Take another state."""
        self.state, self.fitted = state, fitted
        if self._board is not None:
            self._fill(self._board)

    def _fill(self, board: Board) -> None:
        """Load the state into a board, and let its arrays be the state's."""
        state = self.state
        board.load(state.masters, state.momentum, state.running)
        board.histories.load(state.histories)
        self.state = dataclasses.replace(
            state,
            masters=board.masters.views,
            momentum=board.momentum.views,
            running=board.running.values,
        )

    def saved_state(self) -> TrainState:
        """Return the state as a checkpoint holds it."""
        state = self.state
        if self._board is not None:
            state = dataclasses.replace(state, histories=self._board.histories.entries)
        if self.fitted is None:
            config = self.config("save", Fit(samples=1))
            state = dataclasses.replace(
                state,
                config_text=dump_config(config),
                decoder=decoder_version(),
                seed=config.train.seed,
            )
        return state

    def close(self) -> None:
        """Release the board; it is opened again when needed."""
        if self._board is not None:
            histories = self._board.histories.entries
            self.state = dataclasses.replace(self.state, histories=histories)
            self._board.close()
            self._board = None
