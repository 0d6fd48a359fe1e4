"""The kernels on every core of a machine, and its links, compared with what they ought to give."""

from orchestrator.boards.hardware.selftest.door import Door
from orchestrator.boards.hardware.selftest.report import Fault, Finding, SelfTestReport, count
from orchestrator.boards.hardware.selftest.run import run_selftest

__all__ = ["Door", "Fault", "Finding", "SelfTestReport", "count", "run_selftest"]
