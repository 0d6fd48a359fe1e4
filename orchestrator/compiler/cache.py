"""Programs on disk, found again by the content of what they were made from.

A file holds arrays (NumPy's npz, no pickle) and a description that says which value is where.
Arrays that many exchanges share are stored once.
"""

import hashlib
import json
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
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    known: dict[int, str] = {}
    text = json.dumps(_described(program, arrays, known))
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


def _described(value: Any, arrays: dict[str, np.ndarray[Any, Any]], known: dict[int, str]) -> Any:
    """Return a value as JSON, arrays by name."""
    if isinstance(value, np.ndarray):
        if id(value) not in known:
            known[id(value)] = name = f"array{len(arrays)}"
            arrays[name] = value
        return {"array": known[id(value)]}
    if isinstance(value, StrEnum):
        return {"enum": type(value).__name__, "value": value.value}
    if is_dataclass(value):
        return {
            "class": type(value).__name__,
            "fields": {
                each.name: _described(getattr(value, each.name), arrays, known)
                for each in fields(value)
            },
        }
    if isinstance(value, dict):
        return {"dict": {key: _described(item, arrays, known) for key, item in value.items()}}
    if isinstance(value, tuple):
        return [_described(item, arrays, known) for item in value]
    return value


def _made(value: Any, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    """Return the value of a description."""
    if isinstance(value, list):
        return tuple(_made(item, arrays) for item in value)
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    if "enum" in value:
        return getattr(program_module, value["enum"])(value["value"])
    if "dict" in value:
        return {key: _made(item, arrays) for key, item in value["dict"].items()}
    made = {name: _made(item, arrays) for name, item in value["fields"].items()}
    return getattr(program_module, value["class"])(**made)
