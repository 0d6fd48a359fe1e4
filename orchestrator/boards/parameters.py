"""The flat buffers a replica's parameters live in, and their views by name."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ArgumentError
from orchestrator.model.graph import Parameter

Allocate = Callable[[int], NDArray[np.int32]]
"""Returns that many int32 zeros."""


class FlatTensors:
    """One int32 buffer holding every parameter-shaped tensor end to end, in graph order.

    Attributes
    ----------
    flat : int32 [elements]; what ranks exchange.
    views : the same memory by parameter name, in the parameter's shape.
    """

    def __init__(self, parameters: Iterable[Parameter], allocate: Allocate | None = None) -> None:
        shapes = {p.name: p.shape for p in parameters}
        sizes = {name: int(np.prod(shape)) for name, shape in shapes.items()}
        self.flat: NDArray[np.int32] = (allocate or _zeros)(sum(sizes.values()))
        self.views: dict[str, NDArray[np.int32]] = {}
        start = 0
        for name, shape in shapes.items():
            self.views[name] = self.flat[start : start + sizes[name]].reshape(shape)
            start += sizes[name]

    def load(self, values: Mapping[str, NDArray[np.int32]]) -> None:
        """Copy every parameter from ``values``.

        Raises
        ------
        ArgumentError
            A name is missing or has another shape.
        """
        for name, view in self.views.items():
            value = values.get(name)
            if value is None or value.shape != view.shape:
                found = "missing" if value is None else f"of shape {value.shape}"
                raise ArgumentError(f"parameter {name!r} is {found}; it needs {view.shape}")
            view[...] = value


def _zeros(n: int) -> NDArray[np.int32]:
    return np.zeros(n, np.int32)
