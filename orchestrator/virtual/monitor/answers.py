"""What a command comes to: a result, and the data of its answer."""

from typing import Final

from orchestrator.wire.numbers import Result

Answer = tuple[Result, bytes]

OK: Final[Answer] = (Result.OK, b"")
BAD: Final[Answer] = (Result.ARGUMENT, b"")
"""An argument that makes no sense."""
