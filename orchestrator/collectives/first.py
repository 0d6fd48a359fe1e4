"""What only the first rank can know, on every rank: its result, or its error."""

import json
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from orchestrator import errors
from orchestrator.collectives.base import Collective
from orchestrator.errors import RegattaError

T = TypeVar("T")


def from_first(ranks: Collective, find: Callable[[], T]) -> T:
    """Return on every rank what a function returns on the first one, where alone it is called.

    Ranks on other hosts may not see the first one's files; and an error there is everybody's, so
    that the job ends by itself, with one message.

    Parameters
    ----------
    ranks : all ranks call this.
    find : returns a value that JSON can hold.

    Raises
    ------
    RegattaError
        What the function raises on the first rank, on every rank.
    """
    if ranks.rank == 0:
        try:
            value = find()
        except RegattaError as error:
            _broadcast(ranks, [type(error).__name__, str(error)])
            raise
        _broadcast(ranks, ["", value])
        return value
    kind, answer = _broadcast(ranks, None)
    if kind:
        raise getattr(errors, kind)(answer)
    return cast(T, answer)


def _broadcast(ranks: Collective, answer: Any) -> Any:
    """Return the first rank's answer on every rank."""
    content = json.dumps(answer).encode()
    length = np.array([len(content)], np.int64)
    ranks.broadcast(length)
    received = np.zeros(int(length[0]), np.uint8)
    if ranks.rank == 0:
        received[:] = np.frombuffer(content, np.uint8)
    ranks.broadcast(received)
    return json.loads(received.tobytes())
