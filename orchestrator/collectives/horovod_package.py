"""Finding Horovod, which is optional and built from source."""

import os
from typing import Any

from orchestrator.errors import MissingToolError

INSTALL = "launch/install_horovod.sh builds it into the active environment"


def load_horovod() -> Any:
    """Return the module horovod.torch, built with MPI.

    Raises
    ------
    MissingToolError
        Horovod is not installed, or was built without MPI or PyTorch.
    """
    os.environ.setdefault("HOROVOD_STALL_CHECK_DISABLE", "1")  # the engine has its own watch
    try:
        import horovod.torch as hvd
    except ImportError as error:
        raise MissingToolError(
            f"collective.engine: horovod needs Horovod with PyTorch ({error}); {INSTALL}"
        ) from None
    if not hvd.mpi_built():
        raise MissingToolError(f"collective.engine: this Horovod was built without MPI; {INSTALL}")
    return hvd
