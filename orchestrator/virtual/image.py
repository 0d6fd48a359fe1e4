"""Builds the program of an application core with arm-none-eabi-gcc, and says what it takes.

`python -m orchestrator.virtual.image` builds it and prints its sizes.
"""

import hashlib
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestrator.errors import ArgumentError, MissingToolError, RegattaError, RunError
from orchestrator.virtual.elf import Segment, segments, symbols
from orchestrator.virtual.stack_depth import CallGraph, read_call_graph

ITCM: Final = 0x0
DTCM: Final = 0x400000
ITCM_BYTES: Final = 32_512
"""What SC&MP's loader leaves of the 32 KB."""
DTCM_BYTES: Final = 63_488
"""What is used of the 64 KB, the stacks included."""
IRQ_STACK_BYTES: Final = 256

_COMPILER: Final = "arm-none-eabi-gcc"
_SOURCES: Final = Path(__file__).parents[2] / "board_kernels"
_FOLDER: Final = "arm968"
_FLAGS: Final = (
    *("-mcpu=arm968e-s", "-marm", "-O2", "-std=c11", "-ffreestanding", "-ffunction-sections"),
    *(
        "-fsection-anchors",
        "-fipa-pta",
        "-fno-common",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fcallgraph-info=su",
    ),
)
_LINK_FLAGS: Final = (
    *("-mcpu=arm968e-s", "-marm", "-nostdlib", "-Wl,--gc-sections", "-Wl,--fatal-warnings"),
)
_IRQ_ENTRY_BYTES: Final = 24
"""Pushed by the interrupt's entry in start.S before a handler is called."""


@dataclass(frozen=True)
class Image:
    """The program of a core: `segments` say where its bytes go, it starts at address 0.

    elf : the linked file, with symbols.
    binary : the same as an APLX file, which SC&MP loads.
    symbols : address of every function and variable.
    itcm_bytes, dtcm_bytes : occupied; the data memory's count includes both stacks.
    stack_bytes : deepest use of the system stack.
    """

    elf: Path
    binary: bytes
    symbols: dict[str, int]
    segments: tuple[Segment, ...]
    itcm_bytes: int
    dtcm_bytes: int
    stack_bytes: int


def build_image() -> Image:
    """Compile and link the image, or take it from the cache if nothing has changed.

    Raises
    ------
    ArgumentError : the cache's folder cannot be written.
    MissingToolError : no ARM compiler, or no sources.
    RunError : the sources do not compile, or the image does not fit its memories.
    """
    compiler = find_compiler()
    if not (_SOURCES / _FOLDER).is_dir():
        raise MissingToolError(
            f"the core's sources are not installed: there is no {_SOURCES / _FOLDER}; use the "
            "source tree (pip install -e .)"
        )
    folder = _cache_folder() / f"image-{_key(compiler)}"
    if not folder.is_dir():
        _build(compiler, folder)
    return _load(folder)


def find_compiler() -> str:
    """Return the path of the ARM compiler.

    Raises
    ------
    MissingToolError : it is not on PATH.
    """
    compiler = shutil.which(_COMPILER)
    if compiler is None:
        raise MissingToolError(
            f"{_COMPILER} is not on PATH; it builds the program of SpiNNaker cores "
            "(Debian, Ubuntu: apt-get install gcc-arm-none-eabi)"
        )
    return compiler


def _cache_folder() -> Path:
    named = os.environ.get("REGATTA_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regatta"


def _key(compiler: str) -> str:
    """Return a digest of all that the image is made from."""
    version = subprocess.run([compiler, "--version"], capture_output=True, check=False)
    if version.returncode:
        raise MissingToolError(f"{compiler} does not work: it cannot tell its version")
    digest = hashlib.sha256(version.stdout + repr((_FLAGS, _LINK_FLAGS)).encode())
    for path in sorted(_SOURCES.rglob("*.[chSl]*")):
        digest.update(f"{path.relative_to(_SOURCES)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:24]


def _build(compiler: str, folder: Path) -> None:
    """Compile and link in a temporary folder, which takes its name when all is there."""
    _check_cache(folder.parent)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        build = Path(work) / "build"
        build.mkdir()
        source = _SOURCES / _FOLDER
        files = sorted([*source.glob("*.c"), *source.glob("*.S")])
        includes = [f"-I{_SOURCES / name}" for name in (_FOLDER, "include", "kernels")]
        _run([compiler, *_FLAGS, *includes, "-c", *map(str, files)], build)
        objects = sorted(map(str, build.glob("*.o")))
        script = f"-Wl,-T,{source / 'image.ld'}"
        _run([compiler, *_LINK_FLAGS, script, *objects, "-lgcc", "-o", "image.elf"], build)
        try:
            build.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process has built the same meanwhile
                raise


def _check_cache(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ArgumentError(
            f"the image cannot be kept in {folder}: {error.strerror}; "
            "REGATTA_CACHE names another folder"
        ) from error


def _run(command: list[str], folder: Path) -> None:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return
    for line in result.stderr.splitlines():
        if "overflowed by" in line:
            raise RunError(f"the image does not fit a core: {line.partition(': ')[2].strip()}")
    raise RunError(f"the image could not be built:\n{result.stderr.strip()}")


def _load(folder: Path) -> Image:
    path = folder / "image.elf"
    elf = path.read_bytes()
    parts = segments(elf)
    names = symbols(elf)
    stack = _stack_bytes(folder)
    room = names["stack_top"] - names["stack_limit"]
    if stack > room:
        raise RunError(f"the image does not fit a core: the stack takes {stack} B of {room} B")
    return Image(
        elf=path,
        binary=aplx(parts),
        symbols=names,
        segments=parts,
        itcm_bytes=names["text_end"] - ITCM,
        dtcm_bytes=names["stack_limit"] - DTCM + stack + IRQ_STACK_BYTES,
        stack_bytes=stack,
    )


def _stack_bytes(folder: Path) -> int:
    """Return the depth of the system stack, having checked that of interrupts."""
    assembly = (p.read_text() for p in (_SOURCES / _FOLDER).glob("*.S"))
    files = [p.read_text() for p in folder.glob("*.ci")]
    graph: CallGraph = read_call_graph(files, assembly, ("run_",))
    handlers = [n for n in graph.frames if n.rpartition(":")[2].startswith("on_")]
    interrupt = _IRQ_ENTRY_BYTES + max(graph.depth(n.rpartition(":")[2]) for n in handlers)
    if interrupt > IRQ_STACK_BYTES:
        raise RunError(f"an interrupt takes {interrupt} B of stack, {IRQ_STACK_BYTES} B are there")
    return graph.depth("runtime_main")


def aplx(parts: tuple[Segment, ...]) -> bytes:
    """Return segments as an APLX file: a table of commands, then the bytes it copies.

    A command has four words: 2, target, source relative to the command, length (copied in units of
    32 B); 4, address to start at; -1 ends the table (spinnaker_tools, APLX).
    """
    loaded = [part for part in parts if part.data]
    entry = 16
    place = entry * (len(loaded) + 2)
    table, data = b"", b""
    for i, part in enumerate(loaded):
        padded = part.data + bytes(-len(part.data) % 32)
        table += struct.pack("<4I", 2, part.address, place + len(data) - i * entry, len(padded))
        data += padded
    table += struct.pack("<4I", 4, ITCM, 0, 0) + struct.pack("<4I", 0xFFFFFFFF, 0, 0, 0)
    return table + data


def main() -> None:
    """Build the image and print what it takes."""
    try:
        image = build_image()
    except RegattaError as error:
        print(f"image: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    print(f"{image.elf}")
    print(f"instruction memory {image.itcm_bytes:6} B of {ITCM_BYTES}")
    print(f"data memory        {image.dtcm_bytes:6} B of {DTCM_BYTES}")
    print(f"  of it the stack  {image.stack_bytes:6} B")


if __name__ == "__main__":
    main()
