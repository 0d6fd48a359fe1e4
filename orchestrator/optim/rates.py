"""The learning rate as an exact function of the epoch."""

from dataclasses import dataclass
from fractions import Fraction

from orchestrator.config import LrScheduleConfig, PieceConfig
from orchestrator.optim.exact import cosine, power, root


@dataclass(frozen=True, slots=True)
class Rates:
    """The learning rate of every step of one training.

    Parameters
    ----------
    schedule
        The section `lr_schedule`.
    global_batch
        `train.global_batch`, which scales the rate; a batch schedule does not scale it again.
    epochs
        `train.epochs`, where a decay ends.
    """

    schedule: LrScheduleConfig
    global_batch: int
    epochs: int

    @property
    def peak(self) -> Fraction:
        """The scaled base_lr: base_lr * B / scale_batch (linear), or times the root of that."""
        times = Fraction(self.global_batch, self.schedule.scale_batch)
        factor = {"none": Fraction(1), "linear": times, "sqrt": times}[self.schedule.scale]
        return self.schedule.base_lr * (root(factor) if self.schedule.scale == "sqrt" else factor)

    def at(self, epoch: Fraction, reductions: int = 0) -> Fraction:
        """Return the learning rate at an epoch with its exact fraction.

        Parameters
        ----------
        epoch
            `Position.exact_epoch`: epoch + index / steps, so 0 at the first step.
        reductions
            How often a plateau has lowered the rate so far (only for decay plateau).

        Notes
        -----
        During the warm-up the rate rises linearly from `warmup_start` to the value the decay has
        where the warm-up ends (Goyal et al. 2017, section 2.2), so the curve has no jump there.
        """
        warmup = self.schedule.warmup_epochs
        if epoch >= warmup:
            return self._decayed(epoch, reductions)
        start = self.schedule.warmup_start
        return start + (self._decayed(warmup, reductions) - start) * epoch / warmup

    def _decayed(self, epoch: Fraction, reductions: int) -> Fraction:
        """Return the rate without warm-up."""
        schedule, peak = self.schedule, self.peak
        if schedule.decay == "steps":
            passed = sum(epoch >= milestone for milestone in schedule.milestones)
            return peak * schedule.gamma**passed
        if schedule.decay == "plateau":
            return peak * schedule.gamma**reductions
        if schedule.decay == "joined":
            return peak * self._joined(epoch)
        if schedule.decay == "constant":
            return peak
        end = schedule.decay_epochs or Fraction(self.epochs)
        progress = (epoch - schedule.warmup_epochs) / (end - schedule.warmup_epochs)
        return curve(schedule.decay, progress, peak, schedule.end_lr, schedule.power)

    def _joined(self, epoch: Fraction) -> Fraction:
        """Return the factor of a joined schedule."""
        pieces = self.schedule.pieces
        number = sum(epoch >= piece.start for piece in pieces) - 1
        last = number + 1 == len(pieces)
        end = Fraction(self.epochs) if last else pieces[number + 1].start
        return piece_factor(pieces[number], end, epoch)


def piece_factor(piece: PieceConfig, end: Fraction, epoch: Fraction) -> Fraction:
    """Return the factor of one piece that lasts from its start to the epoch `end`."""
    if piece.end_factor is None or end <= piece.start:
        return piece.factor
    progress = (epoch - piece.start) / (end - piece.start)
    return curve(piece.shape, progress, piece.factor, piece.end_factor, piece.power)


def curve(
    shape: str, progress: Fraction, start: Fraction, end: Fraction, exponent: Fraction
) -> Fraction:
    """Return the value at `progress` (0 to 1, clamped) of a curve from `start` to `end`.

    polynomial: ``end + (start - end) * (1 - progress) ** exponent``;
    cosine: ``end + (start - end) * (1 + cos(pi * progress)) / 2`` (Loshchilov and Hutter 2017).
    """
    progress = min(max(progress, Fraction(0)), Fraction(1))
    if shape == "polynomial":
        return end + (start - end) * power(1 - progress, exponent)
    return end + (start - end) * (1 + cosine(progress)) / 2
