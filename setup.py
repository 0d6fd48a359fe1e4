"""Compiles the host kernels when the package is built; everything else is in pyproject.toml.

The same C sources are compiled once for each kernel set, with the set's flags, into a shared
library of its own in orchestrator/boards/. A file named <name>_<family>.c takes the place of
<name>.c in the sets that draw on this family. The sets are those of the machine that the compiler
compiles for: CC may name a cross compiler.
"""

import os
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

SOURCES = Path("board_kernels")
FLAGS = ["-std=c11", "-O3", "-Wall", "-Wextra", "-pedantic", "-fPIC", "-shared", "-pthread"]


@dataclass(frozen=True)
class KernelSet:
    """A library: its machine (None: any), compiler flags and families of tuned files, best first.

    `instruction` is one that the set's assembly uses and that old assemblers do not know.
    """

    name: str
    machine: str | None = None
    flags: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    instruction: str = ""


V3 = ("-march=x86-64-v3",)
V4 = ("-march=x86-64-v4", "-mprefer-vector-width=512")
SETS = (
    KernelSet("portable"),
    KernelSet("neon", "aarch64", (), ("neon", "pairs")),
    KernelSet("avx2", "x86_64", V3, ("avx2", "pairs")),
    KernelSet(
        *("avxvnni", "x86_64", (*V3, "-mavxvnni"), ("avxvnni", "avx2", "pairs")),
        instruction="{vex} vpdpwssd %ymm0, %ymm0, %ymm0",
    ),
    KernelSet("avx512", "x86_64", V4, ("avx512", "avx2", "pairs")),
    KernelSet(
        "avx512vnni", "x86_64", (*V4, "-mavx512vnni"), ("avx512vnni", "avx512", "avx2", "pairs")
    ),
)
FAMILIES = {family for kernel_set in SETS for family in kernel_set.families}


def sources_of(kernel_set: KernelSet) -> list[str]:
    """Return the reference sources with the set's tuned files in their places."""
    every = sorted([*SOURCES.glob("kernels/*.c"), *SOURCES.glob("runtime/*.c")])
    tuned = {p for p in every if p.stem.rpartition("_")[2] in FAMILIES}
    chosen = []
    for reference in (p for p in every if p not in tuned):
        candidates = [
            reference.with_name(f"{reference.stem}_{family}.c") for family in kernel_set.families
        ]
        chosen.append(next((p for p in candidates if p in tuned), reference))
    return [str(p) for p in chosen]


def library_name(kernel_set: KernelSet) -> str:
    """Return the library's place in the package, as a module's name."""
    return f"orchestrator.boards._kernels_{kernel_set.name}"


def extension_of(kernel_set: KernelSet) -> Extension:
    """Return the library of a set as setuptools sees it."""
    return Extension(
        library_name(kernel_set),
        sources=sources_of(kernel_set),
        depends=[str(p) for d in ("include", "kernels") for p in sorted(SOURCES.glob(f"{d}/*.h"))],
        include_dirs=[str(SOURCES / "include")],
        extra_compile_args=[*FLAGS, *kernel_set.flags],
    )


EMULATOR = Extension(
    "orchestrator.virtual._emulator",
    sources=[str(p) for p in sorted(SOURCES.glob("emulator/*.c"))],
    depends=[str(p) for p in sorted(SOURCES.glob("emulator/*.h"))],
    extra_compile_args=FLAGS,
)
"""The devices and the timing of an emulated core; Unicorn is not needed to build it."""


class BuildKernels(build_ext):
    """Calls the C compiler directly: a kernel library is no Python extension module."""

    def run(self) -> None:
        """Choose the sets that this compiler can build, then build."""
        self.compiler_command = find_compiler()
        machine = target_machine(self.compiler_command)
        sets = [s for s in SETS if s.machine in (None, machine)]
        left_out = [s.name for s in sets if s.machine and not accepts(self.compiler_command, s)]
        for name in left_out:
            self.warn(
                f"leaving out the {name} kernels: {self.compiler_command[0]} or its assembler "
                "is too old for them"
            )
        wanted = {library_name(s) for s in sets if s.name not in left_out} | {EMULATOR.name}
        self.extensions = [e for e in self.extensions if e.name in wanted]
        super().run()

    def get_ext_filename(self, fullname: str) -> str:
        """Return the library's path without the Python version in its name."""
        return os.path.join(*fullname.split(".")) + ".so"

    def build_extension(self, ext: Extension) -> None:
        """Compile and link one library, unless it is newer than all it is made from."""
        target = Path(self.get_ext_fullpath(ext.name))
        inputs = [Path(p) for p in (*ext.sources, *ext.depends, "setup.py")]
        if not self.force and target.exists():
            if target.stat().st_mtime > max(p.stat().st_mtime for p in inputs):
                return
        target.parent.mkdir(parents=True, exist_ok=True)
        includes = [f"-I{directory}" for directory in ext.include_dirs]
        arguments = [*ext.extra_compile_args, *includes, *ext.sources, "-o", str(target)]
        self.announce(f"compiling {target}", level=2)
        result = subprocess.run([*self.compiler_command, *arguments], check=False)
        if result.returncode != 0:
            raise CompileError(f"{self.compiler_command[0]} could not compile {target.name}")


def find_compiler() -> list[str]:
    """Return the C compiler's command: the environment's CC, or the first of the usual names."""
    if command := shlex.split(os.environ.get("CC", "")):
        if shutil.which(command[0]):
            return command
        raise CompileError(f"CC is {command[0]!r}, which is not a program on PATH")
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return [name]
    raise CompileError(
        "regatta compiles its kernels and found no C compiler (cc, gcc, clang): install one "
        "(Debian, Ubuntu: apt-get install gcc libc6-dev) or name it in CC"
    )


def target_machine(command: list[str]) -> str:
    """Return the machine that the compiler compiles for, named as in `SETS` where it is there."""
    result = subprocess.run([*command, "-dumpmachine"], capture_output=True, text=True, check=False)
    machine = result.stdout.partition("-")[0].strip()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)


def accepts(command: list[str], kernel_set: KernelSet) -> bool:
    """Return whether the compiler takes the set's flags and its assembler the instruction."""
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / "probe.c"
        source.write_text(f'__asm__("{kernel_set.instruction}");\nint regatta;\n')
        output = Path(directory) / "probe.o"
        arguments = [*kernel_set.flags, "-c", str(source), "-o", str(output)]
        return (
            subprocess.run([*command, *arguments], capture_output=True, check=False).returncode == 0
        )


setup(
    ext_modules=[*map(extension_of, SETS), EMULATOR],
    cmdclass={"build_ext": BuildKernels},
)
