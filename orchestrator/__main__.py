"""``python -m orchestrator`` is the ``regatta`` command."""

from orchestrator.cli import main

main()
