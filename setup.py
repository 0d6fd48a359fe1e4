"""Compiles the host kernels when the package is built; everything else is in pyproject.toml.

The same C sources are compiled once for each kernel set, with the set's flags, into a shared
library of its own in orchestrator/boards/. A file named <name>_<family>.c takes the place of
<name>.c in the sets that draw on this family.
"""

import os
import platform
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

SOURCES = Path("board_kernels")
FAMILIES = ("avx2", "avx512", "avx512vnni")
FLAGS = ["-std=c11", "-O3", "-Wall", "-Wextra", "-pedantic", "-fPIC", "-shared", "-pthread"]


@dataclass(frozen=True)
class KernelSet:
    """A library: its compiler flags, and the families of tuned files it draws on, best first."""

    name: str
    flags: tuple[str, ...] = ()
    families: tuple[str, ...] = ()


PORTABLE = KernelSet("portable")
V4 = ("-march=x86-64-v4", "-mprefer-vector-width=512")
X86_64 = (
    KernelSet("avx2", ("-march=x86-64-v3",), ("avx2",)),
    KernelSet("avx512", V4, ("avx512", "avx2")),
    KernelSet("avx512vnni", (*V4, "-mavx512vnni"), ("avx512vnni", "avx512", "avx2")),
)


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


def extension_of(kernel_set: KernelSet) -> Extension:
    """Return the library of a set as setuptools sees it."""
    return Extension(
        f"orchestrator.boards._kernels_{kernel_set.name}",
        sources=sources_of(kernel_set),
        depends=[str(p) for p in sorted(SOURCES.glob("*/*.h"))],
        include_dirs=[str(SOURCES / "include")],
        extra_compile_args=[*FLAGS, *kernel_set.flags],
    )


class BuildKernels(build_ext):
    """Calls the C compiler directly: a kernel library is no Python extension module."""

    def run(self) -> None:
        """Leave out the sets whose flags this compiler does not know, then build."""
        self.compiler_command = find_compiler()
        self.extensions = [
            extension
            for extension in self.extensions
            if accepts(self.compiler_command, extension.extra_compile_args)
        ]
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


def accepts(command: list[str], flags: list[str]) -> bool:
    """Return whether the compiler builds for these flags."""
    machine = [flag for flag in flags if flag.startswith("-m")]
    result = subprocess.run(
        [*command, *machine, "-x", "c", "-fsyntax-only", "-"],
        input=b"int regatta;\n",
        capture_output=True,
        check=False,
    )
    return result.returncode == 0


is_x86_64 = platform.machine().lower() in ("x86_64", "amd64")
setup(
    ext_modules=[extension_of(s) for s in (PORTABLE, *(X86_64 if is_x86_64 else ()))],
    cmdclass={"build_ext": BuildKernels},
)
