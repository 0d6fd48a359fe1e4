"""The packages that talk to SpiNNaker machines, imported only when one is used."""

import importlib
from typing import Any

from orchestrator.errors import MissingToolError

_NEEDED_FOR = {
    "spinnman": "boots and loads SpiNNaker boards",
    "spalloc_client": "asks for boards of a shared machine",
}
_COME_WITH = {"spinn_utilities": "spinnman", "spinn_machine": "spinnman"}
_DISTRIBUTION = {"spinnman": "SpiNNMan", "spalloc_client": "spalloc"}


def load(module: str) -> Any:
    """Return a module of spinnman, of what comes with it, or of spalloc_client.

    Raises
    ------
    MissingToolError
        The package is not installed.
    """
    package = module.partition(".")[0]
    package = _COME_WITH.get(package, package)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingToolError(
            f"{_DISTRIBUTION[package]} {_NEEDED_FOR[package]} and is not installed: "
            "pip install 'regatta[hardware]'"
        ) from error
