"""Who imports whom, and which module reaches outside: the tables of docs/architecture.md, held.

A module belongs to the longest name of `LEVELS` it starts with. It may import modules of its own
part that are not on a higher level, and modules of lower levels.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LEVELS = {
    "errors": 0,
    "config": 1,
    "dfp": 1,
    "machine": 1,
    "philox": 1,
    "wire": 1,
    "model": 2,
    "optim": 2,
    "collectives.cuts": 2,
    "collectives.plan": 2,
    "compiler.program": 2,
    "data.base": 2,
    "data.augment": 2,
    "data.order": 2,
    "data.resize": 2,
    "boards.kernel_library": 2,
    "perf.cycles": 2,
    "perf.rates": 2,
    "boards": 3,
    "collectives": 3,
    "compiler.phase_time": 3,
    "data": 3,
    "virtual": 3,
    "compiler": 4,
    "perf": 4,
    "train": 4,
    "virtual.arm_kernels": 4,
    "boards.hardware.selftest": 5,
    "keras": 5,
    "studies": 5,
    "bench": 6,
    "cli": 7,
    "__main__": 8,
}

ONLY_IN = {
    "PIL": ("bench",),
    "asyncio": (),
    "ctypes": ("boards", "data.resize_native", "virtual", "bench"),
    "horovod": ("collectives.horovod_package",),
    "matplotlib": ("studies",),
    "mmap": ("collectives.node", "virtual.chip"),
    "mpi4py": ("collectives", "bench"),
    "onnx": ("model.onnx_export",),
    "pickle": (),
    "plotly": ("studies",),
    "signal": ("cli", "collectives.signals", "boards.hardware.signals"),
    "simplejpeg": ("data.decode", "bench"),
    "sklearn": ("data.digits",),
    "socket": ("train.tensorboard", "boards.hardware", "virtual.serving.network"),
    "spalloc_client": ("boards.hardware",),
    "spinnman": ("boards.hardware",),
    "subprocess": ("cli.doctor", "virtual.image", "bench"),
    "tensorboard": ("train.tensorboard",),
    "torch": ("collectives.horovod", "studies", "bench"),
    "typer": ("cli", "studies"),
    "unicorn": ("virtual.emulator_library",),
    "yaml": ("config.load",),
}
"""Packages, and the parts or modules that may import them."""

ENVIRONMENT = ("cli.cache", "collectives", "boards.kernels_native", "virtual.image")
"""Who may read the process's environment."""

PURE_LEVEL = 2
EFFECTS = {
    *("concurrent", "datetime", "io", "mmap", "multiprocessing", "os", "pathlib", "random"),
    *("shutil", "signal", "socket", "subprocess", "sys", "tempfile", "threading", "time"),
}
EFFECTFUL = {
    "config.load": {"pathlib"},  # reads the configuration
    "config.reference": {"sys"},  # prints a page when run as a program
    "model.onnx_export": {"os", "pathlib"},  # writes the model
    "boards.kernel_library": {"pathlib"},  # finds the compiled library
}
"""Modules of the pure levels that have an effect, and what they import for it."""


def module_name(path: Path) -> str:
    """Return a module's name without the package's, "" for the package itself."""
    parts = path.relative_to(ROOT / "orchestrator").with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


SOURCES = {module_name(p): p for p in sorted((ROOT / "orchestrator").rglob("*.py"))}


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield the full names of what is imported anywhere in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def inside(name: str, part: str) -> bool:
    """Tell whether a name is a part or in it."""
    return name == part or name.startswith(f"{part}.")


def room(name: str) -> str:
    """Return the entry of `LEVELS` that a module belongs to."""
    found = [part for part in LEVELS if inside(name, part)]
    assert found, f"orchestrator.{name} has no level: give it one here and in docs/architecture.md"
    return max(found, key=len)


def own_imports(name: str, tree: ast.AST) -> Iterator[str]:
    """Yield the modules of this package that a module imports."""
    for imported in imports(tree):
        if not inside(imported, "orchestrator"):
            continue
        target = imported.removeprefix("orchestrator").removeprefix(".")
        while target not in SOURCES:  # a name in a module
            target = target.rpartition(".")[0]
        if target:  # the package itself holds only the version
            yield target


def level_faults(name: str, tree: ast.AST) -> Iterator[str]:
    """Yield the imports of a module that go sideways or up."""
    if not name:
        yield from (f"the package imports {target}" for target in own_imports(name, tree))
        return
    own = LEVELS[room(name)]
    is_front = name == name.partition(".")[0]  # a part's __init__ shows the part's modules
    for target in own_imports(name, tree):
        level = LEVELS[room(target)]
        same_part = target.partition(".")[0] == name.partition(".")[0]
        if level < own or (same_part and (level == own or is_front)):
            continue
        yield f"{name} (level {own}) imports {target} (level {level})"


def outside_faults(name: str, tree: ast.AST) -> Iterator[str]:
    """Yield the imports of other packages that this module may not have."""
    for package in {imported.partition(".")[0] for imported in imports(tree)}:
        allowed = ONLY_IN.get(package)
        if allowed is not None and not any(inside(name, part) for part in allowed):
            yield f"{name} imports {package}, which only {', '.join(allowed) or 'nobody'} may"
        if package in EFFECTS and name and LEVELS[room(name)] <= PURE_LEVEL:
            if package not in EFFECTFUL.get(name, set()):
                yield f"{name} is pure and imports {package}"


def environment_faults(name: str, tree: ast.AST) -> Iterator[str]:
    """Yield the places where a module reads the environment and may not."""
    if any(inside(name, part) for part in ENVIRONMENT):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb"):
            yield f"{name}, line {node.lineno}: reads the environment"


def test_no_module_breaks_the_tables():
    faults = []
    for name, path in SOURCES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for rule in (level_faults, outside_faults, environment_faults):
            faults += rule(name, tree)
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("name", "source", "rule"),
    [
        ("model.zoo", "from orchestrator.boards import base", level_faults),
        ("boards.base", "import orchestrator.data.loader", level_faults),
        ("data.order", "from orchestrator.data import loader", level_faults),
        ("train.state", "def f():\n    from orchestrator.cli import main", level_faults),
        ("train.state", "from mpi4py import MPI", outside_faults),
        ("model.zoo", "import ctypes", outside_faults),
        ("optim.rates", "import time", outside_faults),
        ("train.trainer", "import os\nos.environ['A']", environment_faults),
    ],
)
def test_a_fault_is_found(name, source, rule):
    assert list(rule(name, ast.parse(source)))


def test_the_page_has_the_levels():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = {
        row.split("|")[1].split(",")[0].strip(): row for row in page.splitlines() if "|" in row
    }
    for part, level in LEVELS.items():
        if part != "__main__":
            assert f"`{part}`" in table[str(level)], f"{part} is missing from level {level}"


def test_every_entry_is_of_use():
    for part in (*LEVELS, *EFFECTFUL, *ENVIRONMENT, *sum(ONLY_IN.values(), ())):
        assert any(inside(name, part) for name in SOURCES), f"there is no orchestrator.{part}"
