"""Virtual machines for tests that go through spinnman, each at addresses of its own."""

import pytest

from orchestrator.virtual.serving.configuration import VirtualMachineConfig
from orchestrator.virtual.serving.machine import VirtualMachine


@pytest.fixture
def virtual_machine():
    """Start machines: virtual_machine(shape=..., third=96) at 127.0.THIRD.0 and up."""
    started = []

    def start(*, third, open_cores=None, **settings):
        config = VirtualMachineConfig(base_address=f"127.0.{third}.0", **settings)
        cores = {} if open_cores is None else {"open_cores": open_cores}
        machine = VirtualMachine(config, **cores)
        machine.__enter__()
        started.append(machine)
        return machine

    yield start
    for machine in started:
        machine.__exit__(None, None, None)
