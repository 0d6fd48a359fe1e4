"""The command ``regatta bench``: tables, JSON files and exit codes."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from orchestrator.bench import kernels
from orchestrator.cli import app, main
from orchestrator.errors import MissingToolError


def bench(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["bench", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def code(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["regatta", "bench", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_kernels_are_measured_and_written(tmp_path) -> None:
    pytest.importorskip("torch", reason="torch is missing: pip install torch")
    file = tmp_path / "kernels.json"
    shown = bench(
        *("kernels", "--network", "resnet8", "--image-size", 8, "--batch", 1, "--rounds", 1),
        *("--layers", "3x3", "--set", "portable", "--json", file),
    )
    result = json.loads(file.read_text())
    assert result["bench"] == "kernels" and result["kernel_set"] == "portable"
    assert result["command"] == (
        "regatta bench kernels --layers 3x3 --batch 1 --rounds 1 --set portable "
        "--network resnet8 --image-size 8"
    )
    assert result["cpu_ratio"] > 0 and result["wall_ratio"] > 0
    assert result["machine"]["processor"] in shown.replace("\n", " ")
    assert {layer["kernel"] for layer in result["layers"]} == {"3x3"}


def test_step_is_measured_and_written(tmp_path) -> None:
    pytest.importorskip("torch", reason="torch is missing: pip install torch")
    file = tmp_path / "step.json"
    bench(
        *("step", "--network", "resnet8", "--image-size", 8, "--batch", 2, "--ghost-batch", 1),
        *("--rounds", 1, "--json", file),
    )
    result = json.loads(file.read_text())
    assert (result["batch"], result["ghost_batch"], result["rounds"]) == (2, 1, 1)
    assert result["images_per_cpu_s"] > 0 and result["cpu_ratio"] > 0


def test_data_is_measured_and_written(tmp_path) -> None:
    pytest.importorskip("torch", reason="torch is missing: pip install torch")
    pytest.importorskip("PIL", reason="Pillow is missing: pip install pillow")
    file = tmp_path / "data.json"
    bench("data", "--images", 2, "--rounds", 1, "--size", 16, "--json", file)
    result = json.loads(file.read_text())
    assert result["source"] == "made" and result["machine"]["load"] >= 0
    assert result["images_per_cpu_s"] > 0 and result["wall_ratio"] > 0


def test_bad_input_ends_with_2(monkeypatch, tmp_path, capsys) -> None:
    assert code(monkeypatch, "kernels", "--layers", "5x5") == 2
    assert "7x7, 1x1, 3x3" in capsys.readouterr().err
    assert code(monkeypatch, "step", "--batch", "0") == 2
    assert "batch is 0" in capsys.readouterr().err
    assert code(monkeypatch, "allreduce", "--ranks", "1") == 2
    assert code(monkeypatch, "data", tmp_path / "nowhere") in (2, 4)


def test_json_file_is_checked_before_measuring(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr(kernels, "run", lambda **options: pytest.fail("measured"))
    assert code(monkeypatch, "kernels", "--json", tmp_path / "no" / "x.json") == 2
    assert "does not exist" in capsys.readouterr().err
    assert code(monkeypatch, "kernels", "--json", tmp_path) == 2
    assert "is a folder" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["kernels", "step", "data"])
def test_missing_peer_ends_with_4(monkeypatch, capsys, command) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert code(monkeypatch, command) == MissingToolError.exit_code == 4
    assert "pip install" in capsys.readouterr().err


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys, orchestrator.cli; "
        "print([name for name in ('torch', 'numpy', 'mpi4py') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
