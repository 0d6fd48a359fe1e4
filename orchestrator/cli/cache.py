"""Where commands keep plans between runs."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the user's folder for what can be made again: ``$XDG_CACHE_HOME/regatta``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regatta"
