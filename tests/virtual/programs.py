"""Small programs in ARM assembly for the emulated core's tests."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.virtual.elf import Segment, segments, symbols

COMPILER = "arm-none-eabi-gcc"
MISSING = f"{COMPILER} is missing: apt-get install gcc-arm-none-eabi"

PROLOGUE = """
        .syntax unified
        .arch   armv5te
        .arm
        .macro  sleep
        mcr     p15, 0, r0, c7, c0, 4
        .endm
        .text
        .global _start
_start: b       start
        b       undefined_handler
        b       supervisor_handler
        b       prefetch_handler
        b       data_handler
        nop
        ldr     pc, [pc, #-0xff0]       @ IRQ: the VIC's vector address
        b       fiq_handler
"""
"""Vectors; the program's own code begins at `start` and may define the handlers it needs."""

HANDLERS = [f"{name}_handler" for name in ("undefined", "supervisor", "prefetch", "data", "fiq")]


@dataclass(frozen=True)
class Program:
    """What a core runs."""

    segments: tuple[Segment, ...]
    symbols: dict[str, int]


def assemble_program(source: str, folder: Path) -> Program:
    """Make a program of assembly source, in a folder of its own; skip without the compiler."""
    if shutil.which(COMPILER) is None:
        pytest.skip(MISSING)
    text, elf = folder / "program.S", folder / "program.elf"
    missing = "".join(f"{name}:\n" for name in HANDLERS if f"{name}:" not in source)
    text.write_text(f"{PROLOGUE}{missing}stay: sleep\n b stay\n{source}\n")
    flags = ["-mcpu=arm968e-s", "-nostdlib", "-Wl,-Ttext=0", "-Wl,--build-id=none"]
    subprocess.run([COMPILER, *flags, str(text), "-o", str(elf)], check=True)
    return Program(segments(elf.read_bytes()), symbols(elf.read_bytes()))
