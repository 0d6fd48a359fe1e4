"""A Slurm of one node on the loopback interface, started and stopped by a test."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
SEARCHED = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing_tools() -> list[str]:
    """The commands this needs and this machine lacks."""
    needed = (*DAEMONS, "sbatch", "scontrol", "sinfo")
    return [name for name in needed if shutil.which(name, path=SEARCHED) is None]


def free_ports(n: int) -> list[int]:
    """Return n ports of the loopback interface that nothing listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def slurm_node(folder: Path, cpus: int) -> Iterator[dict[str, str]]:
    """Start the daemons with everything they write in an empty folder; yield the environment."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    host = socket.gethostname().partition(".")[0]
    configuration = folder / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(
            host=host, user=getpass.getuser(), ports=free_ports(2), folder=folder, cpus=cpus
        )
    )
    environment = {**os.environ, "PATH": SEARCHED, "SLURM_CONF": str(configuration)}
    commands = {
        "munged": [
            *("--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.sock"),
            *(f"--{name}-file={folder}/munge.{name}" for name in ("pid", "log", "seed")),
        ],
        "slurmctld": ["-D", "-f", str(configuration)],
        "slurmd": ["-D", "-f", str(configuration), "-N", host],
    }
    with contextlib.ExitStack() as stack:
        for name in DAEMONS:
            log = stack.enter_context((folder / f"{name}.out").open("w"))
            process = subprocess.Popen(
                [name, *commands[name]], env=environment, stdout=log, stderr=log
            )
            stack.callback(_stop, process)
            if name == "munged":
                _wait(lambda: (folder / "munge.sock").exists(), folder)
        _wait(lambda: _is_idle(environment), folder)
        yield environment


def _is_idle(environment: dict[str, str]) -> bool:
    shown = subprocess.run(
        ["sinfo", "--noheader", "--format=%T"], env=environment, capture_output=True, text=True
    )
    return shown.stdout.strip() == "idle"


def _wait(true, folder: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            logs = "\n".join(file.read_text() for file in sorted(folder.glob("*.out")))
            raise RuntimeError(f"Slurm did not start in {seconds} s:\n{logs}")
        time.sleep(0.1)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
