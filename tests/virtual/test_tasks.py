"""The task structs of Python and of the compiler are the same bytes."""

import ctypes
import importlib
import pkgutil
import subprocess
from pathlib import Path

import pytest

import orchestrator.virtual
from orchestrator.errors import MissingToolError
from orchestrator.virtual.image import find_compiler
from orchestrator.virtual.tasks import TASK_WORDS, Copy, Report, Task, TaskError, tape

HEADERS = Path(__file__).parents[2] / "board_kernels" / "arm968"


def every_task() -> list[type[Task]]:
    for module in pkgutil.iter_modules(orchestrator.virtual.__path__):
        if module.name.startswith("tasks"):
            importlib.import_module(f"orchestrator.virtual.{module.name}")
    return Task.__subclasses__()


def layout_checks(structure: type[ctypes.Structure], c_name: str) -> list[str]:
    name = f"struct {c_name}"
    checks = [f"sizeof({name}) == {ctypes.sizeof(structure)}"]
    for field in structure._fields_:
        place = getattr(structure, field[0])
        checks.append(f"offsetof({name}, {field[0]}) == {place.offset}")
        checks.append(f"sizeof((({name} *)0)->{field[0]}) == {place.size}")
    return [f'_Static_assert({check}, "{check}");' for check in checks]


def test_structs_have_the_compilers_layout(tmp_path: Path) -> None:
    try:
        compiler = find_compiler()
    except MissingToolError as error:
        pytest.skip(str(error))
    lines = ['#include "task.h"', "#include <stddef.h>", *layout_checks(Report, "report")]
    lines += [f'_Static_assert(TASK_WORDS == {TASK_WORDS}, "TASK_WORDS");']
    lines += [f'_Static_assert(ERROR_{e.name} == {e.value}, "{e.name}");' for e in TaskError]
    for task in every_task():
        lines += layout_checks(task, task.c_name)
    source = tmp_path / "layout.c"
    source.write_text("\n".join(lines) + "\n")
    subprocess.run(
        [compiler, "-std=c11", f"-I{HEADERS}", "-fsyntax-only", str(source)],
        check=True,
    )


@pytest.mark.parametrize("task", every_task(), ids=lambda t: t.__name__)
def test_every_task_fits_the_tape(task: type[Task]) -> None:
    words = ctypes.sizeof(task) // 4
    assert words % 2 == 0
    assert words <= TASK_WORDS
    assert task._fields_[0][0] == "header"


def test_kinds_differ() -> None:
    kinds = [task.kind for task in every_task()]
    assert len(set(kinds)) == len(kinds)


def test_tape_is_tasks_and_an_end() -> None:
    copy = Copy(source=0x60000000, target=0x60001000, bytes=8)
    data = tape([copy, copy])
    assert data[:4] == (1 | 4 << 16).to_bytes(4, "little")
    assert data[16:32] == data[:16]
    assert data[32:] == bytes(4 * TASK_WORDS)
