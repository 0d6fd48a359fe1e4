"""How deep a program's stack can get, from the call graph that gcc writes (-fcallgraph-info=su).

A function written in assembly states its frame in a comment, `@ stack NAME BYTES`, and calls
nothing. A call through a pointer may reach every function whose name begins with one of the given
prefixes.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from orchestrator.errors import RunError

LIBRARY_FRAME: Final = 96
"""Bytes allowed for a function of the compiler's library; the deepest used (64-bit division, gcc
12) takes 60."""

_NODE = re.compile(r'node: \{ title: "([^"]+)" label: "([^"]*)"')
_EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')
_BYTES = re.compile(r"(\d+) bytes \((\w+)\)")
_ASSEMBLY = re.compile(r"^@ stack (\w+) (\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class CallGraph:
    """Frames in bytes, and who calls whom, by the names of the call graph files."""

    frames: Mapping[str, int]
    calls: Mapping[str, frozenset[str]]
    through_pointers: tuple[str, ...]

    def depth(self, function: str) -> int:
        """Return the most bytes of stack in use below and in a function.

        Raises
        ------
        RunError : recursion, or a function that is not known.
        """
        return self._depth(self._find(function), ())

    def _depth(self, node: str, callers: tuple[str, ...]) -> int:
        if node in callers:
            raise RunError(f"the image's stack has no bound: {_name(node)} calls itself")
        below = [self._depth(n, (*callers, node)) for n in self._callees(node)]
        return self.frames.get(node, LIBRARY_FRAME) + max(below, default=0)

    def _callees(self, node: str) -> Iterable[str]:
        for callee in self.calls.get(node, frozenset()):
            if callee == "__indirect_call":
                yield from (n for n in self.frames if _name(n).startswith(self.through_pointers))
            else:
                yield callee

    def _find(self, function: str) -> str:
        for node in self.frames:
            if _name(node) == function:
                return node
        raise RunError(f"the image has no function {function}")


def read_call_graph(
    graphs: Iterable[str], assembly: Iterable[str], through_pointers: tuple[str, ...]
) -> CallGraph:
    """Join gcc's call graph files with the frames stated in assembly sources.

    Raises
    ------
    RunError : a frame whose size is not fixed when compiled.
    """
    frames: dict[str, int] = {}
    calls: dict[str, set[str]] = {}
    for text in graphs:
        for title, label in _NODE.findall(text):
            if size := _BYTES.search(label):
                if size[2] == "dynamic":
                    raise RunError(f"the image's stack has no bound: {_name(title)} is dynamic")
                frames[title] = int(size[1])
        for source, target in _EDGE.findall(text):
            calls.setdefault(source, set()).add(target)
    for text in assembly:
        frames.update((name, int(size)) for name, size in _ASSEMBLY.findall(text))
    return CallGraph(frames, {k: frozenset(v) for k, v in calls.items()}, through_pointers)


def _name(node: str) -> str:
    """Return a function's name without the file that a static one's title begins with."""
    return node.rpartition(":")[2]
