"""Lays out a training step: the forward pass, the loss, the backward pass, the update.

Every operation is cut by its split. Forward, a convolution gathers all input channels of its rows;
batch norm adds sums over the parts and takes tensor-wide numbers over all chips. Backward, a
convolution gathers all channels of the error once, for the input gradient of its group of input
channels and for the weight gradient of the same group, whose partial sums over its rows then go to
the chips that own the weights, exact.
"""

import numpy as np

from orchestrator.compiler.draft import (
    WHOLE_STEP,
    Draft,
)
from orchestrator.compiler.layers import Apply, Conv, Dropout, Pool
from orchestrator.compiler.program import (
    Pass,
    Split,
)
from orchestrator.compiler.step_backward import BackwardPass
from orchestrator.compiler.step_base import (
    MANTISSA,
    MASTER,
)
from orchestrator.compiler.step_forward import ForwardPass
from orchestrator.perf.cycles import Element


class Step(ForwardPass, BackwardPass):
    """A whole step; parameters as for `StepBase`."""

    def lay_out(self) -> Draft:
        """Return the step."""
        self._claim_masters()
        for op in self._network.operations:
            match op:
                case Conv():
                    self._forward(op)
                case Apply():
                    self._apply(op)
                case Pool():
                    self._pool(op)
                case Dropout():
                    self._dropout(op)
        self._loss()
        for op in reversed(self._network.operations):
            match op:
                case Conv():
                    self._backward(op)
                case Apply():
                    self._apply_backward(op)
                case Pool():
                    self._pool_backward(op)
                case Dropout():
                    self._dropout_backward(op)
            for index in self._kept.pop(op.name, []):
                self._draft.claims[index].last = self._draft.now
        self._update()
        return self._draft

    def _claim_masters(self) -> None:
        for op in self._network.convolutions:
            size = self._cutter.masters(self._weight_splits[op.name], op).sizes * op.taps * MASTER
            for purpose in ("master", "momentum", "gradient"):
                self._draft.claim(f"{purpose} {op.weight}", purpose, size, 0, WHOLE_STEP)

    def _update(self) -> None:
        """Round the summed gradients, update masters, take their bit lengths, copy them."""
        owned = np.zeros(self._mesh.n, np.int64)
        for op in self._network.convolutions:
            owned += self._cutter.masters(self._weight_splits[op.name], op).sizes * op.taps
        names = len(self._network.convolutions)
        stage = self._draft.stage("update", "update", Pass.UPDATE)
        for kernel in (Element.COPY, Element.UPDATE, Element.BIT_LENGTH):
            stage.work.append(
                self._shares.flat("update", kernel, self._shares.element_cost(kernel), owned)
            )
        stage = self._draft.stage("copy weights", "update", Pass.UPDATE)
        everywhere = Split(chips=tuple(range(self._mesh.n)), groups=1)
        stage.exchanges += self._numbers("bit lengths of the weights", everywhere, MASTER * names)
        stage.work.append(
            self._shares.flat(
                "update", Element.COPY, self._shares.element_cost(Element.COPY), owned
            )
        )
        self._draft.claim("new weights", "weights", owned * MANTISSA, 0, WHOLE_STEP)
