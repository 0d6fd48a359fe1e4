"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

JsonPath = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Also write the result as JSON.")
]
