"""How splits cut tensors: which image rows and channels every chip has, or needs of another tensor.

A rectangle is [first, end) image rows times [first, end) channels. Rows are dealt in proportion to
the application cores of the chips that share a part, channels in chunks of 32. Weights are
rectangles too: rows are their output channels, channels their input channels.
"""

from dataclasses import dataclass

import numpy as np

from orchestrator.compiler.layers import CHUNK, Conv, Map, Pool
from orchestrator.compiler.program import Split, WeightSplit
from orchestrator.machine.geometry import Ints


@dataclass(frozen=True, eq=False)
class Rectangles:
    """One rectangle for each chip, empty where it has none.

    Attributes
    ----------
    rows, channels : int64 [n_chips, 2], first and end.
    """

    rows: Ints
    channels: Ints

    @property
    def sizes(self) -> Ints:
        """Return the elements of each rectangle for a width of 1, int64 [n_chips]."""
        area: Ints = np.ptp(self.rows, axis=1) * np.ptp(self.channels, axis=1)
        return area

    @property
    def key(self) -> bytes:
        """Return what tells rectangles apart."""
        return self.rows.tobytes() + self.channels.tobytes()


class Cutter:
    """Cuts tensors of a ghost batch over the chips of a slice."""

    def __init__(self, images: int, cores: Ints) -> None:
        self.images = images
        self._cores = cores
        self._cuts: dict[tuple[Split, int], Ints] = {}

    def result(self, split: Split, of: Map) -> Rectangles:
        """Return what each chip has of a tensor that is cut so."""
        part, group = self._places(split)
        cuts = self._row_cuts(split, of.height)
        return self._on_chips(
            split,
            np.stack([cuts[part], cuts[part + 1]], axis=1),
            _channel_cuts(of.channels, split.groups)[group],
        )

    def whole_channels(self, rectangles: Rectangles, channels: int) -> Rectangles:
        """Return the same rows with all channels."""
        ends = np.where(rectangles.sizes > 0, channels, 0)
        return Rectangles(rectangles.rows, np.stack([np.zeros_like(ends), ends], axis=1))

    def forward_need(self, split: Split, op: Conv | Pool) -> Rectangles:
        """Return what each chip needs of the input for its share of the result."""
        need = self._input_rows(self.result(split, op.y), op)
        return self.whole_channels(need, op.x.channels) if isinstance(op, Conv) else need

    def gradient_needs(self, cut: WeightSplit, op: Conv) -> tuple[Rectangles, Rectangles]:
        """Return what each chip needs of the error and of the input for its weight gradient."""
        weights = self.partial_weights(cut, op)
        part, _ = self._places(cut.split)
        cuts = self._row_cuts(cut.split, op.y.height)
        rows = np.stack([cuts[part], cuts[part + 1]], axis=1)
        own = self._on_chips(cut.split, rows, np.broadcast_to([0, 1], rows.shape))
        made = (weights.sizes > 0)[:, None]
        error = Rectangles(np.where(made, own.rows, 0), weights.rows)
        return error, Rectangles(self._input_rows(error, op).rows, weights.channels)

    def _input_rows(self, have: Rectangles, op: Conv | Pool) -> Rectangles:
        """Return the rows of the input that rows of the result depend on."""
        first, end = have.rows.T
        filled = have.sizes > 0
        low = (first % op.y.height) * op.stride - op.pad
        high = ((end - 1) % op.y.height) * op.stride - op.pad + op.kernel[0]
        rows = np.stack(
            [
                first // op.y.height * op.x.height + np.maximum(low, 0),
                (end - 1) // op.y.height * op.x.height + np.minimum(high, op.x.height),
            ],
            axis=1,
        )
        return Rectangles(np.where(filled[:, None], rows, 0), have.channels)

    def backward_need(self, split: Split, op: Conv | Pool) -> Rectangles:
        """Return what each chip needs of the error at the result for its share of the input's."""
        have = self.result(split, op.x)
        first, end = have.rows.T
        filled = have.sizes > 0
        low = -(-((first % op.x.height) + op.pad - op.kernel[0] + 1) // op.stride)
        high = ((end - 1) % op.x.height + op.pad) // op.stride + 1
        begin = first // op.x.height * op.y.height + np.clip(low, 0, op.y.height)
        stop = (end - 1) // op.x.height * op.y.height + np.clip(high, 0, op.y.height)
        filled &= stop > begin
        rows = np.where(filled[:, None], np.stack([begin, stop], axis=1), 0)
        need = Rectangles(rows, np.where(filled[:, None], have.channels, 0))
        return self.whole_channels(need, op.y.channels) if isinstance(op, Conv) else need

    def masters(self, cut: WeightSplit, op: Conv) -> Rectangles:
        """Return which weights each chip owns: a piece of the outputs of its group's."""
        part, group = self._places(cut.split)
        parts = cut.split.parts
        if cut.over_outputs:
            low, high = _channel_cuts(op.y.channels, cut.split.groups)[group].T
            inputs = np.broadcast_to([0, op.x.channels], (len(part), 2))
        else:
            low, high = np.zeros_like(part), np.full_like(part, op.y.channels)
            inputs = _channel_cuts(op.x.channels, cut.split.groups)[group]
        outputs = [low + (high - low) * i // parts for i in (part, part + 1)]
        return self._on_chips(cut.split, np.stack(outputs, axis=1), inputs)

    def partial_weights(self, cut: WeightSplit, op: Conv) -> Rectangles:
        """Return the weights whose partial gradient each chip makes."""
        if cut.over_outputs:
            return self.forward_weights(cut.split, op)
        return self.backward_weights(cut.split, op)

    def forward_weights(self, split: Split, op: Conv) -> Rectangles:
        """Return the weights each chip multiplies with forward: all inputs of its outputs."""
        _, group = self._places(split)
        outputs = _channel_cuts(op.y.channels, split.groups)[group]
        inputs = np.broadcast_to([0, op.x.channels], outputs.shape)
        return self._on_chips(split, outputs, inputs)

    def backward_weights(self, split: Split, op: Conv) -> Rectangles:
        """Return the weights each chip multiplies with backward: all outputs of its inputs."""
        _, group = self._places(split)
        inputs = _channel_cuts(op.x.channels, split.groups)[group]
        return self._on_chips(split, np.broadcast_to([0, op.y.channels], inputs.shape), inputs)

    def channel_owners(self, split: Split, channels: int) -> Rectangles:
        """Return which channels' sums each chip completes, as rows: a piece of its group's."""
        part, group = self._places(split)
        low, high = _channel_cuts(channels, split.groups)[group].T
        pieces = np.stack([low + (high - low) * i // split.parts for i in (part, part + 1)], axis=1)
        return self._on_chips(split, pieces, np.broadcast_to([0, 1], pieces.shape))

    def channel_users(self, split: Split, channels: int) -> Rectangles:
        """Return which channels' coefficients each chip uses, as rows."""
        _, group = self._places(split)
        rows = _channel_cuts(channels, split.groups)[group]
        return self._on_chips(split, rows, np.broadcast_to([0, 1], rows.shape))

    def members(self, split: Split) -> Ints:
        """Return the chips of each group, int64 [groups, parts]."""
        return np.array(split.chips).reshape(split.parts, split.groups).T

    def _places(self, split: Split) -> tuple[Ints, Ints]:
        return np.divmod(np.arange(len(split.chips)), split.groups)

    def _row_cuts(self, split: Split, height: int) -> Ints:
        key = (split, height)
        if key not in self._cuts:
            weight = self._cores[np.array(split.chips)].reshape(split.parts, -1).sum(axis=1)
            ends = np.concatenate([[0], np.cumsum(weight)])
            unit = height if split.whole_images else 1
            rows = self.images * height // unit
            self._cuts[key] = (2 * rows * ends + ends[-1]) // (2 * ends[-1]) * unit
        return self._cuts[key]

    def _on_chips(self, split: Split, rows: Ints, channels: Ints) -> Rectangles:
        filled = (rows[:, 1] > rows[:, 0]) & (channels[:, 1] > channels[:, 0])
        chips = np.array(split.chips)
        on_chips = np.zeros((2, len(self._cores), 2), np.int64)
        on_chips[0, chips] = np.where(filled[:, None], rows, 0)
        on_chips[1, chips] = np.where(filled[:, None], channels, 0)
        return Rectangles(on_chips[0], on_chips[1])


def _channel_cuts(channels: int, groups: int) -> Ints:
    """Return first and end of each group, whole chunks but for the last, int64 [groups, 2]."""
    chunks = -(-channels // CHUNK)
    ends = np.minimum(np.arange(groups + 1) * chunks // groups * CHUNK, channels)
    return np.stack([ends[:-1], ends[1:]], axis=1)
