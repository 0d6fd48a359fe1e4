"""The documents hold: links lead somewhere, commands and files exist, examples run."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.collectives import SingleCollective
from orchestrator.config import load_config
from orchestrator.train.session import run_training

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = ("orchestrator", "board_kernels", "launch", "configs", "docs", "tests")
COMMANDS = typer.main.get_command(app)


def by_name(path: Path) -> str:
    return path.name


@pytest.fixture(params=PAGES, ids=by_name)
def page(request) -> Path:
    return request.param


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def prose(text: str) -> str:
    """Return a page without its code blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """Return the names that the headings of a page can be linked by."""
    titles = re.findall(r"^#+ (.*)$", prose(path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def code(text: str) -> Iterator[str]:
    """Yield each line of the shell blocks and each piece of code in the prose."""
    for block in (*blocks(text, "bash"), *blocks(text, "")):
        yield from block.splitlines()
    for block in blocks(text, "text"):
        yield from (line.lstrip("$> ") for line in block.splitlines() if line[:2] in ("$ ", "> "))
    yield from re.findall(r"`([^`\n]+)`", prose(text))


def words_of(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # a quotation mark of another language
        return []


def regatta_arguments(words: list[str]) -> list[str] | None:
    """Return what a line hands to ``regatta``, or None if it does not start it."""
    for i, word in enumerate(words):
        if word == "regatta":
            return words[i + 1 :]
        if word.endswith("launch/mpirun.sh") and len(words) > i + 2:
            return words[i + 2 :]
        if word.endswith("launch/train.sbatch") and len(words) > i + 1:
            return ["train", *words[i + 1 :]]
    return None


def check_command(arguments: list[str], line: str) -> None:
    """Check that a command, its options and the keys it sets exist."""
    command, known = COMMANDS, {"--help", "--version", "-h"}
    while arguments and hasattr(command, "commands"):
        name, *arguments = arguments
        if name.startswith("-"):
            assert name in known, line
            return
        assert name in command.commands, f"{line}: there is no command {name}"
        command = command.commands[name]
    known |= {option for parameter in command.params for option in parameter.opts}
    for word in arguments:
        if word.startswith("-"):
            assert word.partition("=")[0] in known, f"{line}: there is no option {word}"
    config = next((word for word in arguments if word.endswith(".yaml")), None)
    if command.name == "train" and config is not None:
        given = zip(arguments, arguments[1:], strict=False)
        load_config(ROOT / config, [value for option, value in given if option == "--set"])


def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), f"{page.name} links to {target}, which is not there"
        assert not anchor or anchor in anchors(path), f"{page.name}: no heading {target}"


def test_commands_exist(page):
    for line in code(page.read_text(encoding="utf-8")):
        words = words_of(line)
        arguments = regatta_arguments(words)
        if arguments is not None:
            check_command(arguments, line)
        if words[:2] == ["python", "-m"] and words[2].startswith("orchestrator"):
            module = ROOT.joinpath(*words[2].split("."))
            assert module.with_suffix(".py").is_file(), line


def test_files_exist(page):
    pattern = re.compile(rf"(?:\./)?((?:{'|'.join(FOLDERS)})/[\w./*-]*)")
    for line in code(page.read_text(encoding="utf-8")):
        for word in words_of(line):
            found = pattern.fullmatch(word)
            if found:
                assert list(ROOT.glob(found[1].rstrip("/"))), f"{page.name}: no {found[1]}"


@pytest.mark.parametrize("script", re.findall(r"launch/[\w.]+sh", README.read_text()))
def test_scripts_can_be_started(script):
    assert os.access(ROOT / script, os.X_OK)
    subprocess.run(["bash", "-n", ROOT / script], check=True)


@pytest.mark.parametrize("command", sorted(COMMANDS.commands))
def test_every_command_explains_itself(command):
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_the_readme_names_every_command():
    text = README.read_text(encoding="utf-8")
    started = {(regatta_arguments(words_of(line)) or [""])[0] for line in code(text)}
    assert set(COMMANDS.commands) <= started


def test_the_examples_of_the_readme_run(tmp_path):
    (program,) = blocks(README.read_text(encoding="utf-8"), "python")
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^[0-9a-f]{64}$", done.stdout, re.MULTILINE)


def test_the_fingerprint_of_the_readme_is_true(tmp_path):
    """Where this fails on purpose, run the quickstart again and renew all that it printed."""
    shown = re.findall(r"^[0-9a-f]{64}$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(shown) == 3 and len(set(shown)) == 1
    settings = ["train.max_steps=20", f"run.dir={tmp_path / 'bits'}"]
    config = load_config(ROOT / "configs" / "digits_quickstart.yaml", settings)
    summary, _ = run_training(config, SingleCollective(), name="bits")
    assert summary.fingerprint == shown[0]


def linked(page: Path) -> set[Path]:
    """Return the pages that a page links to."""
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    return {(page.parent / target).resolve() for target in targets} & set(PAGES)


def test_every_page_can_be_reached_from_the_readme():
    reached, new = {README}, {README}
    while new:
        new = set().union(*map(linked, new)) - reached
        reached |= new
    assert not set(PAGES) - reached
