"""The loss and the kernels of masters and momentum on an emulated core."""

import numpy as np

from orchestrator.boards.kernel_arguments import (
    address,
    check_labels,
    matrix_of,
    output_address,
    scalar_of,
    shift_of,
)
from orchestrator.dfp import MASTER_EXPONENT, MOMENTUM_EXPONENT
from orchestrator.virtual.arm_kernels.runner import Array, TaskDoor
from orchestrator.virtual.layout import chunks_of, from_board, to_board
from orchestrator.virtual.tasks_element import (
    CHUNK,
    Bits,
    Quantise,
    Scalar,
    Softmax,
    SumSquares,
    Update,
)


class MasterKernels(TaskDoor):
    """Part of `ArmKernels`."""

    # ---- loss ----------------------------------------------------------------------------------

    def softmax_loss(
        self, logits: Array, labels: Array, t_on: int, t_off: int, seed: int, e: Array
    ) -> tuple[int, int]:
        """Write the 13-bit error; return the summed loss in Q0.24 and how many were right."""
        self.clear()
        output_address("e", e, np.int16, logits.shape)
        task = self._softmax(logits, labels, (t_on, t_off))
        n, classes = matrix_of("logits", logits)
        task.seed, task.e = seed, self.take(n * task.row_stride)
        self.run(task)
        errors = self.get(task.e, np.int16, (n, chunks_of(classes), 1, 1, CHUNK))
        e[...] = from_board(errors, classes).reshape(e.shape)
        return self._scores(task)[:2]

    def evaluate_logits(
        self, logits: Array, labels: Array, t_on: int, t_off: int
    ) -> tuple[int, int, int, Array]:
        """Return summed loss (Q0.24), top-1 and top-5 counts and the predicted classes."""
        self.clear()
        task = self._softmax(logits, labels, (t_on, t_off))
        task.predicted = self.take(4 * task.n)
        self.run(task)
        return *self._scores(task), self.get(task.predicted, np.int32, (task.n,))

    def _softmax(self, logits: Array, labels: Array, targets: tuple[int, int]) -> Softmax:
        n, classes = matrix_of("logits", logits)
        address("logits", logits, np.int16, logits.shape)
        address("labels", labels, np.int32, (n,))
        check_labels(labels, classes)
        return Softmax(
            logits=self.put(to_board(logits.reshape(n, 1, 1, classes))),
            labels=self.put(labels),
            scores=self.take(16),
            n=n,
            classes=classes,
            row_stride=chunks_of(classes) * 2 * CHUNK,
            t_on=targets[0],
            t_off=targets[1],
        )

    def _scores(self, task: Softmax) -> tuple[int, int, int]:
        loss = self.get(task.scores, np.int64, (1,))
        counts = self.get(task.scores + 8, np.uint32, (2,))
        return int(loss[0]), int(counts[0]), int(counts[1])

    # ---- masters -------------------------------------------------------------------------------

    def quantise(self, t: Array, shift: int, limit: int, out: Array) -> int:
        """Write clamp(half_up(t, shift)) as int16; return saturations."""
        self.clear()
        output_address("out", out, np.int16, t.shape)
        task = Quantise(
            t=self._put_masters("t", t),
            out=self.take(2 * t.size),
            count=t.size,
            shift=shift_of(shift),
            limit=limit,
            report=self.take(16),
        )
        self.run(task)
        out[...] = self.get(task.out, np.int16, out.shape)
        return self.report(task.report)[1]

    def bits_i32(self, t: Array) -> int:
        """Return the OR of t ^ (t >> 31)."""
        self.clear()
        task = Bits(t=self._put_masters("t", t), count=t.size, report=self.take(16))
        self.run(task)
        return self.report(task.report)[0]

    def sum_squares(self, t: Array, shift: int) -> int:
        """Return the exact sum of squares of clamp16(half_up(t, shift))."""
        self.clear()
        task = SumSquares(
            t=self._put_masters("t", t), count=t.size, shift=shift_of(shift), result=self.take(8)
        )
        self.run(task)
        return int(self.get(task.result, np.uint64, (1,))[0])

    def update(
        self,
        w: Array,
        v: Array,
        g: Array,
        m: tuple[int, int],
        l: tuple[int, int],  # noqa: E741  (the numerics page calls the three scalars m, l, d)
        d: tuple[int, int],
        ahead: tuple[int, int] | None,
    ) -> tuple[int, int]:
        """Step momentum and masters in place; return their saturations."""
        self.clear()
        for name, array in (("w", w), ("v", v)):
            output_address(name, array, np.int32, w.shape)
        address("g", g, np.int32, w.shape)
        task = Update(
            w=self.put(w),
            v=self.put(v),
            g=self.put(g),
            count=w.size,
            nesterov=ahead is not None,
            m=_scalar(m, MOMENTUM_EXPONENT),
            l=_scalar(l, 0),
            d=_scalar(d, MASTER_EXPONENT),
            ahead=_scalar(ahead or (0, 0), MOMENTUM_EXPONENT),
            result=self.take(8),
        )
        self.run(task)
        w[...] = self.get(task.w, np.int32, w.shape)
        v[...] = self.get(task.v, np.int32, v.shape)
        of_v, of_w = self.get(task.result, np.uint32, (2,))
        return int(of_v), int(of_w)

    def _put_masters(self, name: str, t: Array) -> int:
        address(name, t, np.int32, t.shape)
        return self.put(t)


def _scalar(scalar: tuple[int, int], exponent: int) -> Scalar:
    found = scalar_of(scalar, exponent)
    return Scalar(mantissa=found.mantissa, shift=found.shift)
