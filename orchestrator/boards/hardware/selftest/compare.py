"""Tells whether a core computed what the oracle does, and where it did not first."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestrator.boards.hardware.selftest.cases import Case
from orchestrator.boards.hardware.selftest.recording import (
    Called,
    RecordedCase,
    Recording,
    copies,
)


@dataclass(frozen=True)
class Difference:
    """A case with a wrong result.

    Attributes
    ----------
    case : the call.
    text : first wrong element, what it is and what it should be.
    """

    case: Case
    text: str


class Comparison:
    """Compares cores' results with the oracle's.

    Parameters
    ----------
    recording : whose tape the cores ran.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._expected: dict[int, Called] = {}
        self._right: dict[int, set[bytes]] = {}

    def differences(self, results: bytes) -> tuple[Difference, ...]:
        """Return the cases that a core got wrong, in the tape's order.

        Parameters
        ----------
        results : `Recording.results_bytes` bytes that the core left.
        """
        found = []
        for index, recorded in enumerate(self._recording.cases):
            text = self._difference(index, recorded, recorded.part(results))
            if text is not None:
                found.append(Difference(recorded.case, text))
        return tuple(found)

    def _difference(self, index: int, recorded: RecordedCase, part: bytes) -> str | None:
        # Cores that are well leave the same bytes: they are taken apart only once.
        right = self._right.setdefault(index, set())
        if part in right:
            return None
        if index not in self._expected:
            self._expected[index] = _oracle(recorded.case)
        ours = recorded.read(self._recording.symbols, part)
        text = first_difference(ours, self._expected[index], recorded.case.oracle)
        if text is None:
            right.add(part)
        return text


def _oracle(case: Case) -> Called:
    arguments = copies(case.arguments)
    return Called(case.oracle(*arguments), arguments)


def first_difference(ours: Called, theirs: Called, oracle: Callable[..., Any]) -> str | None:
    """Return the first element that differs, with its name and both values; None: all equal.

    Parameters
    ----------
    ours, theirs : what a core and the oracle gave.
    oracle : whose parameters name the arguments.
    """
    names = [*inspect.signature(oracle).parameters]
    written = zip(names, ours.arguments, theirs.arguments, strict=True)
    for name, mine, right in (*written, *_returned(ours.returned, theirs.returned)):
        if isinstance(right, np.ndarray):
            wrong = np.argwhere(np.asarray(mine) != right)
            if len(wrong):
                at = tuple(int(i) for i in wrong[0])
                place = ", ".join(map(str, at))
                return f"{name}[{place}] is {mine[at]}, should be {right[at]}{_others(len(wrong))}"
        elif isinstance(right, int) and mine != right:
            return f"{name} is {mine}, should be {right}"
    return None


def _returned(mine: Any, right: Any) -> Iterator[tuple[str, Any, Any]]:
    if not isinstance(right, tuple):
        yield "result", mine, right
        return
    names = getattr(right, "_fields", range(len(right)))
    for name, ours, theirs in zip(names, mine, right, strict=True):
        yield f"result {name}", ours, theirs


def _others(wrong: int) -> str:
    return f" (and {wrong - 1} more)" if wrong > 1 else ""


def summary(differences: tuple[Difference, ...]) -> Mapping[str, int]:
    """Return how many cases of each kernel are wrong."""
    found: dict[str, int] = {}
    for difference in differences:
        kernel = difference.case.kernel
        found[kernel] = found.get(kernel, 0) + 1
    return found
