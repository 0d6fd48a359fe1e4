"""Programs on disk, found again by the content of what they were made from.

A file holds one array a type (NumPy's npz, no pickle), all of a program's arrays of that type end
to end, and a description that says which value is where: thousands of small arrays would take
seconds to read. Arrays that many exchanges share are stored once.
"""

import hashlib
import json
import math
import os
import tempfile
from dataclasses import fields, is_dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from orchestrator.compiler import program as program_module
from orchestrator.compiler.compile import compile_for
from orchestrator.compiler.program import Program
from orchestrator.errors import ArgumentError
from orchestrator.machine.machine import Machine
from orchestrator.model.graph import Graph
from orchestrator.perf.cycles import TABLE
from orchestrator.perf.rates import Rates


def compile_program(
    graph: Graph, machine: Machine, images: int, rates: Rates, *, cache: Path | None = None
) -> Program:
    """Return the fastest program found for a ghost batch of images on a slice.

    Parameters
    ----------
    rates : of the machine; another set may lead to another program.
    cache : folder, made if need be, where the program is looked for and kept; None: nowhere. A
        damaged file there is made anew.

    Raises
    ------
    ArgumentError
        The network does not fit the slice, by how much and which would; dead links cut the slice
        in parts; the cache cannot be written.
    MissingToolError
        There is no calibrated cycle table.
    """
    if cache is None:
        return compile_for(graph, machine, images, rates)
    path = cache / f"{content_key(graph, machine, images, rates)}.npz"
    if path.exists():
        try:
            return read_program(path)
        except (OSError, BadZipFile, ValueError, KeyError, TypeError, AttributeError):
            pass  # written by something else, or damaged: replaced below
    program = compile_for(graph, machine, images, rates)
    write_program(program, path)
    return program


def content_key(graph: Graph, machine: Machine, images: int, rates: Rates) -> str:
    """Return a hash of all that a program depends on, this package's code included."""
    digest = hashlib.sha256()
    for part in (graph.nodes, graph.input, graph.output, images, rates, machine.wraps):
        digest.update(repr(part).encode())
    for array in (machine.boards, machine.board_at, machine.cores, machine.links):
        digest.update(repr((array.shape, array.dtype)).encode() + array.tobytes())
    digest.update(files("orchestrator.perf").joinpath(TABLE).read_bytes())
    for package in ("compiler", "perf", "machine", "model"):
        folder = files(f"orchestrator.{package}")
        for source in sorted(folder.iterdir(), key=lambda each: each.name):
            if source.name.endswith(".py"):
                digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()


def write_program(program: Program, path: Path) -> None:
    """Write a program, whole or not at all.

    Raises
    ------
    ArgumentError
        The file cannot be written.
    """
    store = _Store()
    text = json.dumps(store.described(program))
    arrays = {name: np.concatenate(parts) for name, parts in store.parts.items()}
    arrays["description"] = np.frombuffer(text.encode(), np.uint8)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            np.savez(file, allow_pickle=False, **arrays)
        os.replace(file.name, path)
    except OSError as error:
        raise ArgumentError(
            f"the cache of plans {path.parent} cannot be written: {error}"
        ) from None


def read_program(path: Path) -> Program:
    """Return a program that `write_program` wrote; raises what NumPy and JSON raise if damaged."""
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        description = json.loads(bytes(file["description"]))
        arrays = {name: file[name] for name in file.files}
    program = _made(description, arrays)
    if not isinstance(program, Program):
        raise ValueError(f"{path} holds no program")
    return program


class _Store:
    """Arrays put end to end by type, each once.

    Attributes
    ----------
    parts : by the type's name, flat arrays in order.
    """

    def __init__(self) -> None:
        self.parts: dict[str, list[np.ndarray[Any, Any]]] = {}
        self._ends: dict[str, int] = {}
        self._places: dict[int, list[Any]] = {}

    def described(self, value: Any) -> Any:
        """Return a value as JSON, arrays as type, start and shape."""
        if isinstance(value, np.ndarray):
            return {"array": self._place(value)}
        if isinstance(value, StrEnum):
            return {"enum": type(value).__name__, "value": value.value}
        if is_dataclass(value):
            return {
                "class": type(value).__name__,
                "fields": {
                    each.name: self.described(getattr(value, each.name)) for each in fields(value)
                },
            }
        if isinstance(value, dict):
            return {"dict": {key: self.described(item) for key, item in value.items()}}
        if isinstance(value, tuple):
            return [self.described(item) for item in value]
        return value

    def _place(self, array: np.ndarray[Any, Any]) -> list[Any]:
        if id(array) not in self._places:
            name = array.dtype.name
            start = self._ends.get(name, 0)
            self._ends[name] = start + array.size
            self.parts.setdefault(name, []).append(array.reshape(-1))
            self._places[id(array)] = [name, start, list(array.shape)]
        return self._places[id(array)]


def _made(value: Any, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    """Return the value of a description."""
    if isinstance(value, list):
        return tuple(_made(item, arrays) for item in value)
    if not isinstance(value, dict):
        return value
    if "array" in value:
        name, start, shape = value["array"]
        return arrays[name][start : start + math.prod(shape)].reshape(shape)
    if "enum" in value:
        return getattr(program_module, value["enum"])(value["value"])
    if "dict" in value:
        return {key: _made(item, arrays) for key, item in value["dict"].items()}
    made = {name: _made(item, arrays) for name, item in value["fields"].items()}
    return getattr(program_module, value["class"])(**made)
