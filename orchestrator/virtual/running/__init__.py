"""Application cores that run code: programs, mailboxes, packets, time and faults of a machine.

`RunningCores` is what a monitor's `ApplicationCores` asks for; the emulated core itself is
`orchestrator.virtual.core`.
"""

from orchestrator.virtual.running.cores import RunningCores

__all__ = ["RunningCores"]
