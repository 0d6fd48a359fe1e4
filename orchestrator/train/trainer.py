"""The training loop: steps, epochs, evaluations, checkpoints, over any number of ranks.

Every decision here is a function of the configuration, the step and globally reduced integers, so
all ranks take it alike; only rank 0 was given a recorder and a keeper that write.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from orchestrator.boards.base import Board, GhostBatch
from orchestrator.collectives import Collective
from orchestrator.collectives.cuts import share
from orchestrator.config import RunConfig, dump_config
from orchestrator.data import GhostBatch as LoadedBatch
from orchestrator.data import GhostRequest, decoder_version
from orchestrator.optim import (
    Position,
    Rates,
    ScheduleState,
    StepRates,
    plan_batches,
    plan_updates,
)
from orchestrator.train.evaluation import EvaluationCounts, evaluate
from orchestrator.train.exchange import StepTotals, exchange_step
from orchestrator.train.fingerprint import fingerprint
from orchestrator.train.info import INTERRUPTED, RunInfo, RunSummary
from orchestrator.train.metrics import EvaluationRecord, StepRecord
from orchestrator.train.recorder import RunRecorder
from orchestrator.train.setup import Setup, open_loader
from orchestrator.train.state import TrainState
from orchestrator.train.update import apply_update, fresh_second_moments


class Keeper(Protocol):
    """Where checkpoints go; rank 0's writes files, the others' does nothing."""

    def save(self, state: TrainState, correct: int | None = None) -> Path | None:
        """Write a checkpoint; ``correct`` counts the right images if it was just evaluated."""

    def save_best(self, state: TrainState, correct: int) -> None:
        """Keep a state if it is the best so far."""


class StopRequest(Protocol):
    """Whether this process was asked to stop."""

    @property
    def requested(self) -> bool:
        """True after a signal."""


@dataclass
class Progress:
    """Where a training stands: how many steps are done, and what its schedules remember."""

    step: int
    schedule: ScheduleState
    evaluated: int = 0
    """Step of the last evaluation."""


class Trainer:
    """Runs one training.

    Parameters
    ----------
    config, setup : what to train, on what data.
    board : the replica of this rank, loaded.
    collective : the ranks.
    recorder, keeper : take records and checkpoints; silent ones on ranks other than 0.
    stop : whether this process was asked to stop.
    resumed : the checkpoint to continue from, or None.
    clock : monotonic time in seconds.
    """

    def __init__(
        self,
        config: RunConfig,
        setup: Setup,
        board: Board,
        collective: Collective,
        recorder: RunRecorder,
        keeper: Keeper,
        stop: StopRequest,
        resumed: TrainState | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        assert setup.train_data is not None
        self.config = config
        self.setup = setup
        self.board = board
        self.collective = collective
        self.recorder = recorder
        self.keeper = keeper
        self.stop = stop
        self.resumed = resumed
        self.clock = clock
        self.samples = len(setup.train_data)
        self.batches = plan_batches(config.train, self.samples)
        self.rates = Rates(config.lr_schedule, config.train.global_batch, config.train.epochs)
        self.updates = plan_updates(config.optimizer, setup.graph.parameters)
        self.second_moments = fresh_second_moments(self.updates, board)
        self.train_loader = open_loader(config, setup.train_data, training=True)
        self.eval_loader = open_loader(config, setup.eval_data, training=False)
        self.progress = Progress(0, ScheduleState())
        if resumed is not None:
            schedule = ScheduleState.from_dict(resumed.schedule)
            self.progress = Progress(resumed.step, schedule, resumed.evaluated)
            self.second_moments.update(resumed.extra)
        self.saved = None if resumed is None else resumed.step
        self.images = 0
        self.last: EvaluationRecord | None = None
        self.best: EvaluationRecord | None = None

    def run(self) -> RunSummary:
        """Train to the end, to ``max_steps``, to the early stop or until asked to stop."""
        begin = self.clock()
        self.recorder.run_start(self._info())
        if self.board.histories.is_empty():
            self._calibrate()
        if self.resumed is None:
            self._save()
        reason = self._train()
        summary = RunSummary(
            steps=self.progress.step,
            epochs=self._epochs_done(),
            seconds=self.clock() - begin,
            images=self.images,
            last=self.last,
            best=self.best,
            reason=reason,
            fingerprint=fingerprint(self.state()),
        )
        self.recorder.finish(summary)
        return summary

    def state(self) -> TrainState:
        """Return the state a checkpoint holds; arrays are the board's own, not copies."""
        step, batches = self.progress.step, self.batches
        position = batches.position(step)
        return TrainState(
            network=self.config.model.name,
            masters=self.board.masters.views,
            momentum=self.board.momentum.views,
            running=self.board.running.values,
            extra=self.second_moments,
            histories=self.board.histories.entries,
            step=step,
            epoch=position.epoch,
            epoch_step=position.index,
            schedule=self.progress.schedule.to_dict(),
            evaluated=self.progress.evaluated,
            config_text=dump_config(self.config),
            decoder=decoder_version(),
            seed=self.config.train.seed,
        )

    def _info(self) -> RunInfo:
        return RunInfo(
            ranks=self.collective.size,
            classes=len(self.setup.classes),
            parameters=sum(p.size for p in self.setup.graph.parameters),
            train_samples=self.samples,
            eval_samples=len(self.setup.eval_data),
            total_epochs=self.config.train.epochs,
            total_steps=self.batches.total_steps,
            steps_per_epoch=self.batches.steps(0),
            decoder=decoder_version(),
            resume_step=None if self.resumed is None else self.resumed.step,
        )

    def _epochs_done(self) -> int:
        return self.batches.position(self.progress.step).epoch

    def _calibrate(self) -> None:
        """Give the histories their first entries from ghost batch 0 of step 0, on every rank."""
        ghost = self.config.train.ghost_batch
        request = GhostRequest(0, np.arange(ghost), 0)
        for part in self.train_loader.ghost_batches([request]):
            self.board.calibrate(
                GhostBatch(part.images, part.labels, part.positions, epoch=0, step=0, ghost=0)
            )

    def _train(self) -> str:
        """Run epochs and return why they ended."""
        while True:
            if not self._between_epochs():
                return INTERRUPTED
            if self.progress.schedule.stops(self.config.train.early_stop):
                return "early stop"
            if self.progress.step >= self.batches.total_steps:
                break
            position = self.batches.position(self.progress.step)
            self.recorder.epoch_start(position.epoch, self.progress.step)
            if not self._epoch(position):
                return INTERRUPTED
            self.recorder.epoch_stop(position.epoch, self.progress.step)
        all_done = self._epochs_done() >= self.config.train.epochs
        return "all epochs done" if all_done else "max_steps"

    def _between_epochs(self) -> bool:
        """Evaluate and save where due; False if asked to stop meanwhile.

        A resumed training comes here first: an evaluation that its checkpoint did not see yet is
        made up, so schedules that follow evaluations decide as if there had been no interruption.
        An empty evaluation split (a model fitted without validation data) is not evaluated.
        """
        train, step = self.config.train, self.progress.step
        ended = step >= self.batches.total_steps
        position = self.batches.position(step)
        if step == 0 or (position.index > 0 and not ended):
            return True
        epoch = position.epoch if position.index > 0 else position.epoch - 1
        counts = None
        regular = position.index == 0 and self._due(train.eval_every_epochs, epoch)
        due = (regular and self.progress.evaluated < step) or (ended and not regular)
        if due and len(self.setup.eval_data) > 0:
            counts = self._evaluate(epoch)
            if counts is None:
                self._save()
                return False
            if regular:
                self._follow(counts)
        if ended or self._due(train.checkpoint_every_epochs, epoch):
            self._save(None if counts is None else counts.top1)
        elif counts is not None:
            self.keeper.save_best(self.state(), counts.top1)
        return True

    @staticmethod
    def _due(every: int, epoch: int) -> bool:
        return every > 0 and (epoch + 1) % every == 0

    def _requests(self, position: Position) -> Iterator[GhostRequest]:
        """Yield this rank's ghost batches from a position to the end of its epoch."""
        ghost = self.config.train.ghost_batch
        mine = self._share(position)
        first = self.batches.first_step(position.epoch)
        last = min(position.steps, self.batches.total_steps - first)
        for index in range(position.index, last):
            for g in range(mine.start, mine.stop):
                start = index * position.batch + g * ghost
                yield GhostRequest(position.epoch, np.arange(start, start + ghost), g)

    def _share(self, position: Position) -> slice:
        ghosts = position.batch // self.config.train.ghost_batch
        return share(ghosts, self.collective.size, self.collective.rank)

    def _epoch(self, position: Position) -> bool:
        """Train to the end of an epoch; False if the ranks agreed to stop, with a checkpoint."""
        train = self.config.train
        parts = self.train_loader.ghost_batches(self._requests(position))
        first = self.batches.first_step(position.epoch)
        last = min(position.steps, self.batches.total_steps - first)
        for index in range(position.index, last):
            step_position = Position(position.epoch, index, position.steps, position.batch)
            totals = self._step(step_position, parts)
            every = train.checkpoint_every_steps
            if totals.stop:
                self._save()
                return False
            if every is not None and self.progress.step % every == 0:
                self._save()
        return True

    def _step(self, position: Position, parts: Iterator[LoadedBatch]) -> StepTotals:
        """Do one step: this rank's ghost batches, the exchange, the update, the record."""
        step = self.progress.step
        mine = self._share(position)
        self._tell_stage(f"step {step + 1}")
        self.board.begin_step()
        totals = StepTotals()
        for _ in range(mine.start, mine.stop):
            with self.recorder.phase("data"):
                part = next(parts)
            with self.recorder.phase("compute"):
                result = self.board.ghost_batch(
                    GhostBatch(
                        part.images, part.labels, part.positions, position.epoch, step, part.key
                    )
                )
            totals.add(result, len(part.labels), len(part.skipped))
        totals.stop = int(self.stop.requested)
        with self.recorder.phase("exchange"):
            totals = exchange_step(self.collective, self.board, totals)
        lr = self.rates.at(position.exact_epoch, self.progress.schedule.reductions)
        rates = StepRates(lr, self.progress.schedule.lr_previous, position.batch)
        with self.recorder.phase("update"):
            epoch = position.exact_epoch
            apply_update(self.board, self.updates, rates, epoch, self.second_moments)
            self.board.close_step()
        self.progress.step += 1
        self.progress.schedule = self.progress.schedule.after_step(lr)
        self.images += totals.samples
        self.recorder.step(
            StepRecord(
                step=self.progress.step,
                epoch=position.epoch,
                epoch_step=position.index + 1,
                loss=totals.loss_q24 / 2**24 / totals.samples,
                accuracy=totals.correct / totals.samples,
                lr=lr,
                samples=totals.samples,
                images_per_s=0.0,
                saturations=totals.saturations | self.board.saturations(),
                skipped=totals.skipped,
            )
        )
        return totals

    def _evaluate(self, epoch: int) -> EvaluationCounts | None:
        """Evaluate and record; None if asked to stop."""
        step = self.progress.step
        self._tell_stage(f"evaluation after step {step}")
        self.recorder.evaluation_start(epoch, step)
        begin = self.clock()
        counts = evaluate(
            self.board,
            self.eval_loader,
            self.collective,
            samples=len(self.setup.eval_data),
            classes=len(self.setup.classes),
            batch=self.config.train.eval_batch,
            stopped=lambda: self.stop.requested,
        )
        if counts is None:
            return None
        self.last = EvaluationRecord(
            step=step,
            epoch=epoch,
            samples=counts.samples,
            top1=counts.top1,
            top5=counts.top5,
            loss=counts.loss,
            seconds=self.clock() - begin,
        )
        if self.best is None or self.last.top1 > self.best.top1:
            self.best = self.last
        self.recorder.evaluation(self.last)
        return counts

    def _follow(self, counts: EvaluationCounts) -> None:
        """Let the schedules see an evaluation that every training of this configuration makes.

        One made only because this run ends at ``max_steps`` must not steer: a training that was
        not cut there would not have seen it.
        """
        self.progress.evaluated = self.progress.step
        self.progress.schedule = self.progress.schedule.after_evaluation(
            counts.top1, self.config.lr_schedule, self.config.train.early_stop
        )

    def _save(self, correct: int | None = None) -> None:
        self._tell_stage(f"checkpoint after step {self.progress.step}")
        path = self.keeper.save(self.state(), correct)
        self.saved = self.progress.step
        if path is not None:
            self.recorder.checkpoint(path, self.progress.step)

    def _tell_stage(self, stage: str) -> None:
        """Say in messages about missing ranks what is going on, and what is safe."""
        saved = "nothing" if self.saved is None else f"step {self.saved}"
        self.collective.stage = f"{stage}; saved: {saved}"
